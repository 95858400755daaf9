"""Charts of the report as inline SVG for light and dark pages: transparent, with text in the page's own colour.

A `Draw` draws into the axes that it is given; `render_svg` and `render_png` make the files.
"""

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from pixmend.reporting.error_section import ErrorMaps
from pixmend.reporting.run_section import Run

Draw = Callable[[Any], None]
Panel = tuple[str, Draw, tuple[float, float]]   # title, what is drawn, size in inches

INK = "#010203"   # replaced by the page's own text colour
# Each has a contrast of 3:1 or more with white and with the dark page; the second four are dashed, too.
COLOURS = ("#2f7de1", "#d9660a", "#2b9348", "#d6336c", "#8b5cf6", "#0b939c", "#a87b00", "#7a7f87")
DASHES = ("",) * 4 + ("5 2.5",) * 4
RUN_COLOUR, HARMONIC_COLOUR = COLOURS[:2]
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "report", "text.parse_math": False, "font.size": 9,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": INK, "grid.alpha": 0.15,
    "axes.axisbelow": True, "legend.frameon": False, "lines.linewidth": 1.6, "axes.formatter.useoffset": False,
}
SMALL, WIDE = (4.3, 2.8), (4.8, 3.2)   # inches
TICK = "{x:g}"
MAX_TICKS = 8
MIN_TICK_DISTANCE = 0.15   # of the axis; labels of closer numbers are rotated
ROTATED = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
LONGEST_LABEL = 24   # letters of a row's name, of which longer ones lose the middle
MAX_POINTS = 400    # of a curve
MAX_RATIO = 1.3     # to the lowest RMSE; higher values are cut off, so that one failed run does not flatten the others


def render_figure(size: tuple[float, float], draw: Draw, **options: Any) -> bytes:
    """Return a file with a whole figure, which `draw` is given; the options are those of `savefig`."""
    import matplotlib
    from matplotlib.figure import Figure

    out = io.BytesIO()
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")   # the browser has fonts for these letters
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        figure.savefig(out, **options)
    return out.getvalue()


def render_svg(name: str, draw: Draw, size: tuple[float, float] = SMALL, **subplots: Any) -> str:
    """Return a chart as SVG; its ids begin with `name`, so that one page can have many charts."""
    text = render_figure(size, lambda figure: draw(figure.subplots(**subplots)), format="svg", transparent=True,
                         metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))).decode()
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text[text.index("<svg"):])
    return text.replace(INK, "currentColor").replace("<svg ", '<svg aria-hidden="true" ', 1)


def render_png(panels: Sequence[Panel]) -> bytes:
    """Return several charts as one PNG image with two charts in a row."""
    columns = min(2, len(panels)) or 1
    rows = -(-len(panels) // columns)

    def draw_all(figure: Any) -> None:
        for number, (title, draw, _) in enumerate(panels, 1):
            axes = figure.add_subplot(rows, columns, number)
            axes.set_title(title, fontsize=10)
            draw(axes)
    return render_figure((6 * columns, 4.2 * rows or 1), draw_all, format="png", dpi=110, metadata={"Software": None})


def plot_curves(name: str, lines: Sequence[tuple[np.ndarray, np.ndarray]], over: str, *, is_rmse: bool) -> str:
    """Plot lines of (x, y), one a run in the order of COLOURS, this run's first; a circle marks the lowest RMSE of each."""
    def draw(axes: Any) -> None:
        for number, (x, y) in enumerate(lines):
            if not len(x):
                continue
            colour, dashes, lowest = COLOURS[number], [float(length) for length in DASHES[number].split()], np.argmin(y)
            shown = np.unique([*np.linspace(0, len(x) - 1, MAX_POINTS).astype(int), lowest])
            axes.plot(x[shown], y[shown], color=colour, dashes=dashes, marker="." if len(shown) < 20 else None,
                      gid=f"run{number}", zorder=20 - number)
            if is_rmse:
                axes.plot(x[lowest], y[lowest], "o", color=colour, fillstyle="none", markersize=7, gid=f"low-run{number}")
        values = np.concatenate([y for _, y in lines])
        if is_rmse:
            limit_rmse(axes, values, this_run=lines[0][1].min())
        else:
            scale_losses(axes, values)
        axes.set_xlabel(over)
    return render_svg(name, draw)


def limit_rmse(axes: Any, values: np.ndarray, *, this_run: float) -> None:
    """Cut off at the top what is far above the lowest RMSE and above this run."""
    low, high = values.min(), values[values <= max(MAX_RATIO * values.min(), this_run)].max()
    margin = 0.06 * (high - low) or 0.01 * low
    axes.set_ylim(low - margin, high + margin)


def scale_losses(axes: Any, values: np.ndarray) -> None:
    """Use a logarithmic axis for losses that differ by more than ten times."""
    if len(values) and 0 < 10 * values.min() < values.max():
        axes.set_yscale("log", subs=[2, 5])
        axes.yaxis.set_major_formatter(TICK)
        axes.yaxis.set_minor_formatter(TICK if values.max() < 100 * values.min() else "")


def plot_over_lambda(groups: Sequence[Sequence[Run]], this_run: str) -> str:
    """Plot holdout RMSE over LAMBDA; runs that differ in nothing else are joined by a line."""
    def draw(axes: Any) -> None:
        points: dict[str, Any] = {run.name: (run.stored["LAMBDA"], run.get_number("holdout_rmse"))
                                  for group in groups for run in group}
        for number, group in enumerate(groups):
            x, y = zip(*(points[run.name] for run in group), strict=True)
            axes.plot(x, y, color=COLOURS[number % len(COLOURS)], marker="o", markersize=5)
        mark_point(axes, points.get(this_run))
        values = np.array(list(points.values()), float)
        limit_rmse(axes, values[:, 1], this_run=points.get(this_run, (0, 0))[1])
        scale_numbers(axes, values[:, 0], log=True)
        axes.set(xlabel="LAMBDA", ylabel="holdout RMSE")
    return render_svg("lambda", draw, WIDE)


def mark_point(axes: Any, point: Sequence[float | None] | None) -> None:
    """Draw a circle around a point, if it is in the chart."""
    if point:
        axes.plot(*point, "o", color=INK, fillstyle="none", markersize=11)


def scale_numbers(axes: Any, values: Sequence[float] | np.ndarray, *, log: bool) -> None:
    """Set up a horizontal axis with a tick at each number while they are few; on a logarithmic one zero is at the left end."""
    tried = np.unique(values)
    if log and len(tried) > 1:
        if tried[0] > 0:
            axes.set_xscale("log", subs=[2, 5])
        else:
            axes.set_xscale("symlog", linthresh=tried[1])
        axes.xaxis.set_major_formatter(TICK)
        axes.xaxis.set_minor_formatter(TICK if tried[-1] < 30 * tried[0] else "")
    if len(tried) <= MAX_TICKS:
        positions = axes.xaxis.get_transform().transform(tried)
        is_close = np.diff(positions).min(initial=np.inf) < MIN_TICK_DISTANCE * np.ptp(positions)
        axes.set_xticks(tried, [f"{value:g}" for value in tried], **(ROTATED if is_close else {}))
        axes.set_xticks([], minor=True)


def plot_by_distance(errors: ErrorMaps) -> str:
    """Plot the RMSE of the run and of the harmonic fill over the distance to the nearest known pixel."""
    distances, values = errors.get_rmse_by_distance()

    def draw(axes: Any) -> None:
        axes.plot(distances, values["harmonic"], color=HARMONIC_COLOUR, dashes=[5, 2.5], label="harmonic fill")
        axes.plot(distances, values["run"], color=RUN_COLOUR, label="this run")
        axes.set(xlabel="pixels to the nearest known pixel", ylabel="RMSE", ylim=(0, None))
        axes.legend()
    return render_svg("distance", draw)


def plot_box_maps(maps: Mapping[str, np.ndarray]) -> str:
    """Draw the RMSE at each position in a box, of the run and of the harmonic fill, in the same colours."""
    highest = max(values.max() for values in maps.values())

    def draw(both: Any) -> None:
        for axes, (name, title) in zip(both, {"run": "this run", "harmonic": "harmonic fill"}.items(), strict=True):
            gid = f"map-{name}"   # without it, equal maps would have equal ids
            image = axes.imshow(maps[name], cmap="viridis", vmin=0, vmax=highest, interpolation="none", gid=gid)
            axes.set_title(title, fontsize=9)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        both[0].figure.colorbar(image, ax=both, shrink=0.8, label="RMSE").outline.set_visible(False)
    return render_svg("box", draw, (4.7, 2.3), ncols=2)


def shorten_label(text: str) -> str:
    """Return a long name without its middle, so that enough space is left for the bars."""
    half = LONGEST_LABEL // 2
    return text if len(text) <= LONGEST_LABEL else f"{text[:half - 1]}\u2026{text[-half:]}"


def label_rows(axes: Any, names: Sequence[str]) -> None:
    """Name the rows of a chart, the first one at the top."""
    axes.set_yticks(range(len(names)), list(map(shorten_label, names)))
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)


def plot_classes(run: Mapping[str, float], harmonic: Mapping[str, float]) -> str:
    """Plot the RMSE of each class, of the run and of the harmonic fill, as bars."""
    labels = sorted(run, key=lambda label: run[label])
    positions = np.arange(len(labels))

    def draw(axes: Any) -> None:
        sides = ((-0.2, run, RUN_COLOUR, "this run"), (0.2, harmonic, HARMONIC_COLOUR, "harmonic fill"))
        for side, values, colour, label in sides:
            bars = axes.barh(positions + side, [values[name] for name in labels], 0.36, color=colour, label=label)
            axes.bar_label(bars, fmt="%.4f", padding=3, fontsize=8)
        axes.set_xlim(0, 1.15 * max([*run.values(), *harmonic.values()]))
        label_rows(axes, labels)
        axes.figure.legend(loc="outside upper left", ncols=2)
    return render_svg("class", draw, (4.7, 1 + 0.45 * len(labels)))


def plot_agreement(found: Mapping[str, Sequence[Run]], this_run: str) -> str:
    """Plot the scores of the test images over the holdout RMSE; on the dotted line both are equal."""
    def draw(axes: Any) -> None:
        for (column, runs), colour, marker in zip(found.items(), (RUN_COLOUR, HARMONIC_COLOUR), "os", strict=False):
            points = {run.name: (run.get_number("holdout_rmse"), run.get_number(column)) for run in runs}
            axes.plot(*zip(*points.values(), strict=True), marker, color=colour, markersize=5, label=column)
            mark_point(axes, points.get(this_run))
        axes.axline((axes.get_xlim()[0],) * 2, slope=1, color=INK, alpha=0.5, linestyle=":", linewidth=1)
        axes.set(xlabel="holdout RMSE", ylabel="score of the test images")
        axes.legend()
    return render_svg("agreement", draw, WIDE)


def plot_submissions(times: Sequence[datetime], scores: Mapping[str, Sequence[float | None]],
                     ranks: Sequence[float | None]) -> str:
    """Plot public and private scores over the time of sending, and below them the ranks, the first at the top."""
    has_ranks = any(rank is not None for rank in ranks)

    def draw(drawn: Any) -> None:
        rows = list(drawn) if has_ranks else [drawn]
        for (name, values), colour, marker in zip(scores.items(), (RUN_COLOUR, HARMONIC_COLOUR), "os", strict=True):
            draw_known(rows[0], times, values, colour=colour, marker=marker, label=name)
        rows[0].set_ylabel("score")
        rows[0].legend()
        if has_ranks:
            draw_known(rows[1], times, ranks, colour=COLOURS[2], marker="o", label="rank")
            rows[1].invert_yaxis()
            rows[1].yaxis.get_major_locator().set_params(integer=True)
            rows[1].set_ylabel("rank")
        rows[-1].set_xlabel("sent (UTC)")
        rows[-1].tick_params(axis="x", rotation=40)
    return render_svg("submissions", draw, (WIDE[0], 4.6 if has_ranks else WIDE[1]), nrows=1 + has_ranks, sharex=True)


def draw_known(axes: Any, times: Sequence[datetime], values: Sequence[float | None], *, colour: str, marker: str,
               label: str) -> None:
    """Draw a line with a marker at each value that is known; nothing where none is."""
    points = [(time, value) for time, value in zip(times, values, strict=True) if value is not None]
    if points:
        axes.plot(*zip(*points, strict=True), color=colour, marker=marker, markersize=5, label=label, gid=f"submissions-{label}")
