"""From run.json files to tables and figures."""
