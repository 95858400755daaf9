"""Scores of a run on its holdout, beside the baselines on the same images, and what they say."""
