"""Images for logs: some holdout images in rows of damaged | predicted | original, a JPEG for each evaluation."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from pixmend import files
from pixmend.data import photos
from pixmend.data.dataset import Dataset, DatasetRow
from pixmend.data.encode import encode_jpeg

IMAGES = 4
JPEG_QUALITY = 90


def choose_rows(rows: Sequence[DatasetRow]) -> list[DatasetRow]:
    """Return a few rows that are spread evenly over all."""
    places = np.linspace(0, len(rows) - 1, min(IMAGES, len(rows))).round().astype(int)
    return [rows[place] for place in places]


def make_strip(dataset: Dataset, row: DatasetRow, predicted: np.ndarray, is_mask: bool) -> np.ndarray:
    """Return damaged, predicted and original image side by side, in colour; beside a predicted mask is the true one."""
    original = (dataset.read_counts(row) > 0)[..., None] * np.uint8(255) if is_mask else dataset.read_original(row)
    shown = np.rint(np.clip(predicted, 0, 1) * 255).astype(np.uint8)
    return np.concatenate([photos.convert_to_colour(image) for image in (dataset.read_damaged(row), shown, original)], axis=1)


def get_image_path(folder: Path, step: int) -> Path:
    return folder / f"step-{step:08}.jpg"


def write_image(folder: Path, step: int, strips: Iterable[np.ndarray]) -> Path:
    """Write the strips one below the other; return the path."""
    path = get_image_path(folder, step)
    with files.atomic_write(path) as file:
        file.write(join_strips(strips))
    return path


def join_strips(strips: Iterable[np.ndarray]) -> bytes:
    """Return the strips one below the other, as a JPEG file."""
    return encode_jpeg(np.concatenate(list(strips)), JPEG_QUALITY)


def delete_other_images(folder: Path, steps: Iterable[int]) -> None:
    """Delete the images of other steps than these."""
    wanted = {get_image_path(folder, step) for step in steps}
    for path in set(folder.glob("step-*.jpg")) - wanted:
        path.unlink()
