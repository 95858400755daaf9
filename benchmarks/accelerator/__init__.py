"""Everything that a short time on an accelerator can show, in one command; what is done is kept when the time runs out.

    KERAS_BACKEND=jax python -m benchmarks accelerator --data FOLDER --minutes 9 --out FOLDER

FOLDER of --data holds photo-reconstruction.zip, in the format of the competition, and truth/, with the original of each test
image as PNG. The parts, most important first: the canvas transformer is trained, predicts and is scored; its speed; the speed of
the full Pix2Pix at three batch sizes; Pix2Pix is trained by the good recipe, here on whole images, and as published. It runs
from a checkout, with src/ in PYTHONPATH, where only these packages are installed. On a machine without a network, their wheels
are brought along:

    pip download "jax[cuda12]" keras opencv-python-headless scipy simplejpeg
"""

import argparse
import os
from pathlib import Path


def main() -> None:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    from benchmarks.accelerator.run import run_all_parts  # imports Keras
    run_all_parts(parse_options())


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks accelerator", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with photo-reconstruction.zip and truth/")
    parser.add_argument("--out", type=Path, required=True, help="folder for the table, results, histories and weights")
    parser.add_argument("--minutes", type=float, default=9, help="for everything together")
    parser.add_argument("--prepared", type=Path, help="folder where decoded images are stored for the next call")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="processes that decode images")
    parser.add_argument("--network-share", type=float, default=0.6,
                        help="the training of the transformer ends after this share of the minutes")
    parser.add_argument("--longest", type=float, default=float("inf"), help="most seconds of each training, for trials")
    parser.add_argument("--width", type=int, default=512, help="width of the transformer")
    parser.add_argument("--levels", type=int, default=8, help="its blocks")
    parser.add_argument("--batch", type=int, default=512, help="its canvases per step")
    parser.add_argument("--rate", type=float, default=3e-3, help="its highest learning rate")
    parser.add_argument("--steps", type=int, default=16, help="its steps in one call of the device")
    parser.add_argument("--pix2pix-width", type=int, default=64, help="64 is the published network")
    parser.add_argument("--batches", type=int, nargs="*", default=[16, 64, 256], help="batch sizes for the speed of Pix2Pix")
    return parser.parse_args()
