"""Pretrained Stable Diffusion inpainting, with a prompt that says what an image shows; nothing is trained.

PyTorch and diffusers cannot be installed in the environment of everything else. They have one of their own, made from
requirements-diffusion.txt and named by --diffusion-env, in which a child process runs diffusion_program.py. Images are exchanged
as PNG files. The results lie in the folder of the run, so that an interrupted run continues with the next image.
"""

import tempfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pixmend import files, subprocesses
from pixmend.config import ROOT, Settings, group_values
from pixmend.data.dataset import Dataset, DatasetRow
from pixmend.data.decode import decode_image
from pixmend.data.encode import encode_png
from pixmend.errors import FlagError, UserError
from pixmend.progress import ProgressBar

RESULTS = "painted"   # folder in the folder of a run
SIZE_MULTIPLE = 8     # pixels of an image for one of its latent representation
TIMEOUT = 3600        # seconds without output; an image of 512x512 takes some minutes on a CPU


def predict_images(dataset: Dataset, rows: Sequence[DatasetRow], split: str, settings: Settings) -> Iterator[np.ndarray]:
    """Yield the image of each row, known pixels and all: float32 in 0..1."""
    cache_key = [group_values(settings, "diffusion"), settings.seed, dataset.cache_key]
    folder = settings.run_folder / RESULTS / f"{split}-{files.hash_value(cache_key)}"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:05}.png" for number in range(len(rows))]
    for path in paths if settings.force else []:
        path.unlink(missing_ok=True)
    missing = [(row, path) for row, path in zip(rows, paths, strict=True) if not path.exists()]
    if missing:
        bar = ProgressBar(f"predict the {split} images", len(rows), len(rows) - len(missing))
        inpaint_in_child_process(dataset, missing, settings, bar)
    for row, path in zip(rows, paths, strict=True):
        yield decode_image(path, dataset.read_damaged(row).shape) / np.float32(255)


def inpaint_in_child_process(dataset: Dataset, missing: Sequence[tuple[DatasetRow, Path]], settings: Settings,
                             bar: ProgressBar) -> None:
    """Write the results of some rows; progress is the number of files that have appeared."""
    python, program = find_python(settings), Path(__file__).with_name("diffusion_program.py")

    def show_progress(_: str) -> None:
        done = bar.total - sum(not path.exists() for _, path in missing)
        text = f"{bar.rate():.2g} images/s" if done > bar.first else f"loading {settings.diffusion_model}"
        bar.advance(done - bar.done, text)

    with tempfile.TemporaryDirectory() as folder, bar:
        job = write_job(Path(folder), dataset, missing, settings)
        ended = subprocesses.run_command([python, str(program), str(job)], timeout=TIMEOUT, on_output=show_progress)
    if ended.code is None:
        raise UserError(f"{settings.diffusion_model} gave no output for {TIMEOUT} seconds. Choose a smaller --diffusion-size or "
                        f"fewer --diffusion-steps; finished images are not computed again.")
    if ended.code != 0:
        reason = (ended.err.strip().splitlines() or [f"exit code {ended.code}"])[-1]
        raise UserError(f"--diffusion-model {settings.diffusion_model} failed: {reason}")


def find_python(settings: Settings) -> str:
    """Return the Python of the pipeline's own environment; raise an error if the pipeline cannot run here."""
    if settings.diffusion_size % SIZE_MULTIPLE:
        raise FlagError(f"--diffusion-size must be a multiple of {SIZE_MULTIPLE}; got {settings.diffusion_size}.")
    folder = Path(settings.diffusion_env or ROOT / ".diffusion").absolute()
    if not (folder / "bin" / "python").exists():
        command = f"python3 -m venv {folder} && {folder}/bin/pip install -r {ROOT / 'requirements-diffusion.txt'}"
        raise UserError(f"{folder} has no environment for Stable Diffusion. Make it with `{command}`, or name another one with "
                        f"--diffusion-env.")
    return str(folder / "bin" / "python")


def write_job(folder: Path, dataset: Dataset, missing: Sequence[tuple[DatasetRow, Path]], settings: Settings) -> Path:
    """Write the images, their masks (white where pixels are missing) and job.json, which says what to do with them."""
    items = []
    for number, (row, path) in enumerate(missing):
        image_path, mask_path = folder / f"{number}.png", folder / f"{number}.mask.png"
        with files.name_file_on_full_disk(image_path):
            image_path.write_bytes(encode_png(np.ascontiguousarray(dataset.read_damaged(row))))
            mask_path.write_bytes(encode_png(np.where(dataset.read_counts(row) > 0, np.uint8(255), np.uint8(0))[..., None]))
        items.append({"image": str(image_path), "mask": str(mask_path), "output": str(path.absolute()),
                      "prompt": format_prompt(row.label, settings), "seed": zlib.crc32(f"{settings.seed} {row.id}".encode())})
    files.write_json(folder / "job.json", {"model": settings.diffusion_model, "size": settings.diffusion_size,
                                           "steps": settings.diffusion_steps, "images": items})
    return folder / "job.json"


def format_prompt(label: str, settings: Settings) -> str:
    """Return the prompt of an image of this class; an empty label means that the class is unknown."""
    return settings.prompt.replace("{class}", label) if label else settings.prompt_without_class
