"""What a study has found: each row's figures from the files of its runs, kept as JSON for the report, and as a table.

<name>.study.json in the contest's folder of checkpoints/ also holds how each run ended, so that none is made twice.
"""

import shlex

import numpy as np

from pixmend import files
from pixmend.config import SETTINGS
from pixmend.experiments import search_space, study_conclusion
from pixmend.training.history import History

DONE, DIVERGED, FAILED, REFUSED = "done", "diverged", "failed", "cannot be made"
FORM = 1   # of what is kept; another version's is not read
NOT_IN_A_COMMAND = {"home", "quiet"}
SIZES = ("parameters", "bytes")
WEIGHT_SETTINGS = ("minutes", "steps", "best_step", "learning_rate", *SIZES, "seconds")
FEW = 30   # pictures
UNKNOWN = dict.fromkeys(("rmse", "low", "high", "to_harmonic", "behind", *WEIGHT_SETTINGS)) | {"of_seeds": []}


def get_results_path(settings, about):
    return settings.run_folder.parent / f"{about}.study.json"


def read_studies(settings):
    """All studies of a contest that this home knows of, in order of their names."""
    stored = (files.read_json(file) for file in sorted(settings.run_folder.parent.glob("*.study.json")))
    return [study for study in stored if study.get("form") == FORM]


def read_runs(settings):
    """How the runs of this study ended, by name, whatever its flags were then."""
    stored = files.read_json(get_results_path(settings, settings.about)) or {}
    return stored["runs"] if stored.get("form") == FORM else {}


def collect_results(settings, plan, rows, planned, runs):
    """The state of a study as plain values; `planned` are its (row, seed, settings), `runs` says how each ended."""
    scores = {chosen.run: read_score(chosen) for _, _, chosen in planned if runs.get(chosen.run, {}).get("state") == DONE}
    of_row = {row.name: [(seed, chosen) for other, seed, chosen in planned if other is row] for row in rows}
    any_score = next(iter(scores.values()), None)
    lines = [summarize_row(plan, row, of_row[row.name], runs, scores) for row in rows]
    lines = add_baselines(lines, any_score) if any_score else lines
    made = [runs[chosen.run] for _, _, chosen in planned if chosen.run in runs]
    told = {"form": FORM, "study": settings.about, "what": plan.what, "place": settings.place, "command": format_command(settings),
            "model": "" if "model" in plan.varies else settings.model, "over": plan.over, "curves": plan.curves,
            "seeds": list(dict.fromkeys(seed for _, seed, _ in planned)), "wanted": len(planned),
            "ended": sum(run["state"] in (DONE, DIVERGED, REFUSED) for run in made), "runs": runs, "rows": lines,
            "made": sorted({(run["hardware"], run["commit"], run["date"]) for run in made})}
    return told | {"pictures": 0, "values": 0, "conclusion": "No run has come to its end yet.", **add_intervals(lines, any_score)}


def read_score(settings):
    score = files.read_json(settings.run_folder / "score.json")
    return score | {"sums": np.array(score["sums"])}


def summarize_row(plan, row, seeds, runs, scores):
    """A row with what its files tell: its figures are means over the seeds that are done."""
    ended = [(seed, chosen, runs.get(chosen.run)) for seed, chosen in seeds]
    done = [(seed, chosen, run) for seed, chosen, run in ended if run and run["state"] == DONE]
    own = [scores[chosen.run]["scores"] for _, chosen, _ in done]
    figures = [{name: run[name] for name in WEIGHT_SETTINGS if plan.sized or name not in SIZES} for _, _, run in done]
    return UNKNOWN | {
        "name": row.name, "title": row.title, "fill": row.fill, "state": describe_state(row, ended), "absent": describe_absence(row, ended),
        "flags": search_space.format_flags({name: row.values[name] for name in plan.varies if name in row.values}),
        "whole": bool(done) and len(done) == len(seeds), "runs": [chosen.run for _, chosen in seeds],
        "squares": [scores[chosen.run]["sums"].tolist() for _, chosen, _ in done], "seeds": [seed for seed, _, _ in done],
        "scores": compute_means(own), "where": next(iter(row.values.values()), None), **compute_means(figures)}


def compute_means(figures):
    """The mean of each figure; none where one is not known."""
    names = figures[0] if figures else {}
    return {name: None if any(each[name] is None for each in figures) else float(np.mean([each[name] for each in figures]))
            for name in names}


def describe_state(row, ended):
    """In words why a row is not whole; nothing where it is."""
    if row.left_out:
        return f"left out: {row.left_out}"
    told = [f"seed {seed} {run['state']}: {run['reason']}" if len(ended) > 1 else f"{run['state']}: {run['reason']}"
            for seed, _, run in ended if run and run["state"] != DONE]
    missing = sum(run is None for _, _, run in ended)
    return " ".join([*told, *([f"{missing} of {len(ended)} runs are still to be made"] if missing else [])])


def describe_absence(row, ended):
    """The same in a few words, for the conclusion; a row that was left out is none."""
    ends = [run["state"] if run else "still to be made" for _, _, run in ended]
    counts = {end: ends.count(end) for end in ends if end != DONE}
    return "" if row.left_out else ", ".join(f"{count} of {len(ends)} runs {end}" for end, count in counts.items())


def add_baselines(lines, score):
    """The fills on the same pictures, too; one that is a row itself has its figures from its run, once that is made."""
    rows = {each["name"]: each for each in lines if each["whole"] or not each["fill"]}
    states = {each["name"]: each["state"] for each in lines}
    return [*rows.values(), *(UNKNOWN | {
        "name": name, "title": name, "fill": True, "flags": "", "state": states.get(name, ""), "whole": True, "absent": "",
        "runs": [], "seeds": [], "squares": [sums], "scores": score["fills_scores"][name], "where": None}
        for name, sums in score["fills"].items() if name not in rows)]


def add_intervals(lines, score):
    """Intervals into the lines, and the conclusion; the squared errors, which are many, stay in the runs' files."""
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


def format_command(settings):
    """The command that makes this study."""
    given = [name for name in SETTINGS if name in settings.given - NOT_IN_A_COMMAND]
    words = [word for name in given for word in search_space.format_flag(name, getattr(settings, name))]
    return shlex.join(["python", "-m", "pixmend", "study", settings.about, *words])


def read_history(settings, run):
    return History(settings.run_folder.with_name(run) / "history.csv").rows
