"""Merging models of one shape: soups over seeds, and merges over tasks, at the speed of the disk."""
