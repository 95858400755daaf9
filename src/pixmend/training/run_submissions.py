"""Write the predictions of a run as submission files, or its masks as images."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from pixmend import competitions, files
from pixmend.config import Settings
from pixmend.data import dataset as datasets
from pixmend.data.dataset import Dataset
from pixmend.data.encode import encode_png
from pixmend.data.image_record import ImageRecord
from pixmend.errors import UserError
from pixmend.progress import print_message, track
from pixmend.setting_values import format_run_command
from pixmend.submissions import predictions
from pixmend.training import unknown_masks


def write_submissions(settings: Settings) -> None:
    """Write the submissions of both splits, unless they are up to date."""
    folder, competition = settings.run_folder, competitions.get_competition(settings.competition)
    sources = {split: folder / f"{split}.npz" for split in ("test", "holdout")}
    targets = {split: competitions.get_submission_path(settings, split) for split in sources}
    cache_key = {"order": settings.channel_order, "scale": settings.value_scale,
                 **{split: files.optional_signature(path) for split, path in sources.items()}}
    if not settings.force and files.manifest_matches(folder / "serialize.json", cache_key):
        print_message(f"serialize: {targets['test']} is up to date.")
        return
    records = competitions.read_records(settings)
    check_predictions(settings, sources.values())
    (folder / "serialize.json").unlink(missing_ok=True)   # until both files are written in this form
    files.fsync_path(folder)
    for split, path in targets.items():
        write_split(settings, split, sources[split], path, records)
    competition.submission.check(targets["test"], settings.competition_folder / "files")
    files.write_manifest(folder / "serialize.json", cache_key, targets.values())
    print_message(f"serialize: {targets['test']} agrees with {competition.submission.sample_name}; {targets['holdout']}")


def check_written(settings: Settings, split: str) -> None:
    """Refuse a submission that `serialize` has not finished, or that is not of the run's predictions as they are now."""
    source, manifest = settings.run_folder / f"{split}.npz", settings.run_folder / "serialize.json"
    signature = files.optional_signature(source)
    if signature and (not manifest.exists() or files.read_made_from(manifest).get(split, signature) != signature):
        raise UserError(f"{competitions.get_submission_path(settings, split)} was not finished, or is of other predictions than "
                        f"{source}. Write it again: {format_run_command('serialize', settings.run, settings)}")


def write_variant(settings: Settings, changed: Settings, path: Path) -> None:
    """Write the test images of a run as a submission under changed settings, such as another channel order."""
    source, records = settings.run_folder / "test.npz", competitions.read_records(settings)
    check_predictions(settings, [source])
    write_split(changed, "test", source, path, records)


def check_predictions(settings: Settings, sources: Iterable[Path]) -> None:
    """Refuse predictions of other images than the dataset's, and files that were not predicted together."""
    predicted, made_from = unknown_masks.open_dataset_for_prediction(settings), []
    for source in sources:
        predictions.check_same_dataset(source, predicted)
        made_from.append(predictions.read_metadata(source))
    if any(other != made_from[0] for other in made_from):
        raise UserError(f"The holdout and the test images in {settings.run_folder} were predicted with other weights or flags. "
                        f"Predict them again: {format_run_command('predict', settings.run, settings, '--force')}")


def write_split(settings: Settings, split: str, source: Path, path: Path, records: Mapping[str, ImageRecord]) -> None:
    """Write the predictions of a split as a submission."""
    dataset, predicted = datasets.open_dataset(settings), unknown_masks.open_dataset_for_prediction(settings)
    images = read_predicted_images(predicted, split, source)
    ordered = competitions.order_records(settings, dataset, split, records)
    competitions.get_submission_format(settings, split).write(path, ordered, images, settings)


def read_predicted_images(dataset: Dataset, split: str, path: Path) -> Iterator[np.ndarray]:
    """Yield each image with the predicted pixels in it: float32 in 0..1."""
    predicted = predictions.PredictionFile(path)
    for row in track(dataset.split(split), f"write the rows of {split}"):
        yield predicted.read_image(row.id, dataset.read_damaged(row) / 255, dataset.read_counts(row) > 0)


def write_masks(settings: Settings) -> None:
    """Write the masks that a run found as PNG files, white where pixels are missing."""
    folder = settings.submissions_folder / f"{settings.run}-masks"
    found = unknown_masks.LocatedMaskDataset(datasets.open_dataset(settings), settings.run_folder)
    for split in ("test", "holdout"):
        for row in track(found.split(split), f"write the masks of {split}"):
            with files.atomic_write(folder / split / f"{row.id.replace('/', '-')}.png") as file:
                file.write(encode_png(found.mask(row)[..., None].astype(np.uint8) * 255))
    print_message(f"serialize: {folder}, white where pixels are missing. "
                  f"Run {settings.run!r} finds masks, so it has nothing to submit.")
