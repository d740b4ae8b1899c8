"""A study: its runs and steps, their fingerprints and paths, and helpers for the programs that make them."""
