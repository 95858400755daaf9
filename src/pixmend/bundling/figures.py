"""The figures of a bundle: the curve of the training, and holdout images before and after."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from pixmend.bundling.document import Picture
from pixmend.bundling.facts import Facts
from pixmend.config import Settings
from pixmend.reporting import charts, run_section
from pixmend.reporting.run_section import RMSE, Columns
from pixmend.sharing import model_card

NOT_LOSSES = {"step", "minutes", RMSE}   # columns of history.csv
CURVES, IMAGES = "figures/training.png", "figures/before-after.jpg"


def make_figures(facts: Facts) -> list[Picture]:
    """Return the figures that can be made: a fill has no curve, and images need the dataset and the predictions."""
    return [*make_curves(facts), *make_images(facts.settings)]


def make_curves(facts: Facts) -> list[Picture]:
    """Return a chart of the holdout RMSE and of the losses over the steps, a line for each training."""
    histories = {}
    for run in facts.runs:
        for fold in run.list_folds():
            columns = run_section.read_columns(run.settings.trained_folder / fold)
            if {"step", RMSE} < columns.keys():
                histories[" ".join([run.settings.trained_folder.name, fold]).strip()] = columns
    if not histories:
        return []
    losses = dict.fromkeys(name for columns in histories.values() for name in columns if name not in NOT_LOSSES)
    panels = [(title, make_panel(histories, name), charts.WIDE) for title, name in
              [("Holdout RMSE", RMSE), *((f"Training: {name}", name) for name in losses)]]
    caption = "RMSE on the holdout images of an evaluation, and losses, over the steps of training."
    return [Picture(CURVES, charts.render_png(panels), caption)]


def make_panel(histories: dict[str, Columns], name: str) -> charts.Draw:
    def draw(axes: Any) -> None:
        for number, (label, columns) in enumerate(histories.items()):
            steps, values = run_section.select_points(columns, "step", name)
            axes.plot(steps, values, color=charts.COLOURS[number % len(charts.COLOURS)], label=label, marker=".")
        if name != RMSE:
            charts.scale_losses(axes, np.concatenate([run_section.select_points(columns, "step", name)[1]
                                                      for columns in histories.values()]))
        axes.set_xlabel("step")
        axes.legend() if len(histories) > 1 else None

    return draw


def make_images(settings: Settings) -> list[Picture]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.jpg"
        if not model_card.write_picture(path, settings):
            return []
        return [Picture(IMAGES, path.read_bytes(), "Holdout images: damaged, predicted and original.")]
