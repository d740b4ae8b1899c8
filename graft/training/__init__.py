"""Training: batches, the loop, and making a small model by distillation."""
