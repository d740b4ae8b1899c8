"""The commands of `python -m graft`."""
