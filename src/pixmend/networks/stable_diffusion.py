"""Stable Diffusion inpainting, pretrained: told what a picture shows, it paints the hole; nothing is trained here.

PyTorch and diffusers cannot share an environment with the rest, so they have one of their own, made from
requirements-diffusion.txt and named by --diffusion-env, in which a child process does the work. Pictures go there and come
back as PNG files; those that are done lie in the run's folder, so that a stopped run goes on with the next one.
"""

import tempfile
import zlib
from pathlib import Path

import numpy as np

from pixmend import files, subprocesses
from pixmend.config import ROOT, of_group
from pixmend.data.decode import decode
from pixmend.data.encode import encode_png
from pixmend.errors import FlagError, UserError
from pixmend.progress import Bar

PROGRAM = Path(__file__).parent / "diffusion_program.py"
MULTIPLE = 8      # pixels: what the latent pictures stand for
PATIENCE = 3600   # seconds: a picture at 512x512 takes some minutes on a CPU


def paint(ready, rows, split, settings):
    """Yield the painted picture of each row, known pixels and all, as floats in 0..1."""
    made_from = [of_group(settings, "stable_diffusion"), settings.seed, ready.made_from]
    folder = settings.run_folder / "painted" / f"{split}-{files.fingerprint(made_from)}"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:05}.png" for number in range(len(rows))]
    for path in paths if settings.force else []:
        path.unlink(missing_ok=True)
    missing = [(row, path) for row, path in zip(rows, paths, strict=True) if not path.exists()]
    if missing:
        paint_missing(ready, missing, settings, Bar(f"paint the {split} pictures", len(rows), len(rows) - len(missing)))
    for row, path in zip(rows, paths, strict=True):
        yield decode(path, ready.damaged(row).shape) / np.float32(255)


def paint_missing(ready, missing, settings, bar):
    """Let the child paint; whatever it says is a sign of life, and the files that appeared are counted."""
    python, awaited = environment(settings), [path for _, path in missing]

    def heard(_):
        done = bar.total - sum(not path.exists() for path in awaited)
        told = f"{bar.rate():.2g} pictures/s" if done > bar.first else f"loading {settings.diffusion_model}"
        bar.advance(done - bar.done, told)

    with tempfile.TemporaryDirectory() as folder, bar:
        job = write_job(Path(folder), ready, missing, settings)
        ended = subprocesses.run([python, str(PROGRAM), str(job)], patience=PATIENCE, heard=heard)
    if ended.code != 0:
        raise UserError(failure(ended, settings))


def environment(settings):
    """The Python of the environment of its own."""
    if settings.diffusion_size % MULTIPLE:
        raise FlagError(f"--diffusion-size {settings.diffusion_size} is no multiple of {MULTIPLE}.")
    home = Path(settings.diffusion_env or ROOT / ".diffusion").absolute()
    if not (home / "bin" / "python").exists():
        make = f"python3 -m venv {home} && {home}/bin/pip install -r {ROOT / 'requirements-diffusion.txt'}"
        raise UserError(f"{home} holds no environment for Stable Diffusion; make it with `{make}`, or name another one "
                        f"with --diffusion-env.")
    return str(home / "bin" / "python")


def write_job(folder, ready, missing, settings):
    """The pictures, their masks white on black, and what to do with them."""
    listed = []
    for number, (row, path) in enumerate(missing):
        picture, mask = folder / f"{number}.png", folder / f"{number}.mask.png"
        picture.write_bytes(encode_png(np.ascontiguousarray(ready.damaged(row))))
        mask.write_bytes(encode_png(np.where(ready.hole(row) > 0, np.uint8(255), np.uint8(0))[..., None]))
        listed.append({"picture": str(picture), "mask": str(mask), "painted": str(path.absolute()),
                       "prompt": prompt(row.kind, settings), "seed": zlib.crc32(f"{settings.seed} {row.id}".encode())})
    files.write_json(folder / "job.json", {"model": settings.diffusion_model, "size": settings.diffusion_size,
                                           "steps": settings.diffusion_steps, "pictures": listed})
    return folder / "job.json"


def prompt(kind, settings):
    return settings.prompt.replace("{class}", kind) if kind else settings.prompt_without_class


def failure(ended, settings):
    if ended.code is None:
        return (f"Nothing was heard from {settings.diffusion_model} for {PATIENCE} seconds; choose a smaller --diffusion-size or "
                f"fewer --diffusion-steps; pictures that are done are kept.")
    told = ended.err.strip().splitlines() or [f"it ended with code {ended.code}"]
    return f"--diffusion-model {settings.diffusion_model} could not paint: {told[-1]}"
