"""Studies: which runs each compares, what its figures say, how sure that is, and the table that tells it."""
