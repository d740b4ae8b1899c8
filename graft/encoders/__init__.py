"""Read, write and run encoders, and name their parts."""
