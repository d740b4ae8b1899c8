"""Methods of kind weights for two models of different shapes."""
