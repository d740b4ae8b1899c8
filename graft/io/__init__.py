"""Disk and text: files that exist only whole, locks, YAML, names, progress."""
