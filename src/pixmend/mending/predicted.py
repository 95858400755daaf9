"""The predicted holdout or test images of a run as PNG files."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pixmend.config import Settings
from pixmend.data.photos import ENDINGS
from pixmend.data.picture_files import Picture, write_picture
from pixmend.errors import UserError
from pixmend.mending.restorers import find_run
from pixmend.submissions.predictions import check_same_dataset, read_images
from pixmend.training.unknown_masks import open_dataset_for_prediction


def write_predicted_pictures(settings: Settings) -> Iterator[Path]:
    """Write each image of --split that a run has predicted into the folder of --out, and yield its path."""
    run = find_run(settings.run, settings)
    if run is None:
        raise UserError(f"There is no run {settings.run!r}. --split writes the images that a run has predicted: pixmend mend "
                        f"--split {settings.split} --run NAME")
    dataset = open_dataset_for_prediction(run)
    rows, predicted = dataset.split(settings.split), run.run_folder / f"{settings.split}.npz"
    check_same_dataset(predicted, dataset)
    for row, image in zip(rows, read_images(predicted, dataset, rows), strict=True):
        name = Path(row.id).with_suffix("") if Path(row.id).suffix.lower() in ENDINGS else row.id
        path = Path(settings.out) / f"{name}.png"
        write_picture(path, Picture(np.rint(image * 255).astype(np.uint8)), with_metadata=False)
        yield path
