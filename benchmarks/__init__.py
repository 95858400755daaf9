"""Figures that anyone can measure again: `python -m benchmarks NAME --help`; each file writes its own table beside it."""
