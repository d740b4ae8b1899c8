"""Tables of what is known: merge methods, tasks, GPUs, published models, shapes. Imports no torch."""
