"""Train the network of the fill `photos` anew, from freely licensed photographs.

    python -m benchmarks pretrain --home FOLDER --packages FOLDER [--minutes 75] [--out FILE]

Many squares of many scales are cut from each training photograph of the demo, and from those that desktop_photographs.csv lists:
photographs in Ubuntu's packages, which --packages holds unpacked, each in a folder of its name. They are given to a training on
the demo as extra pictures. The demo's holdout and test images come from other photographs. The weights are written as
photos_fill.safetensors.
"""

import argparse
import csv
import hashlib
import json
import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks._measure import run_stage
from pixmend import backend, files, run_file, workers
from pixmend.competitions.demo import SMALLEST
from pixmend.data import photos
from pixmend.data.dataset import Dataset
from pixmend.data.decode import decode_photo
from pixmend.data.encode import encode_png
from pixmend.errors import UserError
from pixmend.networks.photos_fill import DESKTOP_PHOTOGRAPHS, WEIGHTS

COMPETITION, SIDE, SEED = ("--competition", "demo", "--augment", "8x"), 256, 20240229
SHORTER_SIDE, DEMO_CROPS, CHUNK = 640, 4, 4   # pixels of a photograph; crops of one of the demo, as a multiple; photographs
RUN = "pretraining"
NETWORK = "--model window_unet --init-from= --width 24 --levels 5 --masks-per-image 2 --evaluate-every 500"


def main() -> None:
    options = parse_options()
    for stage in ("download", "augment"):
        run_stage(options.home, COMPETITION, stage)
    photographs = list_demo_photographs(options.home) + list_packaged_photographs(options.packages)
    crops = write_crops(options.home, options.crops, photographs)
    flags = f"{NETWORK} --minutes {options.minutes} --extra-pictures {shlex.quote(str(crops))} --run {RUN}"
    for stage in ("augment", "train", "predict", "serialize", "score"):
        run_stage(options.home, COMPETITION, stage, flags)
    write_weights(options.home / "checkpoints" / "demo" / RUN, options.out)
    print(options.out)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks pretrain", description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, required=True, help="folder for everything that the stages write")
    parser.add_argument("--packages", type=Path, help="folder of unpacked packages; without it, the demo's photographs only")
    parser.add_argument("--minutes", type=float, default=75, help="of training")
    parser.add_argument("--crops", type=int, default=24, help="squares of each photograph; of the demo's four times as many")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="file of the weights")
    return parser.parse_args()


def list_demo_photographs(home: Path) -> list[Path]:
    """Return the demo's photographs of which no image is held out or a test image."""
    held_out = {Path(row.id).name.rpartition(" (")[0] for row in Dataset(home / "augment" / "demo").split("holdout")}
    return [photo.path for photo in photos.list_demo_photos() if photo.split == "train" and photo.name not in held_out]


def list_packaged_photographs(packages: Path | None) -> list[Path]:
    """Return the photographs of the list, after a look at each file's hash; none without a folder."""
    if packages is None:
        return []
    with open(DESKTOP_PHOTOGRAPHS, newline="", encoding="utf-8") as table:
        listed = {packages / row["package"] / row["file"]: row["sha256"] for row in csv.DictReader(table)}
    for path, digest in listed.items():
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise UserError(f"{path} is missing, or another file than {DESKTOP_PHOTOGRAPHS.name} says. Unpack the package of the "
                            f"version that is named there: dpkg-deb -x PACKAGE.deb {packages}/PACKAGE")
    return list(listed)


def write_crops(home: Path, count: int, paths: Sequence[Path]) -> Path:
    """Write squares of each photograph, unless these very ones are there; the demo's, which come first, give more.

    Return their folder.
    """
    folder = home / f"crops-{files.hash_value([count, [path.name for path in paths]])}"
    if folder.exists():
        return folder
    part = folder.with_suffix(".part")
    part.mkdir(parents=True, exist_ok=True)
    cut = partial(write_squares, part, count)
    for _ in workers.run_in_chunks(cut, list(enumerate(paths)), size=CHUNK, label="cut squares", unit="photographs"):
        pass
    part.rename(folder)
    return folder


def write_squares(folder: Path, count: int, numbered: Sequence[tuple[int, Path]]) -> None:
    """Write squares of some photographs, in a worker process."""
    demo = {photo.path for photo in photos.list_demo_photos()}
    for number, path in numbered:
        rng, photograph = np.random.default_rng((SEED, number)), shrink(photos.convert_to_colour(decode_photo(path)))
        crops = count * DEMO_CROPS if path in demo else count
        for place, square in enumerate(photos.cut_squares(rng, photograph, crops, SMALLEST, least=0)):
            image = photos.resize_image(square, (SIDE, SIDE, 3))
            (folder / f"{number:03} {place:03} {photos.get_source(path.name)}.png").write_bytes(encode_png(image))


def shrink(photograph: np.ndarray) -> np.ndarray:
    """Return a photograph with SHORTER_SIDE pixels along its shorter side, or as it is if it has fewer."""
    height, width = photograph.shape[:2]
    factor = SHORTER_SIDE / min(height, width)
    return photograph if factor >= 1 else photos.resize_image(photograph, (round(height * factor), round(width * factor), 3))


def write_weights(run: Path, path: Path) -> None:
    """Write the weights of a run as float16, in the network's order, with its settings as metadata."""
    from safetensors.numpy import save_file

    backend.start_keras()
    from pixmend.training import checkpoints, setup

    settings = run_file.load_run(run / "run.toml")
    network = setup.build_network(setup.resolve_precision(settings))
    setup.load_weights(network, checkpoints.find_weights(run))
    names = "window", "work_size", "width", "levels", "start"
    metadata = {"settings": json.dumps({name: getattr(settings, name) for name in names})}
    save_file({str(number): np.asarray(array, np.float16) for number, array in enumerate(network.get_weights())}, path, metadata)
