"""Write the run's predictions as submission files, for the test and the holdout, and check the former against the sample."""

from dataclasses import replace

import numpy as np

from pixmend import competitions, files, models
from pixmend.data import dataset
from pixmend.data.encode import encode_png
from pixmend.progress import ProgressBar, print_message
from pixmend.submissions import predictions
from pixmend.training import unknown_masks


def main(settings):
    contest, folder = competitions.get_competition(settings.competition), settings.run_folder
    with files.try_lock(folder):
        ready = dataset.open_dataset(settings)
        if models.run_finds_masks(settings):
            return write_masks(settings, ready)
        told = unknown_masks.open_dataset_for_prediction(settings)
        sources = {split: folder / f"{split}.npz" for split in ("test", "holdout")}
        targets = {split: competitions.get_submission_path(settings, split) for split in sources}
        made_from = {"order": settings.channel_order, "scale": settings.value_scale,
                     **{split: files.optional_signature(path) for split, path in sources.items()}}
        if not settings.force and files.manifest_matches(folder / "serialize.json", made_from):
            print_message(f"serialize: {targets['test']} is up to date.")
            return
        listed = entries_by_id(settings)
        for split, path in targets.items():
            rows = ready.split(split)
            predictions.check_same_dataset(sources[split], told)
            pictures = mended(told, rows, sources[split])
            competitions.get_submission_format(settings, split).write(path, entries_of(settings, ready, split, listed), pictures, settings)
        contest.submission.check(targets["test"], settings.competition_folder / "files")
        files.write_manifest(folder / "serialize.json", made_from, targets.values())
    print_message(f"serialize: {targets['test']} agrees with {contest.submission.sample_name}; {targets['holdout']}")


def entries_by_id(settings):
    """All entries of the contest; reading them looks through its whole sample."""
    return {e.id: e for e in competitions.get_competition(settings.competition).read_images(settings.competition_folder / "files", settings.shape)}


def entries_of(settings, ready, split, listed):
    """The contest's entries of a split in the prepared set's order; of a holdout under another's damage, with that in them."""
    if settings.damage and split == "holdout":
        return [replace(listed[row.id], drawn=ready.hole(row)) for row in ready.split(split)]
    return [listed[row.id] for row in ready.split(split)]


def write_masks(settings, ready):
    """What a run found, as pictures for a person: nothing that could be submitted."""
    folder, found = settings.submissions_folder / f"{settings.run}-masks", unknown_masks.LocatedMaskDataset(ready, settings.run_folder)
    for split in ("test", "holdout"):
        rows = ready.split(split)
        with ProgressBar(f"write the masks of {split}", len(rows)) as bar:
            for row in rows:
                with files.atomic_write(folder / split / f"{row.id.replace('/', '-')}.png") as file:
                    file.write(encode_png(np.uint8(255 * found.mask(row)[..., None])))
                bar.advance(1, f"{bar.rate():.0f} pictures/s")
    print_message(f"serialize: {folder}, white where pixels are missing; {settings.run} paints nothing, so there is no file to submit.")


def mended(ready, rows, path):
    """The run's mended pictures, floats in 0..1, one at a time."""
    predicted = predictions.PredictionFile(path)
    with ProgressBar(f"write the rows of {path.stem}", len(rows)) as bar:
        for row in rows:
            yield predicted.read_image(row.id, ready.damaged(row) / 255, ready.hole(row) > 0)
            bar.advance(1, f"{bar.rate():.0f} pictures/s")
