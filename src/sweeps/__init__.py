"""Sweeps: which values are tried, the study in a database that several machines share, and what it has found."""
