"""The model card of an exported run: a README.md written from what was measured."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pixmend import models, run_file
from pixmend.config import Settings, flag
from pixmend.data import dataset as datasets
from pixmend.data.dataset import Dataset, DatasetRow, count_extra_pictures
from pixmend.errors import UserError
from pixmend.evaluation import leaderboard
from pixmend.networks.registry import get_network
from pixmend.sharing.exported_files import KERAS, ONNX, PICTURE, SETTINGS_FILE, WEIGHTS
from pixmend.submissions import predictions
from pixmend.training.loggers import holdout_images

RESULTS = {"holdout_rmse": "Holdout RMSE", "low": "95% interval, from", "high": "95% interval, to", "pictures": "Holdout images",
           "harmonic_rmse": "Harmonic fill on the same images", "to_harmonic": "RMSE divided by that of the harmonic fill",
           "iou": "Intersection over union of the masks", "public": "Public score", "private": "Private score",
           "minutes": "Minutes of training", "steps": "Steps of training", "date": "Scored on", "commit": "Commit of pixmend"}
SHOWN_SETTINGS = ("size", "work_size", "start", "loss", "LAMBDA", "batch_size", "learning_rate", "masks_per_image", "augment",
                  "seed")


@dataclass(frozen=True)
class Measured:
    """What is known of a run: its row of the leaderboard, hardware, parameters, and how exact its ONNX file is."""

    results: dict[str, str] = field(default_factory=dict)
    learned_holdout: bool = False   # by `photos`, whose weights the run has
    hardware: str = ""
    parameters: int = 0
    onnx_difference: float | None = None
    has_picture: bool = False


def read_measured(settings: Settings, score: Mapping[str, Any] | None) -> Measured:
    """Return what is known; the row of the leaderboard counts only if the run has a score, which is of its files as they are."""
    rows = leaderboard.read_leaderboard(settings.submissions_folder / "leaderboard.csv")
    row = next((row for row in rows if row["run"] == settings.run), {})
    hardware = (run_file.read_tables(settings.trained_folder / run_file.RUN_FILE) or {}).get("hardware", {})
    machine = f"{hardware.get('processor', 'unknown processor')}, {hardware.get('cores', '?')} cores"
    results = {name: row[name] for name in RESULTS if score and row.get(name)}
    return Measured(results, bool(score and score.get("learned_holdout")), machine)


def write_picture(path: Path, settings: Settings) -> bool:
    """Write some holdout images, damaged, predicted and original; return False where images or predictions are not here."""
    found = settings.run_folder / "holdout.npz"
    if not models.finds_masks(settings.model) and not settings.unknown_masks:
        with contextlib.suppress(UserError):
            dataset, file = datasets.open_dataset(settings), predictions.PredictionFile(found)
            predictions.check_same_dataset(found, dataset)
            rows = holdout_images.choose_rows(dataset.split("holdout"))
            path.write_bytes(holdout_images.join_strips(make_strip(dataset, file, row) for row in rows))
            return True
    return False


def make_strip(dataset: Dataset, file: predictions.PredictionFile, row: DatasetRow) -> np.ndarray:
    predicted = file.read_image(row.id, dataset.read_damaged(row) / np.float32(255), dataset.read_counts(row) > 0)
    return holdout_images.make_strip(dataset, row, predicted, is_mask=False)


def format_card(settings: Settings, measured: Measured) -> str:
    """Return the card: what hubs read at its top, then what it restores, what was measured, its files and its limits."""
    spec = get_network(settings.model)
    head = ["---", "library_name: keras", "pipeline_tag: image-to-image", "tags: [image-inpainting, pixmend]", "---", "",
            f"# {settings.run}: {settings.model} for {settings.dataset_name}", "",
            f"{spec.summary} {measured.parameters:,} parameters. Trained with pixmend for the competition "
            f"{settings.dataset_name}.", ""]
    picture = [f"![damaged, restored and original holdout images]({PICTURE})", ""] if measured.has_picture else []
    sections = [*format_results(measured), *format_files(settings, measured), *format_limits(settings)]
    return "\n".join([*head, *picture, *sections]) + "\n"


def format_results(measured: Measured) -> list[str]:
    rows = [f"| {RESULTS[name]} | {value} |" for name, value in measured.results.items()]
    none = [] if {"holdout_rmse", "iou"} & measured.results.keys() else ["The run has no score: `pixmend score` measures it.", ""]
    learned = [models.LEARNED_HOLDOUT, ""] if measured.learned_holdout else []
    table = ["| | |", "|---|---|", *rows, f"| Hardware of the training | {measured.hardware} |", ""]
    return ["## Measured", "", *none, *learned, *table]


def format_files(settings: Settings, measured: Measured) -> list[str]:
    height, width, channels = settings.input_shape
    difference = measured.onnx_difference
    onnx = (f"- `{ONNX}`: the same network in ONNX; in onnxruntime it differs from Keras by {difference:.1e} at most."
            if difference is not None else "- There is no ONNX file: this network cannot be converted.")
    return ["## Files", "",
            f"- `{KERAS}`: the network with its weights. `import pixmend.networks.keras_layers` first, then "
            f"`keras.saving.load_model(\"{KERAS}\")`.", onnx,
            f"- `{WEIGHTS}` and `{SETTINGS_FILE}`: the weights, and every setting that the network and the training had.", "",
            f"Input: images, float32 in 0..1, batch x {height} x {width} x {channels}"
            f"{', red first' if channels == 3 else ''}, and masks, 1 where pixels are missing, batch x {height} x {width} x 1. "
            f"{describe_output(settings)}", "", *describe_command(settings), ""]


def describe_command(settings: Settings) -> list[str]:
    """Return the command that mends a picture with the exported run, or why there is none."""
    if models.finds_masks(settings.model):
        return ["`pixmend mend` takes no exported run that finds masks."]
    if reason := models.explain_no_mending(settings.model):
        return [f"`pixmend mend` does not take it: {reason}."]
    return ["To mend a picture of any size with it:", "", "```bash", "pixmend mend PHOTO --mask MASK --run folder:THIS_FOLDER",
            "```"]


def describe_output(settings: Settings) -> str:
    if models.finds_masks(settings.model):
        return "Output: the probability of each pixel to be missing."
    window = f" The input is a window around one hole, {settings.window:g} times as wide as it." if settings.window else ""
    filled = "" if settings.start in datasets.UNFILLED else f" Missing pixels are filled first ({settings.start})."
    return f"Output: the restored image.{window}{filled}"


def describe_training_images(settings: Settings) -> str:
    """Return what the run, and those from which it began, have seen."""
    runs = models.list_beginnings(settings)
    trained = [run_file.read_trained(run.trained_folder) or {} for run in runs]
    seen = [f"the images and the holes of {settings.dataset_name}"]
    if any(values.get("extra_pictures") for values in trained):
        number = max(count_extra_pictures(run.trained_folder) for run in runs)
        seen.append(f"{number:,} pictures from elsewhere with such holes" if number else "pictures from elsewhere")
    if any(values.get("model") == "pretrained_unet" and values.get("encoder_weights") != "none" for values in trained):
        seen.append("the images of the pretrained weights with which its encoder began")
    if any(models.uses_photos_weights(values) for values in trained):
        seen.append("the photographs of the weights that come with pixmend, with which it began")
    return " and on ".join(seen) if len(seen) > 1 else f"{seen[0]} only"


def format_limits(settings: Settings) -> list[str]:
    used = ", ".join(f"{flag(name)} {getattr(settings, name)}" for name in SHOWN_SETTINGS)
    if models.finds_masks(settings.model):
        does, guess = "It finds the pixels that are missing, and restores none.", "What it finds can be wrong."
    else:
        does = ("It restores pixels that are missing at known places. Its results are smooth, because it was measured by squared "
                "errors.")
        guess = "What it restores is a guess and no record of what was there."
    return ["## Use and limits", "",
            f"{does} It was trained on {describe_training_images(settings)}; on other images and holes its error was not "
            f"measured. {guess}", "",
            "The licence of the training images decides how the weights may be used; it is not stated here.", "",
            f"Settings: {used}."]
