"""FLOPs counted from shapes alone. Imports no torch."""
