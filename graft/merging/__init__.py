"""The merge methods, and what they are made of: alignment, transport, heads, composites."""
