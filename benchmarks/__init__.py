"""Measurements: `python -m benchmarks NAME --json [--scale small|full]`."""
