"""The report's part on sweeps: each one's trials, best first, the RMSE over every knob swept, and which knob mattered."""

from collections import Counter

import numpy as np

from pixmend.config import flag
from pixmend.experiments import sweep_results
from pixmend.reporting import charts

MOST_TICKS = 8
LONGEST_TICK = 9   # letters; names longer than that are written aslant
CLOSEST_TICK = 0.15   # of the axis; numbers closer than that, too
ASLANT = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}


def shown(settings):
    """All that the page says of each sweep of the contest."""
    return [one(number, sweep) for number, sweep in enumerate(sweep_results.read_sweeps(settings))]


def one(number, sweep):
    return sweep | {
        "trials": sweep_results.sort_trials(sweep["trials"]), "flags": {name: flag(name) for name in sweep["space"]},
        "counts": Counter(trial["state"] for trial in sweep["trials"]),
        "drawings": {flag(name): over_knob(f"sweep{number}-{name}", sweep, name)
                     for name in sweep["space"] if known(sweep, name)},
        "importance": weights(f"sweep{number}-importance", sweep["importance"]) if sweep["importance"] else ""}


def known(sweep, name):
    return [trial for trial in sweep["trials"] if trial["rmse"] is not None and name in trial["values"]]


def over_knob(drawing, sweep, name):
    """RMSE of the trials over one knob: full where they came to their end, open where they were stopped; the best one ringed."""
    trials = known(sweep, name)
    values = [trial["values"][name] for trial in trials]
    rmse = np.array([trial["rmse"] for trial in trials])
    done = np.array([trial["state"] == sweep_results.DONE for trial in trials])

    def paint(axes):
        x = scaled(axes, values, log=name in sweep["log"])
        if len(sweep["space"]) == 1:
            order = np.argsort(x[done], kind="stable")
            axes.plot(x[done][order], rmse[done][order], color=charts.RUN, alpha=0.5)
        axes.plot(x[done], rmse[done], "o", color=charts.RUN, markersize=5, label="done")
        if not done.all():
            axes.plot(x[~done], rmse[~done], "o", color=charts.HARMONIC, fillstyle="none", markersize=5, label="stopped early")
            axes.legend()
        best = [place for place, trial in enumerate(trials) if trial["number"] == sweep["best"]]
        charts.ring(axes, (x[best[0]], rmse[best[0]]) if best else None)
        charts.focus(axes, rmse, this_run=np.median(rmse))
        axes.set(xlabel=flag(name), ylabel="best holdout RMSE")
    return charts.svg(drawing, paint)


def scaled(axes, values, *, log):
    """Where values stand on the axis: numbers by their size, by powers of ten where they span more than one; names in a row."""
    names = list(dict.fromkeys(values))
    if any(isinstance(value, (bool, str)) for value in names):
        names = sorted(names)
        texts = [{True: "yes", False: "no"}.get(name, name) for name in names]
        axes.set_xticks(range(len(names)), texts, **(ASLANT if max(map(len, texts)) > LONGEST_TICK else {}))
        axes.set_xlim(-0.5, len(names) - 0.5)
        return np.array([names.index(value) for value in values], float)
    tried = np.unique(values)
    if log or (tried[0] > 0 and tried[-1] >= 10 * tried[0]):
        axes.set_xscale("log", subs=[2, 5])
        axes.xaxis.set_major_formatter(charts.plain)
        axes.xaxis.set_minor_formatter(charts.plain if tried[-1] < 30 * tried[0] else "")
    if len(tried) <= MOST_TICKS:
        places = np.log(tried) if axes.get_xscale() == "log" else tried
        close = np.diff(places).min(initial=np.inf) < CLOSEST_TICK * np.ptp(places)
        axes.set_xticks(tried, [f"{value:g}" for value in tried], **(ASLANT if close else {}))
        axes.set_xticks([], minor=True)
    return np.array(values, float)


def weights(drawing, importance):
    """Each knob's share in how the RMSE varies, the greatest above."""
    names = sorted(importance, key=importance.get, reverse=True)

    def paint(axes):
        bars = axes.barh(range(len(names)), [100 * importance[name] for name in names], 0.6, color=charts.RUN)
        axes.bar_label(bars, fmt="%.0f%%", padding=3, fontsize=8)
        axes.set_yticks(range(len(names)), [flag(name) for name in names])
        axes.set_xlim(0, 115)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("share in how the RMSE varies, %")
    return charts.svg(drawing, paint, (4.3, 1 + 0.4 * len(names)))
