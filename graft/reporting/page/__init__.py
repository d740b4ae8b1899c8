"""The report of a study, `report.html`: one self-contained page."""
