"""Sweeps and studies on the page, in one form: a sentence on the figures, a table, charts, notes and a command."""

from collections import Counter
from typing import Any

from pixmend import files
from pixmend.config import Settings, flag
from pixmend.experiments import search_space, study_results, study_table, sweep_results
from pixmend.experiments.study_table import format_number
from pixmend.reporting import charts, experiment_charts

SWEEP_NOTES = ("The RMSE of a trial is the lowest one during training, on some of the holdout images (--evaluation-images). "
               "Compare it within the sweep only.", "The circle marks the best trial. Very high values are cut off at the top.")
SWEEP_FIELDS = {"study": str, "wanted": int, "space": dict, "log": [str], "trials": [dict], "importance": dict}
IMPORTANCE_NOTE = "The importance is estimated with fANOVA from all trials that have an RMSE. With few trials it is only a hint."



def describe_experiments(settings: Settings) -> list[dict[str, Any]]:
    """Return everything that the page says about each study and each sweep of the competition."""
    folder = settings.run_folder.parent
    studies = study_results.read_studies(folder)
    sweeps = [files.read_object(path, SWEEP_FIELDS) or {} for path in sorted(folder.glob("*.sweep.json"))]
    described = [(describe_study(study), experiment_charts.make_study_panels(settings, study)) for study in studies]
    described += [(describe_sweep(sweep), experiment_charts.make_sweep_panels(sweep)) for sweep in sweeps]
    return [texts | {"charts": {title: charts.render_svg(f"experiment{number}-{position}", draw, size)
                                for position, (title, draw, size) in enumerate(panels)}}
            for number, (texts, panels) in enumerate(described)]


def describe_study(study: dict[str, Any]) -> dict[str, Any]:
    """Return the texts of a study, whose rows are compared with the baselines."""
    titles, numeric, columns = zip(*study_table.list_columns(study), strict=True)
    is_best = [row["title"] == study.get("best") for row in study_table.sort_rows(study)]
    progress = f"{study['ended']} of {study['wanted']} runs have ended"
    return {"kind": "Study", "name": study["study"], "conclusion": study["conclusion"], "notes": study_table.list_notes(study),
            "facts": f"{study['what']}. {progress}. {study_table.format_origin(study)}.",
            "columns": list(zip(titles, numeric, strict=True)),
            "rows": list(zip(is_best, zip(*columns, strict=True), strict=True)),
            "purpose": "Continue or repeat the study", "command": study["command"]}


def describe_sweep(sweep: dict[str, Any]) -> dict[str, Any]:
    """Return the texts of a sweep, whose trials are in order of RMSE."""
    names, trials = list(sweep["space"]), sweep_results.sort_trials(sweep["trials"])
    states = Counter(trial["state"] for trial in sweep["trials"])
    progress = ", ".join([f"{len(trials)} of {sweep['wanted']} trials", *(f"{count} {state}" for state, count in states.items())])
    is_text = {name: any(isinstance(trial["values"].get(name), str | bool) for trial in trials) for name in names}
    rows = []
    for trial in trials:
        values = [search_space.format_value(trial["values"].get(name, "–")) for name in names]
        cells = [str(trial["number"] + 1), *values, format_number(trial["rmse"], 5), format_number(trial["step"], 0),
                 sweep_results.describe_end(trial), trial["run"] or "–"]
        rows.append((trial["number"] == sweep["best"], cells))
    return {"kind": "Sweep", "name": sweep["study"], "conclusion": sweep_results.describe_best(sweep),
            "notes": [*SWEEP_NOTES, *([IMPORTANCE_NOTE] if sweep["importance"] else [])],
            "facts": f"{progress}. Tried: {' '.join(f'{flag(name)} {values}' for name, values in sweep['space'].items())}",
            "columns": [("trial", True), *((flag(name), not is_text[name]) for name in names),
                        ("lowest RMSE", True), ("steps", True), ("state", False), ("run", False)],
            "rows": rows, "purpose": "Run the best trial through the whole pipeline", "command": sweep["command"]}
