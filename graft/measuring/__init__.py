"""What a system costs to use, measured: latency and memory."""
