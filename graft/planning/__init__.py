"""What a study will cost, before any job. Imports no torch."""
