"""Submission files: writing, reading and comparing them."""
