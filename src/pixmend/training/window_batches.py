"""Batches of windows: every box of every training picture, as given and under fresh damage, cut and shrunk beforehand.

windows/<key>.npy in the prepared set holds them for all later runs, uint8, windows x size x size x channels of what is seen,
the share that is missing, the share in the window's own box, and the whole picture; <key>-pictures.npy says whose each is.
"""

from functools import partial

import numpy as np

from pixmend import competitions, files, workers
from pixmend.config import flag, refusing
from pixmend.data import dataset
from pixmend.data.array_files import OnDisk
from pixmend.data.augmentation import turn
from pixmend.data.windows import cut, look, own
from pixmend.errors import FlagError
from pixmend.training import filled_images
from pixmend.training.batches import DAMAGE, bytes_to_floats, draw_order, fill_inputs, list_positions, stack_floats

CHUNK = 16
WHOLE_PICTURES_ONLY = ("fresh_masks", "jitter", "noise", "contrast_weighting")


class WindowBatches:
    """As Batches, of windows instead of pictures: a batch is a function of seed and step."""

    def __init__(self, settings, ready):
        self.settings = settings
        self.windows, pictures = cut_training_windows(settings, ready)
        of_picture = by_picture(pictures)
        self.items = [(window, row.variant) for row in ready.split("train") for window in of_picture.get(row.damaged, [])]

    def get_batch(self, step):
        windows = np.stack([turn(self.windows[window], variant) for window, variant in self._items(step)])
        channels = windows.shape[-1] // 2 - 1
        parts = np.split(windows, [channels, channels + 1, channels + 2], axis=-1)
        seen, mask, weight, whole = (stack_floats([part])[0] for part in parts)
        return (seen, mask), whole, weight[..., 0] if self.settings.loss_region == "hole" else None

    def get_compact_batch(self, step):
        windows, variants = zip(*self._items(step), strict=True)
        return {"windows": np.stack([self.windows[window] for window in windows]), "variants": np.array(variants, np.uint8)}

    def _items(self, step):
        places = (divmod(number, len(self.items)) for number in list_positions(self.settings, step))
        return [self.items[draw_order(self.settings.seed, epoch, len(self.items))[place]] for epoch, place in places]


def by_picture(pictures):
    """The numbers of each picture's windows."""
    sorted_by_picture = np.argsort(pictures, kind="stable")
    numbers, first = np.unique(pictures[sorted_by_picture], return_index=True)
    return dict(zip(numbers.tolist(), np.split(sorted_by_picture, first[1:]), strict=True))


def check_settings(settings):
    if 0 < settings.window < 1:
        raise FlagError(f"--window {settings.window:g} would show less than the box that is to be painted; give 1 or more, or 0 "
                        f"for whole pictures.")
    for name in WHOLE_PICTURES_ONLY:
        if getattr(settings, name):
            raise FlagError(f"{flag(name)} is for networks that see whole pictures; windows are damaged anew by --masks-per-image. Give "
                            f"{refusing(name)}, or --window 0.")


def cut_training_windows(settings, ready):
    """The windows and the picture of each; kept beside the prepared set, since they are the same for every network."""
    made_from = {name: ready.made_from[name] for name in ("archive", "size", "broken")}
    names = ("window", "work_size", "start", "masks_per_image", "split_seed", *dataset.OF_DAMAGE)
    made_from |= {name: getattr(settings, name) for name in names}
    folder = settings.augment_folder / "windows"
    path = folder / f"{files.fingerprint(made_from)}.npy"
    paths = path, path.with_stem(f"{path.stem}-pictures")
    folder.mkdir(exist_ok=True)
    with files.in_turn(folder / ".lock"):   # of processes that train together the first cuts for all
        if not files.receipt_holds(path.with_suffix(".json"), made_from):
            write(*paths, settings, ready)
            files.write_receipt(path.with_suffix(".json"), made_from, paths)
    return OnDisk(path), np.load(paths[1])


def write(windows_file, pictures_file, settings, ready):
    """Window after window; how many they are is known, and written before them, last."""
    filled_images.fill_training_images(settings, ready)
    rows = [row for row in ready.rows if row.variant == 0 and row.split != "test"]
    jobs = [(row, number) for row in rows for number in range(1 + settings.masks_per_image)]
    job, pictures = partial(cut_chunk, settings), []
    with files.whole_file(windows_file) as file:
        write_header(file, 0, settings)
        for chunk in workers.over_chunks(job, jobs, size=CHUNK, label="cut windows", unit="damages"):
            for window, picture in chunk:
                file.write(window.tobytes())
                pictures.append(picture)
        file.seek(0)
        write_header(file, len(pictures), settings)
    with files.whole_file(pictures_file) as file:
        np.save(file, np.array(pictures))


def write_header(file, count, settings):
    """NumPy leaves room in it for any count."""
    height, width, channels = settings.seen_shape
    shape = (count, height, width, 2 * channels + 2)
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def cut_chunk(settings, jobs):
    """The windows of some pictures under some damages, in a process of its own; damage 0 is the picture's own."""
    ready, contest = dataset.kept_open(settings.augment_folder), competitions.damage_competition(settings)
    return [(window, row.damaged) for row, number in jobs for window in windows_of(settings, ready, contest, row, number)]


def windows_of(settings, ready, contest, row, number):
    whole, counts, damaged = bytes_to_floats(ready.whole(row)), ready.hole(row), ready.damaged(row)
    seen = bytes_to_floats(ready.seen(row, settings.start))
    if number:
        rng = np.random.default_rng((settings.split_seed, DAMAGE, row.damaged, number))
        damaged, counts = contest.damage_image(rng, ready.whole(row), settings)
        seen = fill_inputs(ready.whole(row), damaged, counts > 0, settings.start)
    sides, size = settings.window, settings.work_size
    for box in contest.find_boxes(bytes_to_floats(damaged), counts):
        colours, missing = look(seen, counts > 0, box, sides, size)
        layers = colours, missing, own(counts.shape, box, sides, size), cut(whole, box, sides, size)
        yield np.rint(np.dstack(layers) * 255).astype(np.uint8)
