"""Tables of merge methods, tasks, GPUs, published models and shapes. Imports no torch."""
