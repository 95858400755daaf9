"""The results of a study: the figures of each row from the files of its runs, as plain values for the page and the report.

`<name>.study.json` beside the runs also holds how each run ended, so that no finished run is trained again.
"""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pixmend import files
from pixmend.config import SETTINGS, Settings
from pixmend.experiments import search_space
from pixmend.experiments.runner import DIVERGED, DONE, REFUSED
from pixmend.experiments.study_conclusion import Draws, write_conclusion
from pixmend.experiments.study_plans import Plan, PlannedRun, Row
from pixmend.fills import is_pretrained
from pixmend.networks import photos_fill
from pixmend.scoring.run_score import read_score
from pixmend.setting_values import format_command

FORM = 1   # version of the JSON; files of other versions are not read
STUDY_FIELDS = {"study": str, "what": str, "over": str, "curves": bool, "seeds": [int], "wanted": int, "ended": int,
                "runs": {str: dict}, "rows": [dict], "made": [list], "conclusion": str, "command": str}
SIZES = ("parameters", "bytes")
LEARNED = f"{photos_fill.NAME} has learned from photographs of this holdout"
RUN_FIGURES = ("minutes", "steps", "best_step", "learning_rate", *SIZES, "seconds")
UNKNOWN: dict[str, Any] = dict.fromkeys(("rmse", "low", "high", "to_harmonic", "behind", *RUN_FIGURES)) | {"of_seeds": []}

RowResult = dict[str, Any]


class Ending(NamedTuple):
    """How a planned run ended: its state, figures and costs, which are empty if it was not made."""

    seed: int
    name: str
    run: dict[str, Any]

    @property
    def state(self) -> str:
        return str(self.run.get("state", "not made yet"))


def get_page_path(settings: Settings) -> Path:
    return settings.run_folder.parent / "studies" / f"{settings.about}.md"


def read_studies(folder: Path, name: str = "*") -> list[dict[str, Any]]:
    """Return the results of a study, or of all studies, in the folder of a competition's runs."""
    return [study for file in sorted(folder.glob(f"{name}.study.json")) if (study := read_study(file))]


def read_study(path: Path) -> dict[str, Any] | None:
    """Return the results in a file; None for those of another version, and an error for a damaged file."""
    found = files.read_object(path, {"form": int}) or {}
    return files.read_object(path, STUDY_FIELDS) if found.get("form") == FORM else None


def collect_results(settings: Settings, plan: Plan, rows: list[Row], planned: list[PlannedRun],
                    runs: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the state of a study as plain values; `runs` says how each planned run ended."""
    finished = [each.settings for each in planned if runs.get(each.settings.run, {}).get("state") == DONE]
    scores = {run.run: score for run in finished if (score := read_score(run.run_folder))}
    runs = {name: run for name, run in runs.items() if run["state"] != DONE or name in scores}   # folders may be deleted
    lines = [summarize_row(plan, row, planned, runs, scores) for row in rows]
    figures: dict[str, Any] = {"pictures": 0, "photos": 0, "values": 0, "best": None, "conclusion": "No run is finished yet."}
    if scores:
        score = next(iter(scores.values()))
        lines = add_baselines(set_learned_apart(lines), score)
        figures = compare_lines(lines, score)
    made = [runs[each.settings.run] for each in planned if each.settings.run in runs]
    command = format_command(["pixmend", "study", settings.about], settings, SETTINGS.keys() - {"home", "quiet"})
    return {"form": FORM, "study": settings.about, "what": plan.what, "place": settings.dataset_name, "command": command,
            "model": "" if "model" in plan.varies else settings.model, "over": plan.over, "curves": plan.curves,
            "seeds": list(dict.fromkeys(each.seed for each in planned)), "wanted": len(planned),
            "ended": sum(run["state"] in (DONE, DIVERGED, REFUSED) for run in made), "runs": runs, "rows": lines,
            "made": sorted({(run["hardware"], run["commit"], run["date"]) for run in made})} | figures


def summarize_row(plan: Plan, row: Row, planned: list[PlannedRun], runs: Mapping[str, dict[str, Any]],
                  scores: Mapping[str, dict[str, Any]]) -> RowResult:
    """Return a row with the means of its figures over its finished seeds, and its squared errors, seeds x images."""
    endings = [Ending(each.seed, each.settings.run, runs.get(each.settings.run, {})) for each in planned if each.row is row]
    done = [ending for ending in endings if ending.state == DONE]
    names = [name for name in RUN_FIGURES if plan.sized or name not in SIZES]
    figures = [{name: ending.run[name] for name in names} for ending in done]
    done_scores = [scores[ending.name] for ending in done]
    remarks, absence = describe_endings(row, endings)
    has_learned = any(score.get("learned_holdout") for score in done_scores)
    remarks = " ".join(filter(None, [remarks, f"{LEARNED}: the RMSE of other images is higher." if has_learned else ""]))
    return UNKNOWN | {
        "name": row.name, "title": row.title, "fill": row.fill, "state": remarks, "absent": absence,
        "flags": search_space.format_flags({name: row.values[name] for name in plan.varies if name in row.values}),
        "whole": bool(done) and len(done) == len(endings), "learned": has_learned, "runs": [ending.name for ending in endings],
        "squares": [score["sums"] for score in done_scores], "seeds": [ending.seed for ending in done],
        "scores": compute_means([score["scores"] for score in done_scores]),
        "where": next(iter(row.values.values()), None)} | compute_means(figures)


def set_learned_apart(lines: list[RowResult]) -> list[RowResult]:
    """Return the rows; of those that have learned from the holdout, none is compared with rows that have not."""
    networks = [each["learned"] for each in lines if each["whole"] and not each["fill"]]
    if len(set(networks)) < 2:
        return lines
    return [each | {"whole": False, "absent": LEARNED} if each["learned"] and not each["fill"] else each for each in lines]


def compute_means(figures: list[dict[str, Any]]) -> dict[str, float | None]:
    """Return the mean of each figure; None where a value is not known."""
    columns = {name: [each[name] for each in figures] for name in (figures[0] if figures else ())}
    return {name: None if None in values else float(np.mean(values)) for name, values in columns.items()}


def describe_endings(row: Row, endings: list[Ending]) -> tuple[str, str]:
    """Return why a row is not complete, as a remark and in a few words for the conclusion, which omits rows that are left out."""
    if row.left_out:
        return f"left out: {row.left_out}", ""
    several = len(endings) > 1
    remarks = [(f"seed {ending.seed} " if several else "") + f"{ending.state}: {ending.run['reason']}"
               for ending in endings if ending.run and ending.state != DONE]
    if missing := sum(not ending.run for ending in endings):
        remarks.append(f"{missing} of {len(endings)} runs are not made yet")
    counts = Counter(ending.state for ending in endings)
    absence = [f"{count} of {len(endings)} runs {state}" for state, count in counts.items() if state != DONE]
    return " ".join(remarks), ", ".join(absence)


def add_baselines(lines: list[RowResult], score: Mapping[str, Any]) -> list[RowResult]:
    """Return the rows and the baselines on the same images; a baseline that is a row has the figures of its run."""
    rows = {each["name"]: each for each in lines if each["whole"] or not each["fill"]}
    states = {each["name"]: each["state"] for each in lines}
    same = {"fill": True, "flags": "", "whole": True, "absent": "", "learned": False}
    return [*rows.values(), *(UNKNOWN | same | {
        "name": name, "title": name, "state": states.get(name, ""), "runs": [], "seeds": [], "squares": [sums],
        "scores": score["fills_scores"][name], "where": None} for name, sums in score["fills"].items() if name not in rows)]


def compare_lines(lines: list[RowResult], score: Mapping[str, Any]) -> dict[str, Any]:
    """Add RMSE and intervals to the rows and return the conclusion; the squared errors stay in the files of the runs."""
    numbers, draws = score["numbers"], Draws(score["numbers"], score["sources"])
    squares = {each["title"]: np.array(each.pop("squares")) for each in lines}
    harmonic = draws.compute_rmse(np.array([score["fills"]["harmonic"]]))
    for each in lines:
        each.update(measure_line(squares[each["title"]], draws, harmonic))
    whole = {each["title"]: each for each in lines if each["whole"]}
    rows = {title: squares[title] for title, each in whole.items() if not each["fill"]}
    fills = {title: squares[title] for title, each in whole.items() if each["fill"]}
    best = min(rows, key=lambda title: whole[title]["rmse"], default=None)
    for title, each in whole.items():
        if best and title != best and draws.photos > 1:
            each["behind"] = draws.compute_difference(rows[best], squares[title])
    absent = {each["title"]: each["absent"] for each in lines if each["absent"]}
    baselines = {title: fills[title] for title in fills if not is_pretrained(whole[title]["name"])}
    learned = f" {LEARNED}: its RMSE is too good." if best and whole[best]["learned"] else ""
    return {"pictures": len(numbers), "photos": draws.photos, "values": int(np.sum(numbers)), "best": best,
            "conclusion": write_conclusion(rows, baselines, draws, absent) + learned}


def measure_line(squares: np.ndarray, draws: Draws, harmonic: float) -> dict[str, Any]:
    """Return the RMSE of a row or baseline, its interval, and the RMSE of each seed; nothing where no seed is finished."""
    if not len(squares):
        return {}
    value = draws.compute_rmse(squares)
    low, high = draws.compute_interval(squares) if draws.photos > 1 else (None, None)
    return {"rmse": value, "low": low, "high": high, "to_harmonic": value / harmonic,
            "of_seeds": [draws.compute_rmse(seed[None]) for seed in squares]}
