"""RMSE as in the competition, in 0..1, with 95% intervals over bootstrap samples of images, and the ratio to fills.

Predicted images are (count, 256, 256, 3) float32 in 0..1.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.accelerator.stand_in import Split

BOOTSTRAP_SAMPLES, SEED = 2000, 0


def compute_squares(split: Split, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sum of squared errors and the number of values of each image; a pixel in two boxes counts twice."""
    counts = split.compute_counts()
    squares = []
    for image, original, image_counts in zip(images, split.original, counts, strict=True):
        missing = image_counts > 0
        errors = np.square(image[missing] - original[missing] / 255.0).sum(-1)
        squares.append(float((errors * image_counts[missing]).sum()))
    return np.array(squares), 3 * counts.sum((1, 2), dtype=np.int64)


def compute_scores(split: Split, images: np.ndarray, fill_squares: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return the RMSE, and for each fill the ratio to its RMSE; all with intervals over the same bootstrap samples."""
    squares, numbers = compute_squares(split, images)
    samples = np.random.default_rng(SEED).integers(0, len(squares), (BOOTSTRAP_SAMPLES, len(squares)))
    scores = {"images": len(squares), "rmse": float(compute_rmse(squares, numbers)),
              "rmse_interval": compute_interval(compute_rmse(squares[samples], numbers[samples]))}
    for name, of_fill in fill_squares.items():
        ratios = np.sqrt(squares[samples].sum(1) / of_fill[samples].sum(1))
        scores[f"relative_to_{name}"] = float(np.sqrt(squares.sum() / of_fill.sum()))
        scores[f"relative_to_{name}_interval"] = compute_interval(ratios)
    return scores


def compute_rmse(squares: np.ndarray, numbers: np.ndarray) -> Any:
    """Return the RMSE over the last axis."""
    return np.sqrt(squares.sum(-1) / numbers.sum(-1))


def compute_interval(values: np.ndarray) -> list[float]:
    return [float(value) for value in np.quantile(values, (0.025, 0.975))]
