"""What a sweep has found so far: its trials, the best one's command and which knob mattered, kept as JSON for the report."""

import math
import shlex

from pixmend import files
from pixmend.config import SETTINGS
from pixmend.experiments import search_space as spaces

DONE, STOPPED, FAILED, RUNNING = "done", "stopped early", "failed", "in training"
STATES = {"COMPLETE": DONE, "PRUNED": STOPPED, "FAIL": FAILED, "RUNNING": RUNNING, "WAITING": "waiting"}
FEWEST_TO_WEIGH = 4   # trials; fewer say nothing on what mattered
NOT_IN_A_COMMAND = {"sweep"}


def get_results_path(settings, study):
    return settings.run_folder.parent / f"{study}.sweep.json"


def read_sweeps(settings):
    """All sweeps of a contest that this home knows of, in order of their names."""
    return [files.read_json(file) for file in sorted(settings.run_folder.parent.glob("*.sweep.json"))]


def collect_results(settings, study, space, contest_defaults):
    """The state of a study as plain values."""
    trials = [describe_trial(trial, space) for trial in study.trials()]
    best = min((trial for trial in trials if trial["state"] == DONE), key=lambda trial: trial["rmse"], default=None)
    command = best and format_pipeline_command(spaces.make_trial_settings(settings, best["values"], contest_defaults))
    return {"study": study.name, "wanted": study.wanted, "space": {name: str(values) for name, values in space.items()},
            "log": [name for name, values in space.items() if isinstance(values, spaces.Range) and values.log],
            "trials": trials, "best": best and best["number"], "command": command, "importance": compute_importance(study, trials, space)}


def describe_trial(trial, space):
    told = trial.user_attrs
    values = {name: space[name].used(trial.params[name]) for name in space if name in trial.params}
    return {"number": trial.number, "state": STATES[trial.state.name], "values": values, "run": told.get("run", ""),
            "rmse": told.get("rmse"), "step": told.get("step", trial.last_step), "reason": told.get("reason", "")}


def format_pipeline_command(settings):
    """The command that makes a whole entry of a trial: every flag that differs from what it takes by itself."""
    given = {name: getattr(settings, name) for name in SETTINGS if name in settings.given}
    wanted = {name: value for name, value in given.items() if SETTINGS[name].group not in NOT_IN_A_COMMAND}
    return shlex.join(["./run_pipeline.sh", *(word for name, value in wanted.items() for word in spaces.format_flag(name, value))])


def compute_importance(study, trials, space):
    """Each knob's share in how the RMSE varies, by a forest of trees (fANOVA); nothing while there is too little to tell."""
    known = [trial for trial in trials if trial["rmse"] is not None]
    varied = [name for name in space if len({trial["values"][name] for trial in known}) > 1]
    if len(varied) < 2 or len(known) < FEWEST_TO_WEIGH or len({trial["rmse"] for trial in known}) < 2:
        return {}
    import optuna

    numbered = {trial.number: trial for trial in study.trials()}
    like = optuna.create_study()   # a trial that was stopped early counts, too, by its best so far
    like.add_trials([optuna.create_trial(params=numbered[trial["number"]].params, value=trial["rmse"],
                                         distributions=numbered[trial["number"]].distributions) for trial in known])
    shares = optuna.importance.get_param_importances(like, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0),
                                                     params=varied)
    return {name: round(share, 4) for name, share in shares.items() if math.isfinite(share)}


def format_table(found):
    """What is printed: the trials, the best first, what mattered, and the winner's command."""
    lines = ["RMSE at the best look at the holdout", *map(format_trial, sort_trials(found["trials"]))]
    if found["importance"]:
        shares = "  ".join(f"{spaces.flag(name)} {share:.0%}" for name, share in found["importance"].items())
        lines.append(f"what mattered (share in how the RMSE varies): {shares}")
    return "\n".join([*lines, "the best trial, already trained, to its checked CSV, score and report:", f"  {found['command']}"]
                     if found["command"] else lines)


def sort_trials(trials):
    """The trials that came to their end, the best first; then the others."""
    return sorted(trials, key=lambda trial: (trial["state"] != DONE, trial["rmse"] is None, trial["rmse"] or 0))


def format_trial(trial):
    rmse = "–" if trial["rmse"] is None else f"{trial['rmse']:.5f}"
    return f"  {rmse:7}  {spaces.format_flags(trial['values']):40} {describe_end(trial)}"


def describe_end(trial):
    step = f" at step {trial['step']}" if trial["step"] is not None and trial["state"] != DONE else ""
    return f"{trial['state']}{step}" + (f": {trial['reason']}" if trial["reason"] else "")
