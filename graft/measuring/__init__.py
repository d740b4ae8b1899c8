"""Measured inference cost of a system: latency and memory."""
