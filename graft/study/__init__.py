"""A study: its runs and steps, their fingerprints and paths, and the programs that make them."""
