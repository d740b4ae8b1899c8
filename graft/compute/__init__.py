"""The running process: device, precision, energy, provenance, signals and exit."""
