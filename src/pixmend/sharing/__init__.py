"""Trained runs for others: files that other programs read, a model card, and runs that come back from a hub."""
