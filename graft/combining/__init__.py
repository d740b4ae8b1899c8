"""Soups over seeds and encoders over tasks, as systems of a study."""
