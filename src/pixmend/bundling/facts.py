"""What is known of a run that is bundled: its score, its baselines, its costs and its data, all of it as recorded."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pixmend import models, run_file
from pixmend.bundling.model_files import BundledRun, uses_extra_pictures
from pixmend.config import Settings
from pixmend.data import dataset as datasets
from pixmend.errors import UserError
from pixmend.evaluation import leaderboard
from pixmend.evaluation.bootstrap import Interval, bootstrap_interval, compute_rmse, describe_interval
from pixmend.progress import format_duration
from pixmend.scoring.baselines import find_best_baseline
from pixmend.scoring.outdated import read_current_score
from pixmend.setting_values import format_run_command

UNKNOWN = "not recorded"


@dataclass(frozen=True)
class Rmse:
    """An RMSE on the holdout with its 95% interval, which one photo does not have."""

    value: float
    interval: Interval | None

    def __str__(self) -> str:
        return f"{self.value:.5f} ({describe_interval(self.interval, 5)})"


@dataclass(frozen=True)
class Facts:
    """What documents say of a run."""

    settings: Settings
    runs: Sequence[BundledRun]
    score: Mapping[str, Any]
    row: Mapping[str, str]      # of the leaderboard
    record: Mapping[str, Any]   # the tables of its run.toml
    images: Mapping[str, int] = field(default_factory=dict)   # see count_images

    @property
    def run(self) -> BundledRun:
        return self.runs[-1]

    @property
    def baseline(self) -> str:
        """Return the best fill, which is the simple variant."""
        return find_best_baseline(self.settings, self.score["fills"])

    @property
    def is_budget_of_time(self) -> bool:
        """Tell whether minutes ended the training, so that another machine does other steps."""
        return any(run.trained.get("minutes", 0) > 0 and models.is_trainable(run.model) for run in self.runs)

    @property
    def needs_pretrained(self) -> bool:
        """Tell whether a training begins with weights that come in a package which few runs need."""
        return any(models.needs_encoder_package(run.trained) for run in self.runs)

    def get_rmse(self, fill: str = "") -> Rmse:
        """Return the RMSE of the run, or of a fill on the same images."""
        sums, counts = self.score["fills"][fill] if fill else self.score["sums"], self.score["numbers"]
        return Rmse(compute_rmse(sums, counts), bootstrap_interval(sums, counts, self.score["sources"]))

    def describe_extra_pictures(self) -> str:
        """Return how many pictures from elsewhere were training images; empty where there were none."""
        if not uses_extra_pictures(self.runs):
            return ""
        number = max(run.extra_pictures for run in self.runs)
        return f"{number:,} pictures from elsewhere" if number else "pictures from elsewhere, whose number was not recorded"

    def describe_colours(self) -> str:
        return "grey" if self.settings.channels == 1 else "in colour"

    def describe_hardware(self) -> str:
        hardware = self.record.get("hardware", {})
        return f"{hardware.get('processor', 'unknown processor')}, {hardware.get('cores', '?')} cores"

    def describe_training_time(self) -> str:
        """Return minutes and steps of all trainings in the bundle; the snapshots of a run are of one training."""
        trainings = {run.settings.trained_folder: run for run in self.runs if models.is_trainable(run.model)}
        trained = [run.measure_training() for run in trainings.values()]
        if not trained:
            return "nothing is trained"
        minutes, steps = map(sum, zip(*trained, strict=True))
        return f"{minutes:.1f} minutes, {steps:,} steps" if steps else UNKNOWN

    def describe_prediction_time(self) -> str:
        """Return the time of the predictions of all runs that predict."""
        names = self.run.trained.get("members", [self.settings.run])
        measured = [run.measure_prediction() for run in self.runs if run.settings.run in names]
        known = [found for found in measured if found]
        if len(known) < len(measured):
            return UNKNOWN
        seconds, images = sum(second for second, _ in known), known[0][1]
        shown = f"{seconds:.1f} seconds" if seconds < 60 else format_duration(seconds)
        return f"{shown} for {images:,} images, start of the backend included"


def collect_facts(settings: Settings, runs: Sequence[BundledRun]) -> Facts:
    """Read what the files of a run tell; a run without a score of its files is refused."""
    score = read_current_score(settings)
    if score is None:
        raise UserError(f"Run {settings.run!r} has no score in {settings.run_folder}. Score it first: "
                        f"{format_run_command('score', settings.run, settings)}")
    rows = leaderboard.read_leaderboard(settings.submissions_folder / "leaderboard.csv")
    row = next((row for row in rows if row["run"] == settings.run), {})
    record = run_file.read_tables(settings.trained_folder / run_file.RUN_FILE) or {}
    known = replace(settings, model=runs[-1].model)   # a mix has none of the models
    return Facts(known, runs, score, row, record, count_images(settings))


def count_images(settings: Settings) -> dict[str, int]:
    """Return the numbers of the competition's images, with originals and of the test; empty where the dataset is not here."""
    with contextlib.suppress(UserError):
        dataset = datasets.open_dataset(settings)
        test = len(dataset.split("test"))
        ids = set(dataset.rows.columns[0].to_pylist()) - datasets.list_extra_ids(dataset)
        return {"original": len(ids) - test, "test": test}
    return {}
