"""Systems that run parts of both models."""
