"""The results of a sweep so far: its trials, which can be told apart, the best one's command, and which setting mattered."""

import math
from typing import Any

from pixmend.config import SETTINGS, Settings, flag
from pixmend.experiments import search_space
from pixmend.experiments.runner import DONE, FAILED, make_run_settings
from pixmend.experiments.study_table import format_number
from pixmend.setting_values import format_command
from pixmend.training import checkpoints

STATES = {"COMPLETE": DONE, "PRUNED": "stopped early", "FAIL": FAILED, "RUNNING": "in training", "WAITING": "waiting"}
MIN_TRIALS = 4   # fewer say nothing about what mattered
SAME = 0.005   # relative difference of RMSE below which the order of trials is not reported


def collect_results(settings: Settings, study: Any, space: search_space.Space) -> dict[str, Any]:
    """Return the state of a sweep as plain values."""
    trials = []
    for trial in study.list_trials():
        found = trial.user_attrs
        values = {name: space[name].round_value(trial.params[name]) for name in space if name in trial.params}
        trials.append({"number": trial.number, "state": STATES[trial.state.name], "values": values, "run": found.get("run", ""),
                       "rmse": found.get("rmse"), "step": found.get("step", trial.last_step), "kept": found.get("kept"),
                       "reason": found.get("reason", "")})
    best = min((trial for trial in trials if trial["state"] == DONE), key=lambda trial: trial["rmse"], default=None)
    winner = best and make_run_settings(settings, best["values"])
    return {"study": study.name, "wanted": study.wanted, "space": {name: str(values) for name, values in space.items()},
            "log": [name for name, values in space.items() if isinstance(values, search_space.Range) and values.log],
            "trials": trials, "best": best and best["number"],
            "command": winner and format_pipeline_command(winner), "is_here": bool(winner and is_trained_here(winner)),
            "importance": compute_importance(study, space)}


def is_trained_here(settings: Settings) -> bool:
    """Tell whether the weights of a trial are in this home: another machine may have trained it, or its folder be deleted."""
    return checkpoints.get_weights_path(settings.run_folder).exists()


def format_pipeline_command(settings: Settings) -> str:
    """Return the command that makes a submission of a trial."""
    names = [name for name, spec in SETTINGS.items() if spec.group != "sweep"]
    return format_command(["./run_pipeline.sh"], settings, names)


def compute_importance(study: Any, space: search_space.Space) -> dict[str, float]:
    """Return the share of each setting in the variance of the RMSE (fANOVA); empty while there are too few trials."""
    known = [trial for trial in study.list_trials() if trial.user_attrs.get("rmse") is not None]
    varied = [name for name in space if len({trial.params[name] for trial in known}) > 1]
    if len(varied) < 2 or len(known) < MIN_TRIALS or len({trial.user_attrs["rmse"] for trial in known}) < 2:
        return {}
    import optuna

    completed = optuna.create_study()   # trials that were stopped early count with their best RMSE so far
    for trial in known:
        completed.add_trial(optuna.create_trial(params=trial.params, distributions=trial.distributions,
                                                value=trial.user_attrs["rmse"]))
    shares = optuna.importance.get_param_importances(completed, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0),
                                                     params=varied)
    return {name: round(share, 4) for name, share in shares.items() if math.isfinite(share)}


def sort_trials(trials: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the finished trials, the best first, then the others."""
    return sorted(trials, key=lambda trial: (trial["state"] != DONE, trial["rmse"] is None, trial["rmse"] or 0))


def describe_best(results: dict[str, Any]) -> str:
    """Return which trial is best, or which ones have so nearly the lowest RMSE that their order means nothing."""
    done = [trial for trial in sort_trials(results["trials"]) if trial["state"] == DONE]
    if not done:
        return "No trial is finished yet."
    best, *others = done
    tied = [trial for trial in others if trial["rmse"] <= best["rmse"] * (1 + SAME)]
    names = [search_space.format_flags(trial["values"]) for trial in [best, *tied]]
    if tied:
        return (f"The lowest RMSE is {best['rmse']:.5f}, and these are within {SAME:.1%} of it, too near to rank on one seed: "
                f"{', '.join(names)}. pixmend study compares settings with several seeds and intervals.")
    return f"The best trial is {names[0]}, RMSE {best['rmse']:.5f}."


def describe_end(trial: dict[str, Any]) -> str:
    """Return how a trial ended, at which step, of which step its weights are, and why it ended."""
    step = f" at step {trial['step']}" if trial["step"] is not None else ""
    kept = f", weights of step {trial['kept']}" if trial.get("kept") is not None else ""
    return f"{trial['state']}{step}{kept}" + (f": {trial['reason']}" if trial["reason"] else "")


def format_table(results: dict[str, Any]) -> str:
    """Return what a sweep prints: its trials, the best one, what mattered, and the command of the best one."""
    lines = ["RMSE at the best evaluation on the holdout"]
    for trial in sort_trials(results["trials"]):
        flags = search_space.format_flags(trial["values"])
        lines.append(f"  {format_number(trial['rmse'], 5):7}  {flags:40} {describe_end(trial)}")
    lines.append(describe_best(results))
    if results["importance"]:
        shares = "  ".join(f"{flag(name)} {share:.0%}" for name, share in results["importance"].items())
        lines.append(f"share of each setting in the variance of the RMSE: {shares}")
    if any(trial["state"] == FAILED for trial in results["trials"]):
        lines.append("A failed trial is not tried again under this name. Remove the cause, and give another --sweep-name: "
                     "finished runs are used again.")
    if results["command"]:
        state = "which is trained already" if results["is_here"] else "whose run is not in this home and is trained here anew"
        lines += [f"to make a submission of the trial with the lowest RMSE, {state}:", f"  {results['command']}"]
    return "\n".join(lines)
