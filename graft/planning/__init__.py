"""Estimates of a study's cost before any job runs. Imports no torch."""
