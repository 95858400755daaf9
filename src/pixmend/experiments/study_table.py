"""The table of a study, for Markdown, the report and the terminal."""

from collections.abc import Callable, Mapping
from typing import Any

from pixmend import competitions
from pixmend.experiments import study_results
from pixmend.experiments.study_conclusion import format_difference

MEGABYTE = 1e6
BASELINE = " (baseline)"


def sort_rows(study: dict[str, Any]) -> list[dict[str, Any]]:
    """Return rows and baselines by RMSE; in a study of a number, its rows first, in the order of the number."""
    if study["over"]:
        return [*[row for row in study["rows"] if not row["fill"]], *sort_by_rmse([row for row in study["rows"] if row["fill"]])]
    return sort_by_rmse(study["rows"])


def sort_by_rmse(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (row["rmse"] is None, row["rmse"] or 0))


def list_columns(study: dict[str, Any], scores: Mapping[str, str]) -> list[tuple[str, Callable[[dict[str, Any]], str], bool]]:
    """Return title, function to a cell, and whether it is a number, of each column that has any value."""
    rates = {row["learning_rate"] for row in study["rows"]} - {None}
    found = [("row", lambda row: row["title"] + BASELINE * row["fill"], False),
             ("RMSE (95% interval)", lambda row: format_interval(row["rmse"], row["low"], row["high"]), True),
             ("of harmonic", lambda row: format_number(row["to_harmonic"], 3), True),
             ("worse than the best row by", format_distance, True),
             *((format_metric_title(name), lambda row, name=name: format_number(row["scores"].get(name), 5), True) for name in scores),
             ("training minutes", lambda row: format_number(row["minutes"], 2), True),
             ("steps", lambda row: format_number(row["steps"], 0), True),
             ("best step", lambda row: format_number(row["best_step"], 0), True),
             ("learning rate", lambda row: f"{row['learning_rate']:g}" if row["learning_rate"] and len(rates) > 1 else "–", True),
             ("parameters", lambda row: format_number(row["parameters"], 0, ","), True),
             ("weights, MB", lambda row: format_number(row["bytes"] and row["bytes"] / MEGABYTE, 2), True),
             ("seconds an image", lambda row: format_number(row["seconds"], 4), True),
             ("flags", lambda row: row["flags"], False),
             ("remarks", lambda row: row["state"], False)]
    return [column for column in found if any(column[1](row) not in ("", "–") for row in study["rows"])]


def format_metric_title(name: str) -> str:
    return name.replace("_255", " in 0..255")


def format_number(value: float | None, places: int, group: str = "") -> str:
    return "–" if value is None else f"{value:{group}.{places}f}"


def format_interval(value: float | None, low: float, high: float) -> str:
    return "–" if value is None else f"{value:.5f} ({low:.4f} to {high:.4f})"


def format_distance(row: dict[str, Any]) -> str:
    return "–" if row["behind"] is None else format_difference(row["behind"])


def format_cells(study: dict[str, Any]) -> tuple[list[str], list[bool], list[list[str]]]:
    """Return the titles, which columns are numbers, and the cells of each row."""
    found = list_columns(study, describe_metrics(study))
    return ([title for title, _, _ in found], [is_number for _, _, is_number in found],
            [[cell(row) for _, cell, _ in found] for row in sort_rows(study)])


def describe_metrics(study: dict[str, Any]) -> dict[str, str]:
    """Return the competition's metrics and what they are."""
    return {name: score.what for name, score in competitions.get_competition(study["place"].split("+")[-1]).metrics.items()}


def format_text(study: dict[str, Any]) -> str:
    """Return the table for the terminal."""
    lines = [f"  {'RMSE (95% interval)':27} {'worse than the best row by':31} row"]
    for row in sort_rows(study):
        state = f"  {row['state']}" if row["state"] else ""
        lines.append(f"  {format_interval(row['rmse'], row['low'], row['high']):27} {format_distance(row):31} "
                     f"{row['title']}{BASELINE * row['fill']}{state}")
    return "\n".join(lines)


def format_markdown(study: dict[str, Any], chart: str) -> str:
    """Return the page of a study."""
    titles, numeric, rows = format_cells(study)
    grid = [titles, ["---:" if is_number else "---" for is_number in numeric], *rows]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in grid]
    return PAGE.format(**study, chart=chart, table="\n".join(lines),
                       notes="\n".join(f"- {note}" for note in list_notes(study)), hardware=format_origin(study))


def format_origin(study: dict[str, Any]) -> str:
    """Return hardware, commit and date of the runs."""
    return "; ".join(f"{hardware}, commit {commit or 'unknown'}, {date}" for hardware, commit, date in study["made"])


def list_notes(study: dict[str, Any]) -> list[str]:
    """Return what a reader has to know about the columns."""
    notes = [f"RMSE over the missing pixels of {study['pictures']} holdout images, {study['values']:,} values; for each row the mean "
             f"over its seeds ({', '.join(map(str, study['seeds']))}). Intervals contain 95% of bootstrap draws of images and seeds. "
             "The draws are the same for all rows, so differences are paired."]
    notes += ["With so few images an interval is a rough estimate."] if study["pictures"] < study_results.FEW else []
    notes += ["With one seed it is not known how much of a figure is chance."] if len(study["seeds"]) == 1 else []
    notes += [f"{format_metric_title(name)}: {what}." for name, what in describe_metrics(study).items()]
    if any(row["best_step"] is not None for row in study["rows"]):
        notes.append("Best step: the step of the best weights, by the evaluations on the holdout; 0 is before training.")
    if any(row["seconds"] for row in study["rows"]):
        notes.append("Seconds an image: prediction of holdout images on the CPU after a warm-up; networks on all cores, fills on one.")
    if any(row["parameters"] for row in study["rows"]):
        notes.append("Parameters: all numbers of the weights, with the statistics of batch normalisation, without a discriminator.")
    if not study["model"]:
        notes.append("Batch size, learning rate and loss are the defaults of each model where no flag gives them.")
    return notes


PAGE = """# Study of {study}, {place}

{what}. Command: `{command}`. {ended} of {wanted} runs are finished. {hardware}.

**{conclusion}**

![charts of this study]({chart})

{table}

{notes}
"""
