"""Sweeps on the page: the trials, best first, the RMSE over every swept setting, and which setting mattered."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pixmend.config import Settings, flag
from pixmend.experiments import sweep_results
from pixmend.reporting import charts

MAX_TICKS = 8
MAX_LABEL_LENGTH = 9     # letters; longer labels are rotated
MIN_TICK_DISTANCE = 0.15   # of the axis; labels of closer numbers are rotated, too
ROTATED = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}

Sweep = Mapping[str, Any]   # as sweep_results keeps it


def describe_sweeps(settings: Settings) -> list[dict[str, Any]]:
    """Return everything that the page says about each sweep of the competition."""
    return [describe_sweep(number, sweep) for number, sweep in enumerate(sweep_results.read_sweeps(settings))]


def describe_sweep(number: int, sweep: Sweep) -> dict[str, Any]:
    scored = {name: [trial for trial in sweep["trials"] if trial["rmse"] is not None and name in trial["values"]] for name in sweep["space"]}
    return {**sweep, "trials": sweep_results.sort_trials(sweep["trials"]), "flags": {name: flag(name) for name in sweep["space"]},
            "counts": Counter(trial["state"] for trial in sweep["trials"]),
            "charts": {flag(name): plot_trials(f"sweep{number}-{name}", sweep, name, trials) for name, trials in scored.items() if trials},
            "importance": plot_importance(f"sweep{number}-importance", sweep["importance"]) if sweep["importance"] else ""}


def plot_trials(chart: str, sweep: Sweep, name: str, trials: Sequence[Mapping[str, Any]]) -> str:
    """Plot the RMSE of the trials over one setting; filled: complete trials, open: stopped ones; a circle marks the best."""
    values = [trial["values"][name] for trial in trials]
    rmse = np.array([trial["rmse"] for trial in trials])
    complete = np.array([trial["state"] == sweep_results.DONE for trial in trials])

    def draw(axes: Any) -> None:
        x = place_values(axes, values, log=name in sweep["log"])
        if len(sweep["space"]) == 1:
            order = np.argsort(x[complete], kind="stable")
            axes.plot(x[complete][order], rmse[complete][order], color=charts.RUN_COLOUR, alpha=0.5)
        axes.plot(x[complete], rmse[complete], "o", color=charts.RUN_COLOUR, markersize=5, label="complete")
        if not complete.all():
            axes.plot(x[~complete], rmse[~complete], "o", color=charts.HARMONIC_COLOUR, fillstyle="none", markersize=5, label="stopped early")
            axes.legend()
        best = [position for position, trial in enumerate(trials) if trial["number"] == sweep["best"]]
        charts.mark_point(axes, (x[best[0]], rmse[best[0]]) if best else None)
        charts.limit_rmse(axes, rmse, this_run=np.median(rmse))
        axes.set(xlabel=flag(name), ylabel="lowest holdout RMSE")
    return charts.render_svg(chart, draw)


def place_values(axes: Any, values: Sequence[Any], *, log: bool) -> np.ndarray:
    """Set up the x axis and return where the values are on it: numbers by size (on a wide range logarithmic), names in a row."""
    names = list(dict.fromkeys(values))
    if any(isinstance(value, (bool, str)) for value in names):
        names = sorted(names)
        labels = [{True: "yes", False: "no"}.get(name, name) for name in names]
        axes.set_xticks(range(len(names)), labels, **(ROTATED if max(map(len, labels)) > MAX_LABEL_LENGTH else {}))
        axes.set_xlim(-0.5, len(names) - 0.5)
        return np.array([names.index(value) for value in values], float)
    tried = np.unique(values)
    if log or (tried[0] > 0 and tried[-1] >= 10 * tried[0]):
        axes.set_xscale("log", subs=[2, 5])
        axes.xaxis.set_major_formatter(charts.format_tick)
        axes.xaxis.set_minor_formatter(charts.format_tick if tried[-1] < 30 * tried[0] else "")
    if len(tried) <= MAX_TICKS:
        positions = np.log(tried) if axes.get_xscale() == "log" else tried
        is_close = np.diff(positions).min(initial=np.inf) < MIN_TICK_DISTANCE * np.ptp(positions)
        axes.set_xticks(tried, [f"{value:g}" for value in tried], **(ROTATED if is_close else {}))
        axes.set_xticks([], minor=True)
    return np.array(values, float)


def plot_importance(chart: str, importance: Mapping[str, float]) -> str:
    """Plot each setting's share in the variation of the RMSE, the greatest at the top."""
    names = sorted(importance, key=lambda name: importance[name], reverse=True)

    def draw(axes: Any) -> None:
        bars = axes.barh(range(len(names)), [100 * importance[name] for name in names], 0.6, color=charts.RUN_COLOUR)
        axes.bar_label(bars, fmt="%.0f%%", padding=3, fontsize=8)
        axes.set_yticks(range(len(names)), [flag(name) for name in names])
        axes.set_xlim(0, 115)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("share in the variation of the RMSE, %")
    return charts.render_svg(chart, draw, (4.3, 1 + 0.4 * len(names)))
