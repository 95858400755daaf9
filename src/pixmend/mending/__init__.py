"""Mend pictures of any size with a fill or a trained run."""
