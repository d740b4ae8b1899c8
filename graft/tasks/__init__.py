"""Tasks: table, readers, splits, tokens, metrics."""
