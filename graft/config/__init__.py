"""A study config, typed: a module for each part of it. Imports no torch."""
