"""Restore missing regions of photos, and enter Kaggle's photo-reconstruction competitions."""
