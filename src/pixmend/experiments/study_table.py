"""A study's table, for Markdown, the report and the screen: the best row first, or rows in the order of their number."""

from pixmend import competitions
from pixmend.experiments import study_results
from pixmend.experiments.study_conclusion import format_difference

MEGABYTE = 1e6


def sort_rows(study):
    """The rows, fills among them by their RMSE; in a study of a number its rows come first, in its order."""
    if study["over"]:
        return [*[row for row in study["rows"] if not row["fill"]], *sort_by_rmse([row for row in study["rows"] if row["fill"]])]
    return sort_by_rmse(study["rows"])


def sort_by_rmse(rows):
    return sorted(rows, key=lambda row: (row["rmse"] is None, row["rmse"] or 0))


def list_columns(study, scores):
    """(title, cell of a row, whether it is a number) of each column that any row fills."""
    rates = {row["learning_rate"] for row in study["rows"]} - {None}
    found = [("row", lambda row: row["title"] + " (fill)" * row["fill"], False),
             ("RMSE (95% interval)", lambda row: format_interval(row["rmse"], row["low"], row["high"]), True),
             ("of harmonic", lambda row: format_number(row["to_harmonic"], 3), True),
             ("above the best row", format_distance, True),
             *((format_metric_title(name), lambda row, name=name: format_number(row["scores"].get(name), 5), True) for name in scores),
             ("training minutes", lambda row: format_number(row["minutes"], 2), True),
             ("steps", lambda row: format_number(row["steps"], 0), True),
             ("best step", lambda row: format_number(row["best_step"], 0), True),
             ("learning rate", lambda row: f"{row['learning_rate']:g}" if row["learning_rate"] and len(rates) > 1 else "–", True),
             ("parameters", lambda row: format_number(row["parameters"], 0, ","), True),
             ("weights, MB", lambda row: format_number(row["bytes"] and row["bytes"] / MEGABYTE, 2), True),
             ("seconds a picture", lambda row: format_number(row["seconds"], 4), True),
             ("flags", lambda row: row["flags"], False),
             ("remarks", lambda row: row["state"], False)]
    return [column for column in found if any(column[1](row) not in ("", "–") for row in study["rows"])]


def format_metric_title(name):
    return name.replace("_255", " in 0..255")


def format_number(value, places, group=""):
    return "–" if value is None else f"{value:{group}.{places}f}"


def format_interval(value, low, high):
    return "–" if value is None else f"{value:.5f} ({low:.4f} to {high:.4f})"


def format_distance(row):
    return "–" if row["behind"] is None else format_difference(row["behind"])


def format_cells(study):
    """(titles, which are numbers, the rows' cells)."""
    found = list_columns(study, describe_metrics(study))
    return ([title for title, _, _ in found], [is_number for _, _, is_number in found],
            [[cell(row) for _, cell, _ in found] for row in sort_rows(study)])


def describe_metrics(study):
    """The contest's own, and what they are."""
    return {name: score.what for name, score in competitions.get_competition(study["place"].split("+")[-1]).metrics.items()}


def format_text(study):
    """For the screen: the figures that matter."""
    lines = [f"  {'RMSE (95% interval)':27} {'above the best row':31} row"]
    for row in sort_rows(study):
        state = f"  {row['state']}" if row["state"] else ""
        lines.append(f"  {format_interval(row['rmse'], row['low'], row['high']):27} {format_distance(row):31} "
                     f"{row['title']}{' (fill)' * row['fill']}{state}")
    return "\n".join(lines)


def format_markdown(study, picture):
    titles, numeric, rows = format_cells(study)
    grid = [titles, ["---:" if is_number else "---" for is_number in numeric], *rows]
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in grid]
    return PAGE.format(**study, picture=picture, table="\n".join(lines),
                       notes="\n".join(f"- {note}" for note in list_notes(study)), hardware=format_origin(study))


def format_origin(study):
    return "; ".join(f"{hardware}, commit {commit or 'unknown'}, {date}" for hardware, commit, date in study["made"])


def list_notes(study):
    """What a reader has to know of the columns."""
    said = [f"RMSE is over the missing pixels of {study['pictures']} holdout pictures, {study['values']:,} values; each row's is "
            f"the mean over its seeds ({', '.join(map(str, study['seeds']))}). Intervals hold 95% of draws in which pictures and "
            "seeds come anew, the same for all rows; a difference is taken within each draw, so of the same pictures and seeds."]
    said += ["With so few pictures an interval is a rough guess."] if study["pictures"] < study_results.FEW else []
    said += ["With one seed it cannot be seen how much of a figure is luck."] if len(study["seeds"]) == 1 else []
    said += [f"{format_metric_title(name)}: {what}." for name, what in describe_metrics(study).items()]
    if any(row["best_step"] is not None for row in study["rows"]):
        said.append("Best step: whose weights are kept, by the looks at the holdout; 0 is before any was learnt from.")
    if any(row["seconds"] for row in study["rows"]):
        said.append("Seconds a picture are of painting holdout pictures on the CPU, the first ones not counted: networks on all "
                    "cores, fills on one.")
    if any(row["parameters"] for row in study["rows"]):
        said.append("Parameters are all numbers of the weights that are kept, batch norm's statistics among them; a "
                    "discriminator is not.")
    if not study["model"]:
        said.append("Batch size, learning rate and loss are each model's own where no flag gives them.")
    return said


PAGE = """# Study of {study}, {place}

{what}. Made by `{command}`; {ended} of {wanted} runs have ended. {hardware}.

**{conclusion}**

![figures of this study]({picture})

{table}

{notes}
"""
