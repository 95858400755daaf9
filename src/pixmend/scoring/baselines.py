"""The baselines of a competition: every fill that makes sense there, scored on the holdout once and kept."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from pixmend import competitions, files, models, workers
from pixmend.config import Settings
from pixmend.data import dataset as datasets
from pixmend.data.paste import paste_predictions, paste_values
from pixmend.evaluation import metrics
from pixmend.fills import FILLS, is_pretrained
from pixmend.networks import photos_fill
from pixmend.submissions.value_forms import AS_IN_IMAGES

CHUNK = 16
GIVEN = "given"   # the damaged image itself, where damaged pixels show something
TILE_FILLS, FINE_FILL = ("tile_harmonic", "tile_smooth"), "biharmonic"


def list_baselines(settings: Settings, dataset: Any) -> list[str]:
    """Return the fills to compare with: tile fills only where areas show tiles, biharmonic only for small holes."""
    competition = competitions.get_damage_competition(settings)
    usual_start = competitions.get_default_settings(settings).get("start")
    left_out = set() if competition.has_constraint else set(TILE_FILLS)
    left_out |= set() if usual_start == FINE_FILL else {FINE_FILL}
    left_out |= set() if can_compare_with_pretrained(settings, dataset) else {photos_fill.NAME}
    names = [name for name in sorted(FILLS) if name not in left_out - {settings.model, find_start(settings)}]
    return [*names, GIVEN] if competition.has_constraint else names


def can_compare_with_pretrained(settings: Settings, dataset: Any) -> bool:
    """Tell whether the weights are here, as they are not in a session at Kaggle, and did not learn from the holdout images."""
    return photos_fill.WEIGHTS.exists() and not models.has_learned_holdout(settings, dataset)


def find_start(settings: Settings) -> str:
    """Return the fill that the predictions of a run were before its first step; its weights may be those of one."""
    return photos_fill.NAME if settings.init_from == photos_fill.NAME else settings.start


def find_best_baseline(settings: Settings, sums: Mapping[str, Sequence[float]]) -> str:
    """Return the best fill that learned nothing and is not the run's own model."""
    names = [name for name in sums if name not in (settings.model, GIVEN) and not is_pretrained(name)]
    return min(names, key=lambda name: sum(sums[name]))


def score_baselines(settings: Settings, dataset: Any) -> dict[str, Any]:
    """Return squared errors (`sums`) and the competition's metrics (`scores`) of each baseline on the holdout images."""
    names, extra = list_baselines(settings, dataset), competitions.get_extra_metrics(settings)
    path = settings.augment_folder / "fills.json"
    cache_key = [dataset.cache_key, [models.identify_fill(name) for name in names], list(extra), *identify_scale(settings)]
    stored = files.read_object(path, {"made_from": list, "sums": {str: [float]}, "scores": {str: {str: float}}})
    if stored and stored["made_from"] == cache_key and not settings.force:
        return stored
    job = partial(score_images, settings, names)
    chunks = workers.run_in_chunks(job, dataset.split("holdout"), size=CHUNK, label="score the baselines")
    images = [scored for chunk in chunks for scored in chunk]
    result: dict[str, Any] = {"made_from": cache_key, "sums": {}, "scores": {}}
    for name in names:
        sums, _, parts = zip(*(image[name] for image in images), strict=True)
        result["sums"][name] = sums
        result["scores"][name] = {key: metric.over([part[key] for part in parts]) for key, metric in extra.items()}
    files.write_json(path, result)
    return result


def identify_scale(settings: Settings) -> list[str]:
    """Return the scale of a submission's values, in which all is scored; nothing where it is that of images."""
    scale = competitions.get_submission_format(settings, "holdout").get_form(settings).scale
    return [] if scale == AS_IN_IMAGES.scale else [scale]


def score_images(settings: Settings, names: list[str], rows: Any) -> list[dict[str, Any]]:
    """Score every baseline on some images as the run is scored, with values as a submission has them; in a worker process."""
    dataset, extra = datasets.open_dataset_cached(settings.augment_folder), competitions.get_extra_metrics(settings)
    submit = partial(competitions.get_submission_format(settings, "holdout").to_submission_values, settings=settings)
    fills = {name: (lambda image, mask: image) if name == GIVEN else models.get_fill(name) for name in names}
    scored = []
    for row in rows:
        damaged, original = dataset.read_damaged(row) / np.float32(255), dataset.read_original(row) / np.float32(255)
        counts = dataset.read_counts(row)
        mask = counts > 0
        truth, known = submit(original), submit(damaged)
        filled = {name: submit(paste_predictions(damaged, mask, fill(damaged, mask))) for name, fill in fills.items()}
        scored.append({name: score_image(truth, paste_values(known, mask, image[mask]), counts, extra)
                       for name, image in filled.items()})
    return scored


def score_image(original: np.ndarray, predicted: np.ndarray, counts: np.ndarray, extra: Any) -> tuple[float, int, dict[str, Any]]:
    """Return the sum of squared errors, the number of values, and the parts of the competition's metrics."""
    parts = {name: metric.parts(original, predicted, counts) for name, metric in extra.items()}
    return *metrics.sum_squared_errors(original, predicted, counts), parts
