"""The baselines of a competition: every fill that makes sense there, scored on the holdout once and kept."""

from functools import partial
from typing import Any

import numpy as np

from pixmend import competitions, files, models, workers
from pixmend.config import Settings
from pixmend.data import dataset as datasets
from pixmend.data.paste import paste_predictions
from pixmend.evaluation import metrics

CHUNK = 16
GIVEN = "given"   # the damaged image itself, where damaged pixels show something
TILE_FILLS, FINE_FILL = ("tile_harmonic", "tile_smooth"), "biharmonic"


def list_baselines(settings: Settings) -> list[str]:
    """Return the fills to compare with: tile fills only where areas show tiles, the biharmonic fill only for small holes."""
    competition = competitions.get_damage_competition(settings)
    usual_start = competitions.get_default_settings(settings).get("start")
    left_out = set() if competition.has_constraint else set(TILE_FILLS)
    left_out |= set() if usual_start == FINE_FILL else {FINE_FILL}
    names = [name for name in models.list_fills() if name not in left_out - {settings.model, settings.start}]
    return [*names, GIVEN] if competition.has_constraint else names


def score_baselines(settings: Settings, dataset: Any) -> dict[str, Any]:
    """Return squared errors (`sums`) and the competition's metrics (`scores`) of each baseline on the holdout images."""
    names, extra = list_baselines(settings), competitions.get_extra_metrics(settings)
    path, cache_key = settings.augment_folder / "fills.json", [dataset.cache_key, names, list(extra)]
    stored = files.read_json(path)
    if stored and stored["made_from"] == cache_key and not settings.force:
        return stored
    job = partial(score_images, settings, names)
    chunks = workers.run_in_chunks(job, dataset.split("holdout"), size=CHUNK, label="score the baselines")
    images = [scored for chunk in chunks for scored in chunk]
    result = {"made_from": cache_key, "sums": {name: [image[name][0] for image in images] for name in names},
              "scores": {name: {metric: extra[metric].over([image[name][2][metric] for image in images]) for metric in extra}
                         for name in names}}
    files.write_json(path, result)
    return result


def score_images(settings: Settings, names: list[str], rows: Any) -> list[dict[str, Any]]:
    """Score every baseline on some images, in a worker process."""
    dataset, extra = datasets.open_dataset_cached(settings.augment_folder), competitions.get_extra_metrics(settings)
    fills = {name: (lambda image, mask: image) if name == GIVEN else models.get_fill(name) for name in names}
    scored = []
    for row in rows:
        damaged, counts, original = dataset.read_damaged(row) / np.float32(255), dataset.read_counts(row), dataset.read_original(row) / np.float32(255)
        mask = counts > 0
        scored.append({name: score_image(original, paste_predictions(damaged, mask, fill(damaged, mask)), counts, extra)
                       for name, fill in fills.items()})
    return scored


def score_image(original: np.ndarray, predicted: np.ndarray, counts: np.ndarray, extra: Any) -> tuple[float, int, dict[str, Any]]:
    """Return the sum of squared errors, the number of values, and the parts of the competition's metrics."""
    parts = {name: metric.parts(original, predicted, counts) for name, metric in extra.items()}
    return *metrics.sum_squared_errors(original, predicted, counts), parts
