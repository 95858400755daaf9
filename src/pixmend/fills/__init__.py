"""Baseline fills that need no training."""
