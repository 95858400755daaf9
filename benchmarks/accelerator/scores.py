"""RMSE as the grader counts, in 0..1, with 95% intervals over draws of pictures, and the ratio to other fills on the same ones."""

import numpy as np

DRAWS, SEED = 2000, 0


def by_picture(part, pictures):
    """Squared errors and number of values of each picture; a pixel in two boxes counts twice."""
    counts = part.counts()
    squares = [squares_of(*one) for one in zip(pictures, part.whole, counts, strict=True)]
    return np.array(squares), 3 * counts.sum((1, 2), dtype=np.int64)


def squares_of(picture, whole, counts):
    asked = counts > 0
    error = np.square(picture[asked] - whole[asked] / 255.0).sum(-1)
    return float((error * counts[asked]).sum())


def score(part, pictures, rivals):
    """RMSE and its interval; for each rival's squares, by name, the ratio of the RMSE and its interval on the same draws."""
    squares, numbers = by_picture(part, pictures)
    picks = np.random.default_rng(SEED).integers(0, len(squares), (DRAWS, len(squares)))
    told = {"pictures": len(squares), "rmse": root(squares, numbers), "rmse_interval": interval(root(squares[picks], numbers[picks]))}
    for name, others in rivals.items():
        told[f"of_{name}"] = float(np.sqrt(squares.sum() / others.sum()))
        told[f"of_{name}_interval"] = interval(np.sqrt(squares[picks].sum(1) / others[picks].sum(1)))
    return told


def root(squares, numbers):
    values = np.sqrt(squares.sum(-1) / numbers.sum(-1))
    return values if values.ndim else float(values)


def interval(values):
    return [float(value) for value in np.quantile(values, (0.025, 0.975))]
