"""Whole pictures damaged anew and filled before training, each --masks-per-image times, so that no step waits for a fill.

damages/<key>.npy in the prepared set holds them for all later runs, uint8, pictures x damages x height x width x channels of
what is seen and, last, how often each pixel is asked for. Pictures are those of training and holdout, in the order of the set.
"""

from functools import partial

import numpy as np

from pixmend import competitions, files, workers
from pixmend.config import flag, refusing
from pixmend.data import dataset
from pixmend.data.array_files import OnDisk
from pixmend.errors import FlagError
from pixmend.training.batches import DAMAGE, fill_inputs
from pixmend.training.filled_images import write_array

CHUNK = 4   # pictures
DRAWN_LATER = ("fresh_masks", "jitter")


def check_settings(settings):
    for name in DRAWN_LATER:
        if getattr(settings, name):
            raise FlagError(f"{flag(name)} draws pictures as training goes on, and --masks-per-image before it; give {refusing(name)}, "
                            f"or --masks-per-image 0.")


def draw_training_masks(settings, ready):
    """Every damage of every picture, made where they are not there."""
    made_from = {name: ready.made_from[name] for name in ("archive", "size", "broken")}
    made_from |= {name: getattr(settings, name) for name in ("start", "masks_per_image", "split_seed", *dataset.OF_DAMAGE)}
    folder = settings.augment_folder / "damages"
    path = folder / f"{files.fingerprint(made_from)}.npy"
    folder.mkdir(exist_ok=True)
    with files.in_turn(folder / ".lock"):
        if not files.receipt_holds(path.with_suffix(".json"), made_from):
            write(path, settings, ready)
            files.write_receipt(path.with_suffix(".json"), made_from, [path])
    return OnDisk(path, axes=2)


def write(path, settings, ready):
    count = len(ready.pictures) - len(ready.counts)
    height, width, channels = settings.shape
    chunks = workers.over_chunks(partial(damage_chunk, settings), range(count), size=CHUNK, label="damage and fill")
    write_array(path, (count, settings.masks_per_image, height, width, channels + 1), chunks)


def damage_chunk(settings, numbers):
    """Some pictures under all their damages, in a process of its own."""
    ready, contest = dataset.kept_open(settings.augment_folder), competitions.damage_competition(settings)
    wholes = [ready.pictures[len(ready.counts) + number] for number in numbers]
    return np.stack([[damaged(settings, contest, whole, (number, damage)) for damage in range(1, settings.masks_per_image + 1)]
                     for number, whole in zip(numbers, wholes, strict=True)])


def damaged(settings, contest, whole, places):
    picture, counts = contest.damage_image(np.random.default_rng((settings.split_seed, DAMAGE, *places)), whole, settings)
    seen = fill_inputs(whole, picture, counts > 0, settings.start)
    return np.dstack([np.rint(seen * 255).astype(np.uint8), counts])
