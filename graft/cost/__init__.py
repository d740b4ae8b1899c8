"""What a system costs: FLOPs counted from shapes. Imports no torch."""
