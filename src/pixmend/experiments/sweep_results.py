"""The results of a sweep so far: its trials, which can be told apart, the best one's command, and which setting mattered."""

import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixmend import files
from pixmend.config import SETTINGS, Settings
from pixmend.experiments import search_space as spaces

DONE, STOPPED, FAILED, RUNNING = "done", "stopped early", "failed", "in training"
STATES = {"COMPLETE": DONE, "PRUNED": STOPPED, "FAIL": FAILED, "RUNNING": RUNNING, "WAITING": "waiting"}
MIN_TRIALS = 4   # fewer say nothing about what mattered
NOT_IN_A_COMMAND = {"sweep"}
SAME = 0.005   # relative difference of RMSE below which the order of trials is not reported


def get_results_path(settings: Settings, study: str) -> Path:
    return settings.run_folder.parent / f"{study}.sweep.json"


def read_sweeps(settings: Settings) -> list[dict[str, Any]]:
    """Return the results of all sweeps of a competition, by name."""
    return [files.read_json(file) for file in sorted(settings.run_folder.parent.glob("*.sweep.json"))]


def collect_results(settings: Settings, study: Any, space: spaces.Space, competition_defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of a sweep as plain values."""
    trials = [describe_trial(trial, space) for trial in study.list_trials()]
    best = min((trial for trial in trials if trial["state"] == DONE), key=lambda trial: trial["rmse"], default=None)
    command = best and format_pipeline_command(spaces.make_trial_settings(settings, best["values"], competition_defaults))
    return {"study": study.name, "wanted": study.wanted, "space": {name: str(values) for name, values in space.items()},
            "log": [name for name, values in space.items() if isinstance(values, spaces.Range) and values.log],
            "trials": trials, "best": best and best["number"], "command": command, "importance": compute_importance(study, trials, space)}


def describe_trial(trial: Any, space: spaces.Space) -> dict[str, Any]:
    found = trial.user_attrs
    values = {name: space[name].round_value(trial.params[name]) for name in space if name in trial.params}
    return {"number": trial.number, "state": STATES[trial.state.name], "values": values, "run": found.get("run", ""),
            "rmse": found.get("rmse"), "step": found.get("step", trial.last_step), "reason": found.get("reason", "")}


def format_pipeline_command(settings: Settings) -> str:
    """Return the command that makes a submission of a trial."""
    given = {name: getattr(settings, name) for name in SETTINGS if name in settings.given}
    wanted = {name: value for name, value in given.items() if SETTINGS[name].group not in NOT_IN_A_COMMAND}
    return shlex.join(["./run_pipeline.sh", *(word for name, value in wanted.items() for word in spaces.format_flag(name, value))])


def compute_importance(study: Any, trials: list[dict[str, Any]], space: spaces.Space) -> dict[str, float]:
    """Return the share of each setting in the variance of the RMSE (fANOVA); empty while there are too few trials."""
    known = [trial for trial in trials if trial["rmse"] is not None]
    varied = [name for name in space if len({trial["values"][name] for trial in known}) > 1]
    if len(varied) < 2 or len(known) < MIN_TRIALS or len({trial["rmse"] for trial in known}) < 2:
        return {}
    import optuna

    numbered = {trial.number: trial for trial in study.list_trials()}
    completed = optuna.create_study()   # trials that were stopped early count with their best RMSE so far
    completed.add_trials([optuna.create_trial(params=numbered[trial["number"]].params, value=trial["rmse"],
                                         distributions=numbered[trial["number"]].distributions) for trial in known])
    shares = optuna.importance.get_param_importances(completed, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0),
                                                     params=varied)
    return {name: round(share, 4) for name, share in shares.items() if math.isfinite(share)}


def format_table(results: dict[str, Any]) -> str:
    """Return what a sweep prints: its trials, whether the best can be told apart, what mattered, and the best one's command."""
    lines = ["RMSE at the best evaluation on the holdout", *map(format_trial, sort_trials(results["trials"]))]
    if ties := find_ties(results):
        lines.append(f"Within {SAME:.0%} of the best, too near to rank on one seed: {', '.join(ties)}. "
                     f"`pixmend study` compares settings with several seeds and intervals.")
    if results["importance"]:
        shares = "  ".join(f"{spaces.flag(name)} {share:.0%}" for name, share in results["importance"].items())
        lines.append(f"share of each setting in the variance of the RMSE: {shares}")
    if results["command"]:
        lines += ["to make a submission of the best trial, which is trained already:", f"  {results['command']}"]
    return "\n".join(lines)


def find_ties(results: dict[str, Any]) -> list[str]:
    """Return the flags of the other trials whose RMSE is so near to the best that their order means nothing."""
    done = [trial for trial in results["trials"] if trial["state"] == DONE]
    best = min((trial["rmse"] for trial in done), default=0)
    return [spaces.format_flags(trial["values"]) for trial in done if trial["number"] != results["best"] and trial["rmse"] <= best * (1 + SAME)]


def sort_trials(trials: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the finished trials, the best first, then the others."""
    return sorted(trials, key=lambda trial: (trial["state"] != DONE, trial["rmse"] is None, trial["rmse"] or 0))


def format_trial(trial: dict[str, Any]) -> str:
    rmse = "–" if trial["rmse"] is None else f"{trial['rmse']:.5f}"
    return f"  {rmse:7}  {spaces.format_flags(trial['values']):40} {describe_end(trial)}"


def describe_end(trial: dict[str, Any]) -> str:
    step = f" at step {trial['step']}" if trial["step"] is not None and trial["state"] != DONE else ""
    return f"{trial['state']}{step}" + (f": {trial['reason']}" if trial["reason"] else "")
