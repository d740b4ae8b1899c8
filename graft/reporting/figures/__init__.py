"""Figures of a study, one per kind and task: each is drawn from a table alone, which is written beside it."""
