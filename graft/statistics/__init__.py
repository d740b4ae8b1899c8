"""Intervals, tests and verdicts over seeds and examples."""
