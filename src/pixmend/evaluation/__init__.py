"""Scores of predictions and the table of all runs."""
