"""Train the network of the fill `photos` anew, from the photographs that come with pixmend, scikit-learn and scikit-image.

    python -m benchmarks pretrain --home FOLDER [--minutes 40] [--out FILE]

Many squares of many scales are cut from each training photograph of the demo, and given to a training on the demo as extra
pictures. Photographs of its holdout and of its test images are left out. The weights are written as photos_fill.safetensors; the
column `learned` of photographs.csv says which photographs were used.
"""

import argparse
import json
from pathlib import Path

import numpy as np

from benchmarks._measure import run_stage
from pixmend import backend, run_file
from pixmend.competitions.demo import SMALLEST
from pixmend.data import photos
from pixmend.data.dataset import Dataset
from pixmend.data.encode import encode_png
from pixmend.networks.photos_fill import WEIGHTS

COMPETITION, SIDE, SEED = ("--competition", "demo", "--augment", "8x"), 256, 20240229
RUN = "pretraining"
NETWORK = "--model window_unet --init-from= --width 24 --levels 5 --masks-per-image 5 --evaluate-every 500"


def main() -> None:
    options = parse_options()
    for stage in ("download", "augment"):
        run_stage(options.home, COMPETITION, stage)
    crops = options.home / "crops"
    write_crops(crops, options.crops, list_held_out(options.home))
    flags = f"{NETWORK} --minutes {options.minutes} --extra-pictures {crops} --run {RUN}"
    for stage in ("augment", "train", "predict", "serialize", "score"):
        run_stage(options.home, COMPETITION, stage, flags)
    write_weights(options.home / "checkpoints" / "demo" / RUN, options.out)
    print(options.out)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks pretrain", description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path, required=True, help="folder for everything that the stages write")
    parser.add_argument("--minutes", type=float, default=40, help="of training")
    parser.add_argument("--crops", type=int, default=150, help="squares that are cut from each photograph")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="file of the weights")
    return parser.parse_args()


def list_held_out(home: Path) -> set[str]:
    """Return the photographs that the demo holds out."""
    dataset = Dataset(home / "augment" / "demo")
    return {Path(row.id).name.rpartition(" (")[0] for row in dataset.split("holdout")}


def write_crops(folder: Path, count: int, held_out: set[str]) -> None:
    """Write squares of each training photograph, unless they exist."""
    if folder.exists():
        return
    folder.mkdir(parents=True)
    used = [photo for photo in photos.list_demo_photos() if photo.split == "train" and photo.name not in held_out]
    for number, photo in enumerate(used):
        rng, original = np.random.default_rng((SEED, number)), photo.decode()
        for place, square in enumerate(photos.cut_squares(rng, original, count, SMALLEST, least=0)):
            image = photos.resize_image(photos.convert_to_colour(square), (SIDE, SIDE, 3))
            (folder / f"{photo.name} {place:03}.png").write_bytes(encode_png(image))
    print(f"{count} squares of each of {len(used)} photographs")


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
