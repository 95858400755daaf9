"""The results of a study: the figures of each row from the files of its runs, as plain values for the page and the report.

`<name>.study.json` beside the runs also holds how each run ended, so that no finished run is trained again.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pixmend import files
from pixmend.config import SETTINGS, Settings
from pixmend.experiments import search_space, study_conclusion
from pixmend.experiments.runner import DIVERGED, DONE, REFUSED
from pixmend.experiments.study_plans import Plan, PlannedRun, Row
from pixmend.training.history import History

FORM = 1   # version of the JSON; files of other versions are not read
NOT_IN_A_COMMAND = {"home", "quiet"}
SIZES = ("parameters", "bytes")
RUN_FIGURES = ("minutes", "steps", "best_step", "learning_rate", *SIZES, "seconds")
FEW = 30   # images
UNKNOWN: dict[str, Any] = dict.fromkeys(("rmse", "low", "high", "to_harmonic", "behind", *RUN_FIGURES)) | {"of_seeds": []}


def get_results_path(settings: Settings, about: str) -> Path:
    return settings.run_folder.parent / f"{about}.study.json"


def read_studies(settings: Settings) -> list[dict[str, Any]]:
    """Return the results of all studies of a competition, by name."""
    stored = (files.read_json(file) for file in sorted(settings.run_folder.parent.glob("*.study.json")))
    return [study for study in stored if study.get("form") == FORM]


def read_runs(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return how the runs of this study ended, by name."""
    stored = files.read_json(get_results_path(settings, settings.about)) or {}
    return stored["runs"] if stored.get("form") == FORM else {}


def collect_results(settings: Settings, plan: Plan, rows: list[Row], planned: list[PlannedRun],
                    runs: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the state of a study as plain values; `runs` says how each planned run ended."""
    scores = {chosen.run: read_score(chosen) for _, _, chosen in planned if runs.get(chosen.run, {}).get("state") == DONE}
    of_row = {row.name: [(seed, chosen) for other, seed, chosen in planned if other is row] for row in rows}
    any_score = next(iter(scores.values()), None)
    lines = [summarize_row(plan, row, of_row[row.name], runs, scores) for row in rows]
    lines = add_baselines(lines, any_score) if any_score else lines
    made = [runs[chosen.run] for _, _, chosen in planned if chosen.run in runs]
    results = {"form": FORM, "study": settings.about, "what": plan.what, "place": settings.dataset_name, "command": format_command(settings),
            "model": "" if "model" in plan.varies else settings.model, "over": plan.over, "curves": plan.curves,
            "seeds": list(dict.fromkeys(seed for _, seed, _ in planned)), "wanted": len(planned),
            "ended": sum(run["state"] in (DONE, DIVERGED, REFUSED) for run in made), "runs": runs, "rows": lines,
            "made": sorted({(run["hardware"], run["commit"], run["date"]) for run in made})}
    return results | {"pictures": 0, "values": 0, "conclusion": "No run is finished yet.", **add_intervals(lines, any_score)}


def read_score(settings: Settings) -> dict[str, Any]:
    score = files.read_json(settings.run_folder / "score.json")
    return score | {"sums": np.array(score["sums"])}


def summarize_row(plan: Plan, row: Row, seeds: list[tuple[int, Settings]], runs: Mapping[str, dict[str, Any]],
                  scores: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return a row with the means of its figures over its finished seeds."""
    ended = [(seed, chosen, runs.get(chosen.run)) for seed, chosen in seeds]
    done = [(seed, chosen, run) for seed, chosen, run in ended if run and run["state"] == DONE]
    own = [scores[chosen.run]["scores"] for _, chosen, _ in done]
    figures = [{name: run[name] for name in RUN_FIGURES if plan.sized or name not in SIZES} for _, _, run in done]
    return UNKNOWN | {
        "name": row.name, "title": row.title, "fill": row.fill, "state": describe_state(row, ended), "absent": describe_absence(row, ended),
        "flags": search_space.format_flags({name: row.values[name] for name in plan.varies if name in row.values}),
        "whole": bool(done) and len(done) == len(seeds), "runs": [chosen.run for _, chosen in seeds],
        "squares": [scores[chosen.run]["sums"].tolist() for _, chosen, _ in done], "seeds": [seed for seed, _, _ in done],
        "scores": compute_means(own), "where": next(iter(row.values.values()), None), **compute_means(figures)}


def compute_means(figures: list[dict[str, Any]]) -> dict[str, float | None]:
    """Return the mean of each figure; None where a value is not known."""
    names = figures[0] if figures else {}
    return {name: None if any(each[name] is None for each in figures) else float(np.mean([each[name] for each in figures]))
            for name in names}


def describe_state(row: Row, ended: list[tuple[int, Settings, dict[str, Any] | None]]) -> str:
    """Return why a row is not complete; empty if it is."""
    if row.left_out:
        return f"left out: {row.left_out}"
    failures = [f"seed {seed} {run['state']}: {run['reason']}" if len(ended) > 1 else f"{run['state']}: {run['reason']}"
            for seed, _, run in ended if run and run["state"] != DONE]
    missing = sum(run is None for _, _, run in ended)
    return " ".join([*failures, *([f"{missing} of {len(ended)} runs are not made yet"] if missing else [])])


def describe_absence(row: Row, ended: list[tuple[int, Settings, dict[str, Any] | None]]) -> str:
    """Return the same in a few words for the conclusion, which does not mention rows that were left out."""
    ends = [run["state"] if run else "not made yet" for _, _, run in ended]
    counts = {end: ends.count(end) for end in ends if end != DONE}
    return "" if row.left_out else ", ".join(f"{count} of {len(ends)} runs {end}" for end, count in counts.items())


def add_baselines(lines: list[dict[str, Any]], score: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows and the baselines on the same images; a baseline that is a row has the figures of its run."""
    rows = {each["name"]: each for each in lines if each["whole"] or not each["fill"]}
    states = {each["name"]: each["state"] for each in lines}
    return [*rows.values(), *(UNKNOWN | {
        "name": name, "title": name, "fill": True, "flags": "", "state": states.get(name, ""), "whole": True, "absent": "",
        "runs": [], "seeds": [], "squares": [sums], "scores": score["fills_scores"][name], "where": None}
        for name, sums in score["fills"].items() if name not in rows)]


def add_intervals(lines: list[dict[str, Any]], score: Mapping[str, Any] | None) -> dict[str, Any]:
    """Add intervals to the rows and return the conclusion; the squared errors stay in the files of the runs."""
    if score is None:
        return {}
    numbers, draws = score["numbers"], study_conclusion.Draws(score["numbers"])
    squares = {each["title"]: np.array(each.pop("squares")) for each in lines}
    harmonic = study_conclusion.compute_seed_rmse(np.array([score["fills"]["harmonic"]]), numbers)
    for each in lines:
        if len(ours := squares[each["title"]]):
            value, (low, high) = study_conclusion.compute_seed_rmse(ours, numbers), draws.interval(ours)
            of_seeds = [study_conclusion.compute_seed_rmse(ours[[place]], numbers) for place in range(len(ours))]
            each |= {"rmse": value, "low": low, "high": high, "to_harmonic": value / harmonic, "of_seeds": of_seeds}
    whole = {each["title"]: squares[each["title"]] for each in lines if each["whole"]}
    fills = [each["title"] for each in lines if each["fill"]]
    rows = {title: ours for title, ours in whole.items() if title not in fills}
    best = min(rows, key=lambda title: study_conclusion.compute_seed_rmse(rows[title], numbers), default=None)
    for each in lines:
        if best and each["title"] in whole and each["title"] != best:
            each["behind"] = draws.difference(rows[best], squares[each["title"]])
    return {"pictures": len(numbers), "values": int(np.sum(numbers)), "best": best,
            "conclusion": study_conclusion.write_conclusion(rows, {title: whole[title] for title in fills if title in whole}, numbers,
                                             {each["title"]: each["absent"] for each in lines if each["absent"]})}


def format_command(settings: Settings) -> str:
    """Return the command of this study."""
    given = [name for name in SETTINGS if name in settings.given - NOT_IN_A_COMMAND]
    words = [word for name in given for word in search_space.format_flag(name, getattr(settings, name))]
    return shlex.join(["pixmend", "study", settings.about, *words])


def read_history(settings: Settings, run: str) -> list[dict[str, str]]:
    return History(settings.run_folder.with_name(run) / "history.csv").rows
