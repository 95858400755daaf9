"""Weighted means of the predictions of several runs, read from their files one image at a time."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from pixmend.data.dataset import Dataset, DatasetRow
from pixmend.data.paste import paste_values
from pixmend.progress import ProgressBar
from pixmend.submissions import predictions


def read_together(rows: Sequence[DatasetRow], paths: Iterable[Path], label: str) -> Iterator[tuple[DatasetRow, np.ndarray]]:
    """Yield each row with the values of its missing pixels in every file: float32 in 0..1, (files, pixels, channels)."""
    with ProgressBar(label, len(rows)) as bar:
        for row, values in zip(rows, zip(*map(predictions.read_values, paths), strict=True), strict=True):
            bar.advance(1, f"{bar.rate():.0f} images/s")
            yield row, np.stack(values)


def average_predictions(dataset: Dataset, rows: Sequence[DatasetRow], paths: Iterable[Path],
                        weights: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield the restored image of each row: the mean of the files' values under the row's weights, one weight for each file."""
    for (row, values), row_weights in zip(read_together(rows, paths, "average predictions"), weights, strict=False):
        yield paste_values(dataset.damaged(row) / np.float32(255), dataset.hole(row) > 0, np.tensordot(row_weights, values, 1))
