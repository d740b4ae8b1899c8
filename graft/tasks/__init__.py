"""Rows, labels, splits and tokens of data sets."""
