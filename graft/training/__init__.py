"""Training loops: fine-tuning, distillation, masked language modelling."""
