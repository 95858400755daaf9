"""A submission's RMSE as pandas tells it: both tables read, joined by id; `merge SUBMISSION SOLUTION`."""

import sys

import numpy as np
import pandas as pd


def main():
    ours, truth = (pd.read_csv(path) for path in sys.argv[1:])
    key, value = ours.columns
    both = truth.merge(ours, on=key, suffixes=("_true", ""), validate="one_to_one")
    squares = (both[value] - both[f"{value}_true"]) ** 2
    public = both["Usage"] == "Public"
    print(*(f"{np.sqrt(squares[rows].mean()):.6f}" for rows in (public, ~public, public | ~public)))


if __name__ == "__main__":
    main()
