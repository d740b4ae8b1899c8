"""Rows, labels, splits and tokens of the data sets."""
