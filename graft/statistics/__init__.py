"""What a difference between systems is worth: intervals, tests, corrections and verdicts. Imports no torch."""
