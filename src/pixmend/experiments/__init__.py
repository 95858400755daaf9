"""Sweeps and studies: many runs under varied settings, their results, and what they say."""
