"""Studies for the page and for PNG files: curves of training, RMSE over a number, rows with intervals."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from pixmend.config import Settings
from pixmend.experiments import study_results, study_table
from pixmend.reporting import charts, run_section
from pixmend.reporting.charts import Panel

MAX_RATIO = 1.5   # to the RMSE of the best row or of the harmonic fill; rows further away are an arrow at the edge
BASE_HEIGHT, ROW_HEIGHT = 1.1, 0.26   # inches
GREY = charts.COLOURS[-1]
CURVES = {"Training loss": "loss", "Holdout RMSE during training": run_section.RMSE}

Study = dict[str, Any]   # as study_results keeps it
Row = Mapping[str, Any]


def describe_studies(settings: Settings) -> list[dict[str, Any]]:
    """Return everything that the page says about each study of the competition."""
    return [describe_study(settings, number, study) for number, study in enumerate(study_results.read_studies(settings))]


def describe_study(settings: Settings, number: int, study: Study) -> dict[str, Any]:
    titles, numeric, rows = study_table.format_cells(study)
    best = [row["title"] == study.get("best") for row in study_table.sort_rows(study)]
    return {**study, "titles": list(zip(titles, numeric, strict=True)), "cells": list(zip(best, rows, strict=True)),
            "notes": study_table.list_notes(study), "hardware": study_table.format_origin(study),
            "charts": {title: charts.render_svg(f"study{number}-{position}", draw, size)
                       for position, (title, draw, size) in enumerate(make_panels(settings, study))}}


def render_png(settings: Settings, study: Study) -> bytes:
    """Return the same charts as one image."""
    return charts.render_png([(title, draw) for title, draw, _ in make_panels(settings, study)])


def make_panels(settings: Settings, study: Study) -> list[Panel]:
    """Return each chart that there are numbers for."""
    panels = [*make_curves(settings, study)] if study["curves"] else []
    rows = [row for row in study_table.sort_rows(study) if row["rmse"] is not None]
    if study["over"] and any(not row["fill"] for row in rows):
        panels.append((f"RMSE over {study['over']}", partial(draw_over_number, name=study["over"], rows=rows), charts.WIDE))
    elif rows:
        panels.append(("Holdout RMSE", partial(draw_intervals, rows=rows), (4.7, BASE_HEIGHT + ROW_HEIGHT * len(rows))))
    return panels


def make_curves(settings: Settings, study: Study) -> Iterator[Panel]:
    """Yield training loss and holdout RMSE, over steps and over minutes; a colour a row, a line a seed."""
    of_row = {row["title"]: [run_section.to_columns(study_results.read_history(settings, run)) for run in row["runs"]]
              for row in study["rows"] if row["runs"] and not row["fill"]}
    of_row = {title: [history for history in histories if "step" in history] for title, histories in of_row.items()}
    for title, name in CURVES.items():
        for over, ending in {"step": "", "minutes": ", over time"}.items():
            if any(of_row.values()):
                yield title + ending, partial(draw_histories, of_row=of_row, name=name, over=over), charts.WIDE


def draw_histories(axes: Any, of_row: Mapping[str, Sequence[run_section.Columns]], name: str, over: str) -> None:
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
    tried = [row for row in rows if not row["fill"]]
    x = [row["where"] for row in tried]
    axes.plot(x, [row["rmse"] for row in tried], color=charts.RUN_COLOUR, label="mean of the seeds")
    for row in tried:
        axes.plot([row["where"]] * len(row["of_seeds"]), row["of_seeds"], "o", color=charts.RUN_COLOUR, fillstyle="none", markersize=5)
    values = [value for row in tried for value in row["of_seeds"]]
    fills = [row for row in rows if row["fill"]]
    baselines = {row["title"]: row for row in [*fills[:1], *(row for row in fills if row["name"] == "harmonic")]}   # the best, harmonic
    for row, colour, dashes in zip(baselines.values(), (charts.COLOURS[2], charts.HARMONIC_COLOUR), ([4, 2], [1, 1.5]), strict=False):
        values.append(row["rmse"])
        axes.axhline(row["rmse"], color=colour, dashes=dashes, linewidth=1.2, label=f"{row['title']} (fill)")
    charts.limit_rmse(axes, np.array(values), this_run=max(row["rmse"] for row in tried))
    if name == "LAMBDA" and len(set(x)) > 1:
        charts.scale_lambda(axes, sorted(set(x)))
    else:
        axes.set_xticks(x)
    axes.set(xlabel=name, ylabel="holdout RMSE")
    axes.legend(fontsize=8)


def draw_intervals(axes: Any, rows: Sequence[Row]) -> None:
    """Draw a line for each row, the best at the top: interval, mean and seeds; an arrow for rows far away."""
    harmonic = next(row["rmse"] for row in rows if row["name"] == "harmonic")
    edge = MAX_RATIO * max(min((row["rmse"] for row in rows if not row["fill"]), default=0), harmonic)
    for position, row in enumerate(rows):
        colour = GREY if row["fill"] else charts.RUN_COLOUR
        if row["rmse"] > edge:
            axes.annotate(f"{row['rmse']:.3f}", (edge, position), (-14, 0), textcoords="offset points", ha="right", va="center",
                          fontsize=8, color=colour)
            axes.plot(edge, position, ">", color=colour, clip_on=False)
            continue
        axes.plot([row["low"], min(row["high"], edge)], [position, position], color=colour)
        axes.plot(row["of_seeds"], [position] * len(row["of_seeds"]), "o", color=colour, fillstyle="none", markersize=4, alpha=0.7)
        axes.plot(row["rmse"], position, "o", color=colour, markersize=5)
    axes.axvline(harmonic, color=charts.HARMONIC_COLOUR, dashes=[1, 1.5], linewidth=1.2)
    axes.set_yticks(range(len(rows)), [row["title"] + " (fill)" * row["fill"] for row in rows])
    axes.set_xlim(right=edge)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("holdout RMSE with 95% interval; dotted: harmonic fill")
