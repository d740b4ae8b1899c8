"""Builds each kind of system of a study."""
