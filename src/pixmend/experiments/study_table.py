"""The table of a study, for Markdown, the report and the terminal."""

from typing import Any

from pixmend import competitions
from pixmend.evaluation import bootstrap
from pixmend.experiments.study_conclusion import ONE_SEED, format_difference
from pixmend.fills import describe_kind


def sort_rows(study: dict[str, Any]) -> list[dict[str, Any]]:
    """Return rows and baselines by RMSE; in a study of a number, its rows first, in the order of the number."""
    by_rmse = sorted(study["rows"], key=lambda row: (row["rmse"] is None, row["rmse"] or 0))
    if not study["over"]:
        return by_rmse
    return [*(row for row in study["rows"] if not row["fill"]), *(row for row in by_rmse if row["fill"])]


def list_columns(study: dict[str, Any]) -> list[tuple[str, bool, list[str]]]:
    """Return title, whether it holds numbers, and the cells of each column that has any value."""
    rows = sort_rows(study)
    rates = [f"{row['learning_rate']:g}" if row["learning_rate"] else "–" for row in rows]
    metrics = [(format_metric_title(name), True, [format_number(row["scores"].get(name), 5) for row in rows])
               for name in describe_metrics(study)]
    columns = [("row", False, [format_title(row) for row in rows]),
               ("RMSE (95% interval)", True, [format_interval(row) for row in rows]),
               ("RMSE / harmonic", True, [format_number(row["to_harmonic"], 3) for row in rows]),
               ("worse than the best row by", True, [format_distance(row) for row in rows]),
               *metrics,
               ("training minutes", True, [format_number(row["minutes"], 2) for row in rows]),
               ("steps", True, [format_number(row["steps"], 0) for row in rows]),
               ("best step", True, [format_number(row["best_step"], 0) for row in rows]),
               ("learning rate", True, rates if len(set(rates) - {"–"}) > 1 else []),
               ("parameters", True, [format_number(row["parameters"], 0, ",") for row in rows]),
               ("weights, MB", True, [format_number(row["bytes"] and row["bytes"] / 1e6, 2) for row in rows]),
               ("seconds an image", True, [format_number(row["seconds"], 4) for row in rows]),
               ("flags", False, [row["flags"] for row in rows]),
               ("remarks", False, [row["state"] for row in rows])]
    return [column for column in columns if set(column[2]) - {"", "–"}]


def format_title(row: dict[str, Any]) -> str:
    return f"{row['title']} ({describe_kind(row['name'])})" if row["fill"] else str(row["title"])


def format_metric_title(name: str) -> str:
    return name.replace("_255", " in 0..255")


def format_number(value: float | None, places: int, group: str = "") -> str:
    return "–" if value is None else f"{value:{group}.{places}f}"


def format_interval(row: dict[str, Any]) -> str:
    interval = "" if row["low"] is None else f" ({row['low']:.4f} to {row['high']:.4f})"
    return format_number(row["rmse"], 5) + interval


def format_distance(row: dict[str, Any]) -> str:
    return "–" if row["behind"] is None else format_difference(row["behind"])


def describe_metrics(study: dict[str, Any]) -> dict[str, str]:
    return {name: score.what for name, score in competitions.get_competition(study["place"].split("+")[-1]).metrics.items()}


def format_text(study: dict[str, Any]) -> str:
    lines = [f"  {'RMSE (95% interval)':27} {'worse than the best row by':31} row"]
    for row in sort_rows(study):
        title = f"{format_title(row)}  {row['state']}".rstrip()
        lines.append(f"  {format_interval(row):27} {format_distance(row):31} {title}")
    return "\n".join(lines)


def format_markdown(study: dict[str, Any], chart: str) -> str:
    titles, numeric, columns = zip(*list_columns(study), strict=True)
    grid = [titles, ["---:" if is_number else "---" for is_number in numeric], *zip(*columns, strict=True)]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in grid]
    progress = f"{study['ended']} of {study['wanted']} runs are finished. {format_origin(study)}."
    return "\n\n".join([f"# Study of {study['study']}, {study['place']}",
                        f"{study['what']}. Command: `{study['command']}`. {progress}", f"**{study['conclusion']}**",
                        f"![charts of this study]({chart})", "\n".join(lines),
                        "\n".join(f"- {note}" for note in list_notes(study))]) + "\n"


def format_origin(study: dict[str, Any]) -> str:
    """Return hardware, commit and date of the runs."""
    return "; ".join(f"{hardware}, commit {commit or 'unknown'}, {date}" for hardware, commit, date in study["made"])


def list_notes(study: dict[str, Any]) -> list[str]:
    """Return what a reader has to know about the columns."""
    seeds, rows = ", ".join(map(str, study["seeds"])), study["rows"]
    photos = study.get("photos", study["pictures"])   # older studies do not have it
    notes = {
        f"RMSE over the missing pixels of {study['pictures']} holdout images, {study['values']:,} values; for each row the mean "
        f"over its seeds ({seeds}). 95% intervals are over bootstrap draws of photos, widened by the variance between seeds "
        f"(Student's t). Differences are paired by image and by seed.": True,
        f"Images of one photo are drawn together; the holdout has {photos} photos.": photos < study["pictures"],
        bootstrap.describe_few(photos): 0 < photos < bootstrap.FEW,
        ONE_SEED: len(study["seeds"]) == 1 and ONE_SEED not in study["conclusion"],
        **{f"{format_metric_title(name)}: {what}.": True for name, what in describe_metrics(study).items()},
        "Best step: the step of the best weights, by the evaluations on the holdout; 0 is before training.":
            any(row["best_step"] is not None for row in rows),
        "Seconds an image: predictions on the CPU after a warm-up; networks on all cores, fills on one.":
            any(row["seconds"] for row in rows),
        "Parameters: all numbers of the weights, with the statistics of batch normalisation, no discriminator.":
            any(row["parameters"] for row in rows),
        "Batch size, learning rate and loss are the defaults of each model where no flag gives them.": not study["model"]}
    return [note for note, applies in notes.items() if applies]
