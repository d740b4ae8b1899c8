"""Figures of a study, one per kind and task; each is drawn from one table, which is written beside it."""
