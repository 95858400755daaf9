"""Measurements that anyone can repeat: `python -m benchmarks NAME --help`. Results and tables are in benchmarks/results/."""
