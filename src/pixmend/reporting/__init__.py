"""The report: an HTML page of all runs of a competition, with charts and images made from the runs' files."""
