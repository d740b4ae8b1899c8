"""The process itself: device, precision, energy, provenance, how it ends."""
