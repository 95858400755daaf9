"""The drawings of studies, for the report and benchmarks/: curves of training, RMSE over a number, rows with intervals."""

from functools import partial

import numpy as np

from pixmend.experiments import study_results, study_table
from pixmend.reporting import charts, run_section

MOST_ABOVE = 1.5   # times the RMSE of the best row or of the harmonic fill; what is further off is an arrow at the edge
SHORTEST, A_ROW = 1.1, 0.26   # inches
GREY = charts.COLOURS[-1]


def shown(settings):
    """All that the page says of each study of the contest."""
    return [one(settings, number, study) for number, study in enumerate(study_results.read_studies(settings))]


def one(settings, number, study):
    titles, numeric, rows = study_table.format_cells(study)
    best = [row["title"] == study.get("best") for row in study_table.sort_rows(study)]
    return study | {"titles": list(zip(titles, numeric, strict=True)), "cells": list(zip(best, rows, strict=True)),
                    "notes": study_table.list_notes(study), "hardware": study_table.format_origin(study),
                    "drawings": {title: charts.svg(f"study{number}-{place}", paint, size)
                                 for place, (title, paint, size) in enumerate(panels(settings, study))}}


def png(settings, study):
    """The same drawings as one picture."""
    return charts.png([(title, paint) for title, paint, _ in panels(settings, study)])


def panels(settings, study):
    """(title, paint, size) of each drawing that there are figures for."""
    drawn = [*curves(settings, study)] if study["curves"] else []
    rows = [row for row in study_table.sort_rows(study) if row["rmse"] is not None]
    if study["over"] and any(not row["fill"] for row in rows):
        drawn.append((f"RMSE over {study['over']}", partial(over_number, name=study["over"], rows=rows), charts.WIDE))
    elif rows:
        drawn.append(("RMSE of the holdout", partial(intervals, rows=rows), (4.7, SHORTEST + A_ROW * len(rows))))
    return drawn


def curves(settings, study):
    """Training loss and RMSE of the looks, over steps and over minutes; a colour a row, a line a seed."""
    of_row = {row["title"]: [run_section.columns(study_results.read_history(settings, run)) for run in row["runs"]]
              for row in study["rows"] if row["runs"] and not row["fill"]}
    of_row = {title: [kept for kept in each if "step" in kept] for title, each in of_row.items()}
    for title, name in {"Training loss": "loss", "RMSE of the looks at the holdout": run_section.RMSE}.items():
        for over, ending in {"step": "", "minutes": ", over time"}.items():
            if any(of_row.values()):
                yield title + ending, partial(draw_curves, of_row=of_row, name=name, over=over), charts.WIDE


def draw_curves(axes, of_row, name, over):
    drawn = []
    for place, (title, histories) in enumerate(of_row.items()):
        for number, kept in enumerate(histories):
            x, y = run_section.points(kept, over, name if name in kept else "reconstruction")
            drawn.append(y)
            axes.plot(x, y, color=charts.COLOURS[place % len(charts.COLOURS)], linewidth=1.2,
                      marker="." if len(x) < 3 else None, label=None if number else title)
    drawn = np.concatenate(drawn)
    if name == run_section.RMSE:
        charts.focus(axes, drawn, this_run=np.median(drawn))
    else:
        charts.by_powers_of_ten(axes, drawn)
    axes.set(xlabel="minutes of training" if over == "minutes" else over)
    axes.legend(fontsize=8)


def over_number(axes, name, rows):
    """Each seed a point, their mean a line, and the fills to be beaten across."""
    tried = [row for row in rows if not row["fill"]]
    x = [row["where"] for row in tried]
    axes.plot(x, [row["rmse"] for row in tried], color=charts.RUN, label="mean of the seeds")
    for row in tried:
        axes.plot([row["where"]] * len(row["of_seeds"]), row["of_seeds"], "o", color=charts.RUN, fillstyle="none", markersize=5)
    values = [value for row in tried for value in row["of_seeds"]]
    for row, colour, dashes in across(rows):
        values.append(row["rmse"])
        axes.axhline(row["rmse"], color=colour, dashes=dashes, linewidth=1.2, label=f"{row['title']} (fill)")
    charts.focus(axes, np.array(values), this_run=max(row["rmse"] for row in tried))
    if name == "LAMBDA" and len(set(x)) > 1:
        charts.spread(axes, sorted(set(x)))
    else:
        axes.set_xticks(x)
    axes.set(xlabel=name, ylabel="holdout RMSE")
    axes.legend(fontsize=8)


def across(rows):
    """The best fill, and the harmonic one."""
    fills = [row for row in rows if row["fill"]]
    marked = {row["title"]: row for row in [*fills[:1], *(row for row in fills if row["name"] == "harmonic")]}
    return zip(marked.values(), (charts.COLOURS[2], charts.HARMONIC), ([4, 2], [1, 1.5]), strict=False)


def intervals(axes, rows):
    """A line a row, the best above: its interval, its mean, its seeds; rows far off are told by an arrow."""
    harmonic = next(row["rmse"] for row in rows if row["name"] == "harmonic")
    edge = MOST_ABOVE * max(min((row["rmse"] for row in rows if not row["fill"]), default=0), harmonic)
    for place, row in enumerate(rows):
        colour = GREY if row["fill"] else charts.RUN
        if row["rmse"] > edge:
            axes.annotate(f"{row['rmse']:.3f}", (edge, place), (-14, 0), textcoords="offset points", ha="right", va="center",
                          fontsize=8, color=colour)
            axes.plot(edge, place, ">", color=colour, clip_on=False)
            continue
        axes.plot([row["low"], min(row["high"], edge)], [place, place], color=colour)
        axes.plot(row["of_seeds"], [place] * len(row["of_seeds"]), "o", color=colour, fillstyle="none", markersize=4, alpha=0.7)
        axes.plot(row["rmse"], place, "o", color=colour, markersize=5)
    axes.axvline(harmonic, color=charts.HARMONIC, dashes=[1, 1.5], linewidth=1.2)
    axes.set_yticks(range(len(rows)), [row["title"] + " (fill)" * row["fill"] for row in rows])
    axes.set_xlim(right=edge)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("holdout RMSE, 95% interval; dotted: the harmonic fill")
