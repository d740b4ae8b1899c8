"""Loops: fine-tuning, distillation, masked language modelling."""
