"""Encoders: reading and writing them, their parts by name, and running them."""
