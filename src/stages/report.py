"""One HTML page of all runs that opens offline, and the summary that a pipeline ends with."""

import base64
import csv
import io
from pathlib import Path

import numpy as np

from src import files, leaderboard
from src.errors import UserError
from src.pictures import measures, predictions, prepared
from src.pictures.encode import encode_jpeg

TEMPLATE = Path(__file__).with_name("report.html")
SHOWN = 3   # of the best, of the middle and of the worst pictures


def main(settings):
    path = settings.submissions_folder / "report.html"
    score = files.read_json(settings.run_folder / "score.json")
    if score is None:
        raise UserError(f"{settings.run_folder} has no score yet; run `python -m src score` with the same flags first.")
    rows = leaderboard.read(settings.submissions_folder / "leaderboard.csv")
    runs = sorted(rows, key=lambda row: float(row.get("holdout_rmse") or "inf"))
    page = render(settings, runs, score)
    files.write_text(path, page)
    print(what_next(settings, runs, score, path))


def render(settings, runs, score):
    from jinja2 import Environment

    jinja = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = jinja.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(contest=settings.contest, run=settings.run, runs=runs, floor=floor(score),
                           curves=curves(settings.run_folder / "history.csv"), groups=picture_groups(settings, score))


def floor(score):
    rows = [(name, measures.rmse(sums, score["numbers"])) for name, sums in score["fills"].items()]
    return sorted(rows, key=lambda row: row[1])


def curves(path):
    """Losses and holdout RMSE over the steps, as one drawing; empty for a fill."""
    if not path.exists():
        return ""
    with open(path, newline="", encoding="utf-8") as file:
        history = list(csv.DictReader(file))
    names = [n for n in history[-1] if n not in ("step", "minutes")]
    return draw({n: [(int(r["step"]), float(r[n])) for r in history if r[n]] for n in names})


def draw(lines):
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    with pyplot.rc_context({"svg.hashsalt": "photo", "svg.fonttype": "none", "font.size": 9}):
        figure, axes = pyplot.subplots(1, len(lines), figsize=(3.2 * len(lines), 2.6), squeeze=False, layout="constrained")
        for axis, (name, points) in zip(axes[0], lines.items(), strict=True):
            axis.plot(*zip(*points, strict=True), marker="." if len(points) < 20 else None)
            axis.set_title(name.replace("_", " "))
            axis.set_xlabel("step")
            axis.grid(alpha=0.3)
        drawing = io.StringIO()
        figure.savefig(drawing, format="svg", metadata={"Date": None})
        pyplot.close(figure)
    return drawing.getvalue()[drawing.getvalue().index("<svg"):]


def picture_groups(settings, score):
    """The run's best, middle and worst holdout pictures against the harmonic fill, each in five views."""
    ratio = np.sqrt(np.array(score["sums"]) / np.maximum(score["fills"]["harmonic"], 1e-9))
    order = np.argsort(ratio, kind="stable")
    middle = max(len(order) // 2 - SHOWN // 2, 0)
    groups = {"most gained on the harmonic fill": order[:SHOWN], "in the middle": order[middle:middle + SHOWN],
              "least gained, or lost": order[::-1][:SHOWN]}
    ready, predicted = prepared.open_for(settings), predictions.Predictions(settings.run_folder / "holdout.npz")
    rows = {row.id: row for row in ready.split("holdout")}
    return {title: [views(ready, predicted, rows[score["ids"][i]], ratio[i]) for i in picks] for title, picks in groups.items()}


def views(ready, predicted, row, ratio):
    known, whole = ready.damaged(row) / 255, ready.whole(row) / 255
    mended = predicted.picture(row.id, known, ready.hole(row) > 0)
    pictures = {"damaged": known, "harmonic": ready.seen(row, "harmonic") / 255, "predicted": mended, "whole": whole,
                "error": 0.5 + (mended - whole) * (ready.hole(row) > 0)[..., None]}
    return {"id": row.id, "ratio": ratio, "pictures": {name: embed(picture) for name, picture in pictures.items()}}


def embed(picture):
    encoded = encode_jpeg(np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8))
    return "data:image/jpeg;base64," + base64.b64encode(encoded).decode()


def what_next(settings, runs, score, path):
    """The pipeline's last words: where the run stands, what was written, and the way to the real competition."""
    ours = measures.rmse(score["sums"], score["numbers"])
    fills = "  ".join(f"{name} {value:.5f}" for name, value in floor(score))
    place = [run["run"] for run in runs].index(settings.run) + 1
    lines = [f"{settings.run}: holdout RMSE {ours:.5f}, place {place} of {len(runs)}; the fills: {fills}",
             f"file to submit: {settings.submissions_folder / (settings.run + '.csv')}", f"report:         {path}"]
    return "\n".join(["", *lines, *commands(settings)])


def commands(settings):
    if settings.contest == "photo_reconstruction":
        return ["submit it:      python -m src submit --contest photo_reconstruction --run " + settings.run]
    return ["the real competition (README: Kaggle token, accepted rules):",
            "  ./run_pipeline.sh --contest photo_reconstruction --lambda 1000 --steps 170000",
            "  ./run_pipeline.sh --contest photo_reconstruction --lambda 1000 --steps 170000 --submit"]
