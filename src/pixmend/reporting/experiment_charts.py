"""Charts of sweeps and studies: curves of training, RMSE over a setting, rows with intervals, importance of settings."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from pixmend.config import Settings, flag
from pixmend.experiments import study_table
from pixmend.experiments.runner import DONE
from pixmend.experiments.search_space import DECADE, format_value
from pixmend.reporting import charts, run_section
from pixmend.reporting.charts import Panel

MAX_RATIO = 1.5   # to the RMSE of the best row or of the harmonic fill; rows further away are an arrow at the edge
MAX_LABEL_LENGTH = 9   # letters; longer labels are rotated
CURVES = {"Training loss": "loss", "Holdout RMSE during training": run_section.RMSE}

Row = Mapping[str, Any]   # of a study, as study_results keeps it


def render_study(settings: Settings, study: dict[str, Any]) -> bytes:
    """Return the charts of a study as one PNG image."""
    return charts.render_png(make_study_panels(settings, study))


def make_study_panels(settings: Settings, study: dict[str, Any]) -> list[Panel]:
    """Return each chart of a study that there are numbers for."""
    panels = [*make_curves(settings, study["rows"])] if study["curves"] else []
    rows = [row for row in study_table.sort_rows(study) if row["rmse"] is not None]
    if study["over"] and any(not row["fill"] for row in rows):
        panels.append((f"RMSE over {study['over']}", partial(draw_over_number, name=study["over"], rows=rows), charts.WIDE))
    elif rows:
        panels.append(("Holdout RMSE", partial(draw_intervals, rows=rows), (4.7, 1.1 + 0.26 * len(rows))))
    return panels


def make_curves(settings: Settings, rows: Sequence[Row]) -> Iterator[Panel]:
    """Yield training loss and holdout RMSE, over steps and over minutes; a colour a row, a line a seed."""
    of_row = {}
    for row in rows:
        histories = [run_section.read_columns(settings.run_folder.with_name(run)) for run in row["runs"] if not row["fill"]]
        if trained := [history for history in histories if "step" in history]:
            of_row[row["title"]] = trained
    for title, name in CURVES.items() if of_row else ():
        for over, ending in {"step": "", "minutes": ", over time"}.items():
            yield title + ending, partial(draw_histories, of_row=of_row, name=name, over=over), charts.WIDE


def draw_histories(axes: Any, of_row: Mapping[str, Sequence[run_section.Columns]], name: str, over: str) -> None:
    """Draw a column of the histories over steps or minutes."""
    drawn = []
    for position, (title, histories) in enumerate(of_row.items()):
        for number, history in enumerate(histories):
            x, y = run_section.select_points(history, over, name if name in history else "reconstruction")
            drawn.append(y)
            axes.plot(x, y, color=charts.COLOURS[position % len(charts.COLOURS)], linewidth=1.2,
                      marker="." if len(x) < 3 else None, label=None if number else title)
    values = np.concatenate(drawn)
    if name == run_section.RMSE:
        charts.limit_rmse(axes, values, this_run=np.median(values))
    else:
        charts.scale_losses(axes, values)
    axes.set(xlabel="minutes of training" if over == "minutes" else over)
    axes.legend(fontsize=8)


def draw_over_number(axes: Any, name: str, rows: Sequence[Row]) -> None:
    """Draw each seed as a point, their mean as a line, and the baselines as horizontal lines."""
    tried, fills = [row for row in rows if not row["fill"]], [row for row in rows if row["fill"]]
    x = [row["where"] for row in tried]
    axes.plot(x, [row["rmse"] for row in tried], color=charts.RUN_COLOUR, label="mean of the seeds")
    seeds = [(row["where"], value) for row in tried for value in row["of_seeds"]]
    axes.plot(*zip(*seeds, strict=True), "o", color=charts.RUN_COLOUR, fillstyle="none", markersize=5)
    shown = [*fills[:1], *(row for row in fills[1:] if row["name"] == "harmonic")]   # the best, and harmonic
    styles = ((charts.COLOURS[2], [4, 2]), (charts.HARMONIC_COLOUR, [1, 1.5]))
    for row, (colour, dashes) in zip(shown, styles, strict=False):
        axes.axhline(row["rmse"], color=colour, dashes=dashes, linewidth=1.2, label=f"{row['title']} (fill)")
    values = [*(value for _, value in seeds), *(row["rmse"] for row in shown)]
    charts.limit_rmse(axes, np.array(values), this_run=max(row["rmse"] for row in tried))
    charts.scale_numbers(axes, x, log=name == "LAMBDA")
    axes.set(xlabel=name, ylabel="holdout RMSE")
    axes.legend(fontsize=8)


def draw_intervals(axes: Any, rows: Sequence[Row]) -> None:
    """Draw a line for each row, the best at the top: interval, mean and seeds; an arrow for rows far away."""
    harmonic = next(row["rmse"] for row in rows if row["name"] == "harmonic")
    edge = MAX_RATIO * max(min((row["rmse"] for row in rows if not row["fill"]), default=0), harmonic)
    for position, row in enumerate(rows):
        colour = charts.COLOURS[-1] if row["fill"] else charts.RUN_COLOUR   # grey for fills
        if row["rmse"] > edge:
            axes.annotate(f"{row['rmse']:.3f}", (edge, position), (-14, 0), textcoords="offset points", ha="right", va="center",
                          fontsize=8, color=colour)
            axes.plot(edge, position, ">", color=colour, clip_on=False)
            continue
        if row["low"] is not None:   # one photo has no interval
            axes.plot([row["low"], min(row["high"], edge)], [position, position], color=colour)
        for value in row["of_seeds"]:
            axes.plot(value, position, "o", color=colour, fillstyle="none", markersize=4, alpha=0.7)
        axes.plot(row["rmse"], position, "o", color=colour, markersize=5)
    axes.axvline(harmonic, color=charts.HARMONIC_COLOUR, dashes=[1, 1.5], linewidth=1.2)
    charts.label_rows(axes, [row["title"] + " (fill)" * row["fill"] for row in rows])
    axes.set(xlim=(None, edge), xlabel="holdout RMSE with 95% interval; dotted: harmonic fill")


def make_sweep_panels(sweep: Mapping[str, Any]) -> list[Panel]:
    """Return a chart for each swept setting that there are numbers for, and one of their importance."""
    panels: list[Panel] = []
    for name in sweep["space"]:
        if trials := [trial for trial in sweep["trials"] if trial["rmse"] is not None and name in trial["values"]]:
            panels.append((f"RMSE over {flag(name)}", partial(draw_trials, sweep=sweep, name=name, trials=trials), charts.SMALL))
    if importance := sweep["importance"]:
        size = (charts.SMALL[0], 1 + 0.4 * len(importance))
        panels.append(("Importance of the settings", partial(draw_importance, importance=importance), size))
    return panels


def draw_trials(axes: Any, sweep: Mapping[str, Any], name: str, trials: Sequence[Mapping[str, Any]]) -> None:
    """Draw the RMSE of the trials over one setting; filled: complete trials, open: stopped ones; a circle marks the best."""
    rmse = np.array([trial["rmse"] for trial in trials])
    complete = np.array([trial["state"] == DONE for trial in trials])
    x = place_values(axes, [trial["values"][name] for trial in trials], log=name in sweep["log"])
    if len(sweep["space"]) == 1:
        order = np.argsort(x[complete], kind="stable")
        axes.plot(x[complete][order], rmse[complete][order], color=charts.RUN_COLOUR, alpha=0.5)
    axes.plot(x[complete], rmse[complete], "o", color=charts.RUN_COLOUR, markersize=5, label="complete")
    if not complete.all():
        axes.plot(x[~complete], rmse[~complete], "o", color=charts.HARMONIC_COLOUR, fillstyle="none", markersize=5,
                  label="stopped early")
        axes.legend()
    points = {trial["number"]: point for trial, *point in zip(trials, x, rmse, strict=True)}
    charts.mark_point(axes, points.get(sweep["best"]))
    charts.limit_rmse(axes, rmse, this_run=np.median(rmse))
    axes.set(xlabel=flag(name), ylabel="lowest holdout RMSE")


def place_values(axes: Any, values: Sequence[Any], *, log: bool) -> np.ndarray:
    """Set up the x axis and return where the values are on it: numbers by size (on a wide range logarithmic), names in a row."""
    if not any(isinstance(value, bool | str) for value in values):
        charts.scale_numbers(axes, values, log=log or 0 < DECADE * min(values) <= max(values))
        return np.array(values, float)
    names = sorted(set(values))
    labels = [format_value(name) for name in names]
    axes.set_xticks(range(len(names)), labels, **(charts.ROTATED if max(map(len, labels)) > MAX_LABEL_LENGTH else {}))
    axes.set_xlim(-0.5, len(names) - 0.5)
    return np.array([names.index(value) for value in values], float)


def draw_importance(axes: Any, importance: Mapping[str, float]) -> None:
    """Draw each setting's share in the variation of the RMSE, the greatest at the top."""
    names = sorted(importance, key=lambda name: importance[name], reverse=True)
    bars = axes.barh(range(len(names)), [100 * importance[name] for name in names], 0.6, color=charts.RUN_COLOUR)
    axes.bar_label(bars, fmt="%.0f%%", padding=3, fontsize=8)
    axes.set(xlim=(0, 115), xlabel="share in the variation of the RMSE, %")
    charts.label_rows(axes, [flag(name) for name in names])
