"""The predicted holdout or test images of a run as PNG files."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pixmend import models
from pixmend.config import Settings, flag
from pixmend.data.photos import ENDINGS
from pixmend.data.picture_files import Picture, write_picture
from pixmend.errors import FlagError, UserError
from pixmend.mending.restorers import find_run
from pixmend.submissions.predictions import check_same_dataset, read_images
from pixmend.training.unknown_masks import open_dataset_for_prediction

OF_OWN_PICTURES = ("picture", "mask", "truth", "compare", "keep_metadata")   # settings


def write_predicted_pictures(settings: Settings) -> Iterator[Path]:
    """Write each image of --split that a run has predicted into the folder of --out, and yield its path."""
    check_flags(settings)
    run = find_run(settings.run, settings)
    if run is None:
        raise UserError(f"There is no run {settings.run!r}. --split writes the images that a run has predicted: pixmend mend "
                        f"--split {settings.split} --run NAME")
    if models.run_finds_masks(run):
        raise UserError(f"The run {settings.run!r} finds masks and restores no images. To write its masks as PNG files: pixmend "
                        f"serialize --run {settings.run}")
    dataset = open_dataset_for_prediction(run)
    rows, predicted = dataset.split(settings.split), run.run_folder / f"{settings.split}.npz"
    check_same_dataset(predicted, dataset)
    names = name_pictures([row.id for row in rows])
    for name, image in zip(names, read_images(predicted, dataset, rows), strict=True):
        path = Path(settings.out) / f"{name}.png"
        write_picture(path, Picture(np.rint(image * 255).astype(np.uint8)), with_metadata=False)
        yield path


def check_flags(settings: Settings) -> None:
    if useless := [flag(name) for name in OF_OWN_PICTURES if name in settings.given]:
        raise FlagError(f"--split writes images that a run has predicted; {', '.join(useless)} is for your own pictures. Leave "
                        f"out one or the other.")


def name_pictures(ids: Sequence[str]) -> list[str]:
    """Return the ids without their endings, but for those that differ in nothing else."""
    stems = [str(Path(id).with_suffix("")) if Path(id).suffix.lower() in ENDINGS else id for id in ids]
    times = Counter(stems)
    return [stem if times[stem] == 1 else id for id, stem in zip(ids, stems, strict=True)]
