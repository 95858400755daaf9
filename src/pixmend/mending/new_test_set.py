"""Predict a new test set, a folder in the competition's format, with a trained run: no dataset is prepared.

Images are filled, predicted and written as `augment`, `predict` and `serialize` do it, so that the same images give the same
file.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from pixmend import competitions, files, models, run_file, workers
from pixmend.config import Settings, group_values
from pixmend.data.dataset import UNFILLED, DatasetRow, list_fold_folders
from pixmend.data.decode import decode_image
from pixmend.data.image_record import ImageRecord
from pixmend.data.paste import paste_predictions, paste_values
from pixmend.errors import DOWNLOAD_AGAIN, UserError, replace_in_messages
from pixmend.fills import Fill
from pixmend.mending.restorers import load_network
from pixmend.progress import track
from pixmend.setting_values import MEMBER_FILE
from pixmend.submissions.csv_reader import WRITE_AGAIN
from pixmend.training import checkpoints
from pixmend.training.run import load_run_settings

CHUNK = 32   # images in memory
ADVICE = "correct it in the folder of --test-folder"   # in the place of the advice to download the competition again


class DamagedImages:
    """Some damaged images in the place of a dataset: decoded, and filled once."""

    def __init__(self, records: Sequence[ImageRecord], settings: Settings) -> None:
        self.images = [decode_image(record.damaged, settings.shape) for record in records]
        self.counts = [record.counts(settings.shape) for record in records]
        self.rows = [DatasetRow(record.id, record.source, label="", variant=0, split="test", damaged=place, original=-1)
                     for place, record in enumerate(records)]
        self.filled: dict[tuple[str, int], np.ndarray] = {}

    def read_damaged(self, row: DatasetRow) -> np.ndarray:
        return self.images[row.damaged]

    def read_counts(self, row: DatasetRow) -> np.ndarray:
        return self.counts[row.damaged]

    def read_input(self, row: DatasetRow, start: str) -> np.ndarray:
        """Return the damaged image with its missing pixels filled, unless `start` is an unfilled one."""
        if start in UNFILLED:
            return self.read_damaged(row)
        if (start, row.damaged) not in self.filled:
            self.filled[start, row.damaged] = np.rint(self.fill(row, models.get_fill(start)) * 255).astype(np.uint8)
        return self.filled[start, row.damaged]

    def fill(self, row: DatasetRow, fill: Fill) -> np.ndarray:
        """Return a filled image, float32 in 0..1, with one thread: the same bits as in a worker process."""
        with threadpool_limits(1):
            return fill(self.images[row.damaged] / np.float32(255), self.counts[row.damaged] > 0)


Predict = Callable[[DamagedImages], Iterator[np.ndarray]]   # the restored images, float32 in 0..1


def predict_test_folder(settings: Settings) -> Path:
    """Write the submission for the test set in --test-folder; return its path."""
    folder, competition = Path(settings.test_folder).resolve(), competitions.get_competition(settings.competition)
    if not folder.is_dir():
        raise UserError(f"--test-folder {folder} is no folder. Name one that holds a test set in the competition's format.")
    target = settings.submissions_folder / f"{settings.run}.new-test-set{competition.submission.suffix}"
    with replace_in_messages({DOWNLOAD_AGAIN: ADVICE}):   # this test set was not downloaded
        records = competition.read_test_images(folder, settings.shape)
        images = predict_records(records, settings, open_run(settings))
        write_submission(target, folder, records, images, settings)
    return target


def predict_records(records: Sequence[ImageRecord], settings: Settings, predict: Predict) -> Iterator[np.ndarray]:
    """Yield the restored images, some at a time."""
    for chunk in workers.split_into_chunks(track(records, "predict the new test images"), CHUNK):
        yield from predict(DamagedImages(chunk, settings))


def write_submission(target: Path, folder: Path, records: Sequence[ImageRecord], images: Iterator[np.ndarray],
                     settings: Settings) -> None:
    """Write the file, checked, in the order of the folder's sample submission; without a sample, in the order of its images."""
    format_ = competitions.get_competition(settings.competition).submission
    with tempfile.TemporaryDirectory() as home:
        place, written = replace(settings, home=home), Path(home) / target.name
        sample = place.competition_folder / "files" / format_.sample_name
        sample.parent.mkdir(parents=True)
        if (folder / format_.sample_name).exists():
            sample.symlink_to(folder / format_.sample_name)
        else:
            write_sample(sample, records, settings)
        advice = f"correct the sample or the images in {folder}, or take the sample away"
        with replace_in_messages({str(sample.parent): str(folder), str(written): "the new submission", WRITE_AGAIN: advice}):
            format_.write(written, records, images, place)
            format_.reorder(written, sample, advice)
            format_.check(written, sample.parent)
        with files.atomic_write(target) as file, open(written, "rb") as source:
            shutil.copyfileobj(source, file, files.CHUNK)


def write_sample(path: Path, records: Sequence[ImageRecord], settings: Settings) -> None:
    """Write a sample submission of black pixels in the order of the images."""
    zeros = (np.zeros((np.count_nonzero(record.counts(settings.shape)), settings.channels), np.float32) for record in records)
    with open(path, "wb") as file:
        file.writelines(competitions.get_competition(settings.competition).submission.encode(records, zeros, settings))


def open_run(settings: Settings) -> Predict:
    """Return what predicts with a run: its network, those of its folds, its fill, or the mix of its members."""
    trained = run_file.read_trained(settings.trained_folder)
    if trained and trained.get("model") == "ensemble":
        flags = {name: value for name, value in group_values(settings, "prediction").items() if name in settings.given}
        members = [open_run(replace(load_other_run(settings, name), **flags)) for name in trained["members"]]
        return partial(average_images, members, np.array(trained["weights"]))
    settings = load_run_settings(settings)
    if reason := explain_refusal(settings):
        raise UserError(f"The run {settings.run!r} cannot predict a new test set: {reason}.")
    if models.is_fill(settings.model):
        return partial(fill_images, models.get_fill(settings.model))
    networks = [open_network(settings, checkpoints.find_weights(settings.trained_folder, fold, settings.snapshot))
                for fold in list_fold_folders(settings.folds)]
    return networks[0] if len(networks) == 1 else partial(average_images, networks, np.full(len(networks), 1 / len(networks)))


def explain_refusal(settings: Settings) -> str:
    """Return why a run cannot predict a new test set; empty if it can."""
    if models.finds_masks(settings.model):
        return "it finds masks, and restores no images"
    if settings.unknown_masks:
        return f"it needs the masks that the run {settings.mask_run!r} finds"
    is_here = models.is_trainable(settings.model) or models.is_fill(settings.model)
    return "" if is_here else f"{settings.model} is a pretrained pipeline, which is not in its folder"


def load_other_run(settings: Settings, name: str) -> Settings:
    """Return the settings of a run on which another one depends, as it was predicted and written."""
    if MEMBER_FILE.fullmatch(name):
        raise UserError(f"The run {settings.run!r} mixes {name}, a file of others. It has values of the competition's own test "
                        f"images only, so no other images can be predicted. Use a mix of runs alone: pixmend ensemble --members "
                        f"A,B --run NAME")
    path = run_file.find_run_file(Path(settings.home), name, settings.dataset_name)
    if path is None:
        raise UserError(f"The run {settings.run!r} was made with the run {name!r}, which has no folder in "
                        f"{settings.run_folder.parent}. Bring that folder back, or make {settings.run} again without it.")
    other = replace(run_file.load_run(path), run=name, home=settings.home)
    return replace(other, **run_file.read_used_settings(other))


def open_network(settings: Settings, weights: Path) -> Predict:
    network = load_network(settings, weights)
    from pixmend.training.inference import predict_images  # imports Keras, which has been started now

    return lambda images: predict_images(network, images, images.rows, settings, settings.tta)


def fill_images(fill: Fill, images: DamagedImages) -> Iterator[np.ndarray]:
    for row in images.rows:
        yield paste_predictions(images.read_damaged(row) / np.float32(255), images.read_counts(row) > 0, images.fill(row, fill))


def average_images(parts: Sequence[Predict], weights: np.ndarray, images: DamagedImages) -> Iterator[np.ndarray]:
    """Yield each image with the mean of what the parts make of its missing pixels."""
    for row, *predicted in zip(images.rows, *(part(images) for part in parts), strict=True):
        mask = images.read_counts(row) > 0
        mean = np.tensordot(weights, np.stack([image[mask] for image in predicted]), 1)
        yield paste_values(images.read_damaged(row) / np.float32(255), mask, mean)
