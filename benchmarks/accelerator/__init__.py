"""Everything that a short time on an accelerator should tell, in one command; what is done is kept when time runs out.

    KERAS_BACKEND=jax python -m benchmarks accelerator --data FOLDER --minutes 9 --out FOLDER

FOLDER of --data is what the stand-in's build.py wrote. In the order of their worth: the canvas transformer trained, painted
and scored; its speed; the speed of the full Pix2Pix at three batch sizes; Pix2Pix by the good recipe and as published.
"""

import argparse
import os
from pathlib import Path


def main():
    os.environ.setdefault("KERAS_BACKEND", "jax")
    from benchmarks.accelerator import run
    return run.run(parsed())


def parsed():
    parser = argparse.ArgumentParser(prog="python -m benchmarks accelerator", description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with photo-reconstruction.zip and truth/")
    parser.add_argument("--out", type=Path, required=True, help="folder for the table, figures, histories and weights")
    parser.add_argument("--minutes", type=float, default=9, help="for all of it")
    parser.add_argument("--prepared", type=Path, help="folder where prepared pictures are kept for the next call")
    parser.add_argument("--cores", type=int, default=os.cpu_count(), help="processes that prepare pictures")
    parser.add_argument("--network-share", type=float, default=0.6, help="of the minutes, at whose end the transformer's training ends")
    parser.add_argument("--longest", type=float, default=float("inf"), help="seconds of any training, for rehearsals")
    parser.add_argument("--width", type=int, default=512, help="of the transformer")
    parser.add_argument("--levels", type=int, default=8, help="its blocks")
    parser.add_argument("--batch", type=int, default=512, help="its canvases a step")
    parser.add_argument("--rate", type=float, default=1e-3, help="its first learning rate")
    parser.add_argument("--steps", type=int, default=16, help="its steps in one call of the device")
    parser.add_argument("--pix2pix-width", type=int, default=64, help="64 is the published network")
    parser.add_argument("--batches", type=int, nargs="*", default=[16, 64, 256], help="at which Pix2Pix's speed is measured")
    return parser.parse_args()
