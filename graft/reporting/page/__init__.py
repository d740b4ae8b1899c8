"""The report of a study, `report.html`: one page that needs nothing else."""
