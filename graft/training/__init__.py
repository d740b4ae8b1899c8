"""Training: batches, the loop, and making a small model by distillation or by masked language modelling."""
