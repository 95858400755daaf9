"""The RMSE of a submission as pandas computes it: both tables read and joined by id; `score_with_pandas SUBMISSION SOLUTION`."""

import sys

import numpy as np
import pandas as pd


def main() -> None:
    submission, solution = (pd.read_csv(path) for path in sys.argv[1:])
    key, value = submission.columns
    joined = solution.merge(submission, on=key, suffixes=("_true", ""), validate="one_to_one")
    squares = (joined[value] - joined[f"{value}_true"]) ** 2
    public = joined["Usage"] == "Public"
    for rows in (public, ~public, public | ~public):
        print(f"{np.sqrt(squares[rows].mean()):.6f}")


if __name__ == "__main__":
    main()
