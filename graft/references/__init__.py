"""The references of docs/ that are generated: from the registries, the config's schema, and their docstrings."""
