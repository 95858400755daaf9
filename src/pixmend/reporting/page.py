"""The page itself: what the files of the runs say, put into report.html with its style and its script."""

from pathlib import Path

from pixmend import competitions
from pixmend.evaluation import metrics
from pixmend.reporting import charts, gallery, run_section, study_section, sweep_section

# Columns of the leaderboard: what they hold, their title, how many places a number has, and what to say on it.
COLUMNS = (
    ("holdout_rmse", "holdout RMSE", 5, "over the missing pixels of the holdout"),
    ("low", "95% interval", 4, "how far the RMSE would move with other pictures"),
    ("to_harmonic", "of harmonic", 3, "below 1: better than the fill that learns nothing"),
    ("pictures", "pictures", 0, "held out; with --folds all training pictures, each predicted by a run that never saw it"),
    ("iou", "IoU of masks", 4, "intersection over union of the masks found with the true ones, where masks are hidden"),
    ("public", "public", 5, "score on the leaderboard"),
    ("private", "private", 5, "score after the contest's end"),
    ("steps", "steps", 0, "optimizer steps done"),
    ("minutes", "minutes", 1, "of training"),
)


def render(settings, listed, score, classes, where, mended, ready):
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    jinja = Environment(loader=FileSystemLoader(Path(__file__).parent, encoding="utf-8"), autoescape=True, trim_blocks=True,
                        lstrip_blocks=True, undefined=StrictUndefined)
    place = [run.name for run in listed].index(settings.run)
    kept = run_section.histories(settings)
    maps, boxes = where.over_box()
    own = own_scores(settings)
    return jinja.get_template("report.html").render(
        contest=settings.competition, run=listed[place], place=place + 1, runs=listed, span=span(listed),
        columns=columns(listed, own), own=own,
        differs={run.name: run_section.differs(run, competitions.get_default_settings(settings)) for run in listed}, floor=floor(score), score=score,
        curves=curves(kept), swatches=list(zip(kept, charts.COLOURS, charts.DASHES, strict=False)),
        over_lambda=over_lambda(listed, settings.run), sweeps=sweep_section.shown(settings),
        studies=study_section.shown(settings),
        groups=gallery.shown(ready, score, mended), views=gallery.VIEWS,
        small=min(settings.shape[:2]) < 128, by_distance=charts.by_distance(where),
        over_box=charts.over_box(maps) if maps else "", boxes=boxes,
        by_class=charts.by_class(**classes),
        **agreement(listed, settings.run))


def columns(listed, own):
    """Those of the table: masks have one where a run of it has found some."""
    kept = tuple(column for column in COLUMNS if column[0] != "iou" or any(run.figure("iou") is not None for run in listed))
    return kept[:3] + own + kept[3:]


def own_scores(settings):
    """The contest's own scores as columns."""
    scores = competitions.get_extra_metrics(settings)
    return tuple((name, name.replace("_255", " in 0..255"), 4, score.what) for name, score in scores.items())


def span(listed):
    """The lowest and the highest end of all intervals, between which they are drawn; None where there is no interval."""
    ends = [run.figure(end) for run in listed for end in ("low", "high")]
    known = [end for end in ends if end is not None]
    return (min(known), max(known)) if known and max(known) > min(known) else None


def floor(score):
    """The fills on the same pictures, the best first."""
    rows = [(name, metrics.compute_rmse(sums, score["numbers"])) for name, sums in score["fills"].items()]
    return sorted(rows, key=lambda row: row[1])


def curves(kept):
    """Nothing without a history; else for each quantity its title and its drawings over steps and over minutes, a line a run."""
    return [(name.replace("_rmse", " RMSE"), {over: drawing(kept, name, over) for over in ("step", "minutes")})
            for name in run_section.quantities(kept)] if kept else []


def drawing(kept, name, over):
    return charts.curves(f"{name}-{over}", [run_section.points(history, over, name) for history in kept.values()], over,
                           is_rmse=name == "holdout_rmse")


def over_lambda(listed, this_run):
    groups = run_section.over_lambda(listed)
    return charts.over_lambda(groups, this_run) if groups else ""


def agreement(listed, this_run):
    found = run_section.agreement(listed)
    return {"agreement": charts.agreement(found, this_run) if found else "", "fewest": run_section.FEWEST_TO_RANK,
            "ranks": [(column, len(both), rank) for column, (both, rank) in found.items()]}
