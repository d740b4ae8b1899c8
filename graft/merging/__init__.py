"""The merge methods and their parts: alignment, transport, heads, composites."""
