"""Maps between the activations of two models, from their moments."""
