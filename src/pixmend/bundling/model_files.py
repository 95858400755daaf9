"""The trained model of a bundle: its run, the runs that it was made of, and their files without what is private."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pixmend import files, models, run_file
from pixmend.config import PATHS, Settings
from pixmend.data.dataset import EXTRA_HASH, PICTURES, count_extra_pictures, list_fold_folders
from pixmend.errors import UserError
from pixmend.experiments.run_costs import measure_run_costs
from pixmend.mending.new_test_set import explain_refusal, load_other_run
from pixmend.networks import photos_fill
from pixmend.setting_values import format_run_command
from pixmend.training import checkpoints
from pixmend.training.run import load_run_settings

MODEL_FOLDER = "model"
HISTORY = "history.csv"
# The tables of run.toml that are handed in; the others are of Kaggle, of sweeps and of this machine.
TABLES = ("common", "download", "augment", "network", "training", "diffusion", "distributed", "prediction", "submission",
          "ensemble", "trained", "versions", "hardware", "git")


@dataclass(frozen=True)
class BundledRun:
    """A run of the bundle: its settings, and what decided its weights."""

    settings: Settings
    trained: Mapping[str, Any]

    @property
    def model(self) -> str:
        return self.trained.get("model", "")

    @property
    def is_mix(self) -> bool:
        return self.model == "ensemble"

    @property
    def extra_pictures(self) -> int:
        """The number of pictures from elsewhere on which it was trained; 0 where that was not recorded."""
        return count_extra_pictures(self.settings.trained_folder)

    def list_folds(self) -> list[str]:
        return list_fold_folders(self.trained.get("folds", 1))

    def list_weights(self) -> list[Path]:
        """Return the files of the weights; none of a fill or a mix."""
        if not models.is_trainable(self.model):
            return []
        folder, snapshot = self.settings.trained_folder, self.settings.snapshot
        return [checkpoints.find_weights(folder, fold, snapshot) for fold in self.list_folds()]

    @cached_property
    def parameters(self) -> int:
        """The number of parameters of all networks; every array is read, so a damaged file is an error."""
        total = 0
        for path in self.list_weights():
            with checkpoints.open_checkpoint(path) as (archive, _):
                arrays = (archive[name] for name in archive.files if name != "facts")
                total += sum(array.size for array in arrays if array.dtype.kind == "f")
        return total

    def measure_training(self) -> tuple[float, int]:
        """Return minutes and steps of training, of all folds together."""
        costs = [measure_run_costs(self.settings.trained_folder / fold) for fold in self.list_folds()]
        return sum(cost["minutes"] or 0 for cost in costs), sum(cost["steps"] or 0 for cost in costs)

    def measure_prediction(self) -> tuple[float, int] | None:
        """Return the seconds of the recorded predictions and their images; None where they were not recorded."""
        paths = sorted(self.settings.run_folder.rglob("predict.json"))
        manifests = [manifest for path in paths if (manifest := files.read_object(path, {"made_from": dict}))]
        if not manifests or any("seconds" not in manifest for manifest in manifests):   # written by an earlier version
            return None
        return sum(manifest["seconds"] for manifest in manifests), max(manifest["images"] for manifest in manifests)


def list_runs(settings: Settings) -> list[BundledRun]:
    """Return the run itself, last, and before it those that it began from or that it mixes; refuse what cannot be bundled."""
    found: dict[str, BundledRun] = {}
    add_run(settings, found)
    extra = sorted({run.settings.extra_pictures for run in found.values()} - {""})
    if len(extra) > 1:
        raise UserError(f"The run {settings.run!r} cannot be bundled: its parts were trained with different --extra-pictures "
                        f"({', '.join(extra)}), and an archive has one such folder. Put them into one, and train again.")
    return list(found.values())


def uses_extra_pictures(runs: Sequence[BundledRun]) -> bool:
    return any(run.settings.extra_pictures for run in runs)


def add_run(settings: Settings, found: dict[str, BundledRun]) -> None:
    trained = run_file.read_trained(settings.trained_folder)
    if trained is None:
        raise UserError(f"The run {settings.run!r} was not trained ({settings.trained_folder}). Train it first: "
                        f"{format_run_command('train', settings.run, settings)}")
    if not (settings.trained_folder / run_file.RUN_FILE).exists():
        raise UserError(f"{settings.trained_folder} is a run of the first edition. Write its {run_file.RUN_FILE} first: "
                        f"{format_run_command('configure', settings.run, settings)}")
    run = BundledRun(settings, trained)
    if not run.is_mix:
        run = BundledRun(settings, run_file.add_missing_settings(trained))
        of_weights = load_run_settings(settings)
        if reason := explain_refusal(of_weights):
            raise UserError(f"The run {settings.run!r} cannot be bundled: {reason}. Bundle another run.")
    for name in [*trained.get("members", []), *filter(None, [trained.get("init_from")])]:
        if name not in found and name != photos_fill.NAME:   # those weights are part of pixmend's source
            add_run(load_other_run(settings, name), found)
    run.list_weights()
    found[settings.run] = run


def list_model_files(runs: list[BundledRun]) -> dict[str, Path | bytes]:
    """Return the files of the runs by their names in the archive, under the folders that a home has in checkpoints/."""
    found: dict[str, Path | bytes] = {}
    for run in runs:
        folder = run.settings.trained_folder
        place = f"{MODEL_FOLDER}/{run.settings.dataset_name}/{folder.name}"
        found[f"{place}/{run_file.RUN_FILE}"] = format_run_file(run)
        if (folder / PICTURES).exists():
            found[f"{place}/{PICTURES}"] = format_pictures(folder / PICTURES)
        records = [folder / fold / HISTORY for fold in run.list_folds()]
        for path in [*run.list_weights(), *(path for path in records if path.exists())]:
            found[f"{place}/{path.relative_to(folder).as_posix()}"] = path
    return found


def format_pictures(path: Path) -> bytes:
    """Return on which images a run was trained, without the hash of its extra pictures: that of a copy is another one."""
    stored = files.read_object(path, {"split": str}) or {}
    return (json.dumps({name: value for name, value in stored.items() if name != EXTRA_HASH}, indent=1) + "\n").encode()


def format_run_file(run: BundledRun) -> bytes:
    """Return the run's file with the settings of its predictions and its submission, and without paths of this machine."""
    tables = run_file.read_tables(run.settings.trained_folder / run_file.RUN_FILE) or {}
    kept = {name: value for name, value in tables.items() if not isinstance(value, Mapping) or name in TABLES}
    used = run_file.read_used_settings(run.settings)
    for group, values in kept.items():
        if isinstance(values, Mapping):
            kept[group] = {name: used.get(name, hide_path(name, value)) for name, value in values.items()}
    return run_file.format_toml(kept).encode()


def hide_path(name: str, value: Any) -> Any:
    """Return a setting without a place on this machine, of which the last name stays, and without logs that it would send."""
    if name == "log":
        return ""
    return Path(value).name if isinstance(value, str) and (name in PATHS or os.path.isabs(value)) else value
