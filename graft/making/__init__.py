"""Builders for each kind of system of a study."""
