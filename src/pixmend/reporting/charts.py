"""Drawings of the report as inline SVG that suits light and dark: nothing behind it, text in the page's own colour."""

import io
import re

import numpy as np

INK = "#010203"   # stands in for the page's own colour of text
# Each at least 3:1 against white and against the dark page; the second four are dashed as well.
COLOURS = ("#2f7de1", "#d9660a", "#2b9348", "#d6336c", "#8b5cf6", "#0b939c", "#a87b00", "#7a7f87")
DASHES = ("",) * 4 + ("5 2.5",) * 4
RUN, HARMONIC = COLOURS[:2]
STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "report", "text.parse_math": False, "font.size": 9,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": INK, "grid.alpha": 0.15,
    "axes.axisbelow": True, "legend.frameon": False, "lines.linewidth": 1.6, "axes.formatter.useoffset": False,
}
WIDE = (4.8, 3.2)   # inches
MOST_POINTS = 400   # of a curve
SHOWN_ABOVE = 1.3   # times the lowest RMSE, so that one failed run does not press all others into a line
WITHOUT_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def svg(name, paint, size=(4.3, 2.8), **subplots):
    """What `paint(axes)` draws; its ids begin with `name`, so that many drawings can stand in one page."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        paint(figure.subplots(**subplots))
        drawing = io.StringIO()
        figure.savefig(drawing, format="svg", transparent=True, metadata=WITHOUT_METADATA)
    text = drawing.getvalue()
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text[text.index("<svg"):])
    return text.replace(INK, "currentColor").replace("<svg ", '<svg aria-hidden="true" ', 1)


def png(panels):
    """A picture of several drawings, (title, paint) each, two in a row."""
    import matplotlib
    from matplotlib.figure import Figure

    columns = min(2, len(panels)) or 1
    down = -(-len(panels) // columns)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(6 * columns, 4.2 * down or 1), layout="constrained", dpi=110)
        for place, (title, paint) in enumerate(panels, 1):
            axes = figure.add_subplot(down, columns, place)
            axes.set_title(title, fontsize=10)
            paint(axes)
        picture = io.BytesIO()
        figure.savefig(picture, format="png", metadata={"Software": None})
    return picture.getvalue()


def curves(name, lines, over, *, is_rmse):
    """Lines of (x, y), one a run in the order of its colour, this run's first; the lowest point of an RMSE is ringed."""
    def paint(axes):
        for place, (x, y) in enumerate(lines):
            if len(x):
                one_curve(axes, place, *thinned(x, y), ringed=is_rmse)
        if is_rmse:
            focus(axes, np.concatenate([y for _, y in lines]), this_run=lines[0][1].min())
        else:
            by_powers_of_ten(axes, np.concatenate([y for _, y in lines]))
        axes.set_xlabel(over)
    return svg(name, paint)


def focus(axes, drawn, *, this_run):
    """Leave out at the top what is far above the lowest RMSE and above this run."""
    low, high = drawn.min(), drawn[drawn <= max(SHOWN_ABOVE * drawn.min(), this_run)].max()
    margin = 0.06 * (high - low) or 0.01 * low
    axes.set_ylim(low - margin, high + margin)


def by_powers_of_ten(axes, drawn):
    """Losses that differ by more than ten times are shown by powers of ten."""
    if len(drawn) and 0 < 10 * drawn.min() < drawn.max():
        axes.set_yscale("log", subs=[2, 5])
        axes.yaxis.set_major_formatter(plain)
        axes.yaxis.set_minor_formatter(plain if drawn.max() < 100 * drawn.min() else "")


def plain(value, _):
    return f"{value:g}"


def one_curve(axes, place, x, y, *, ringed):
    colour, dash = COLOURS[place], [float(d) for d in DASHES[place].split()]
    axes.plot(x, y, color=colour, dashes=dash, marker="." if len(x) < 20 else None, gid=f"run{place}", zorder=20 - place)
    if ringed:
        low = np.argmin(y)
        axes.plot(x[low], y[low], "o", color=colour, fillstyle="none", markersize=7, gid=f"low-run{place}")


def thinned(x, y):
    """At most so many points as a drawing shows, the first, last and lowest among them."""
    kept = np.unique([*np.linspace(0, len(x) - 1, MOST_POINTS).astype(int), np.argmin(y)])
    return x[kept], y[kept]


def over_lambda(groups, this_run):
    """Holdout RMSE over LAMBDA; runs that differ in nothing else are joined."""
    def paint(axes):
        found = {run.name: (run.stored["LAMBDA"], run.figure("holdout_rmse")) for group in groups for run in group}
        for place, group in enumerate(groups):
            x, y = zip(*(found[run.name] for run in group), strict=True)
            axes.plot(x, y, color=COLOURS[place % len(COLOURS)], marker="o", markersize=5)
        ring(axes, found.get(this_run))
        values = np.array(list(found.values()))
        focus(axes, values[:, 1], this_run=found[this_run][1] if this_run in found else 0)
        spread(axes, np.unique(values[:, 0]).tolist())
        axes.set(xlabel="LAMBDA", ylabel="holdout RMSE")
    return svg("lambda", paint, WIDE)


def ring(axes, point):
    """Mark this run, where it is drawn."""
    if point:
        axes.plot(*point, "o", color=INK, fillstyle="none", markersize=11)


def spread(axes, tried):
    """LAMBDA by powers of ten, with the tried values as the marks; zero has its place at the left."""
    if tried[0] > 0:
        axes.set_xscale("log")
    else:
        axes.set_xscale("symlog", linthresh=tried[1])
    axes.set_xticks(tried if len(tried) <= 10 else tried[::-(-len(tried) // 10)])
    axes.set_xticks([], minor=True)
    axes.xaxis.set_major_formatter(plain)


def by_distance(where):
    met, values = where.by_distance()

    def paint(axes):
        axes.plot(met, values["harmonic"], color=HARMONIC, dashes=[5, 2.5], label="harmonic")
        axes.plot(met, values["run"], color=RUN, label="this run")
        axes.set(xlabel="pixels to the nearest known one", ylabel="RMSE", ylim=(0, None))
        axes.legend()
    return svg("distance", paint)


def over_box(maps):
    """The run's and the harmonic fill's mean error at each place of a box, in the same colours."""
    highest = max(values.max() for values in maps.values())

    def paint(both):
        for axes, (name, title) in zip(both, {"run": "this run", "harmonic": "harmonic"}.items(), strict=True):
            image = axes.imshow(maps[name], cmap="viridis", vmin=0, vmax=highest, interpolation="none")
            axes.set_title(title, fontsize=9)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
        both[0].figure.colorbar(image, ax=both, shrink=0.8, label="RMSE").outline.set_visible(False)
    return svg("box", paint, (4.7, 2.3), ncols=2)


def by_class(ours, harmonic):
    """RMSE of each class, the run's bar above the harmonic fill's."""
    kinds = sorted(ours, key=ours.get)
    places = np.arange(len(kinds))

    def paint(axes):
        for side, values, colour, label in ((-0.2, ours, RUN, "this run"), (0.2, harmonic, HARMONIC, "harmonic")):
            bars = axes.barh(places + side, [values[kind] for kind in kinds], 0.36, color=colour, label=label)
            axes.bar_label(bars, fmt="%.4f", padding=3, fontsize=8)
        axes.set_yticks(places, kinds)
        axes.set_xlim(0, 1.15 * max([*ours.values(), *harmonic.values()]))
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.figure.legend(loc="outside upper left", ncols=2)
    return svg("class", paint, (4.7, 1 + 0.45 * len(kinds)))


def agreement(found, this_run):
    """Scores of the leaderboard over the holdout's; along the dotted line both are equal."""
    def paint(axes):
        for (column, (runs, _)), colour, marker in zip(found.items(), (RUN, HARMONIC), "os", strict=False):
            points = {run.name: (run.figure("holdout_rmse"), run.figure(column)) for run in runs}
            axes.plot(*zip(*points.values(), strict=True), marker, color=colour, markersize=5, label=column)
            ring(axes, points.get(this_run))
        axes.axline((axes.get_xlim()[0],) * 2, slope=1, color=INK, alpha=0.5, linestyle=":", linewidth=1)
        axes.set(xlabel="holdout RMSE", ylabel="score on the leaderboard")
        axes.legend()
    return svg("agreement", paint, WIDE)
