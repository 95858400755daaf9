"""Measuring rows: each is trained, predicted and scored by the stages, and what its files say is stored."""

import json
import re
import shlex
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from benchmarks._measure import add_result, check_same_images, describe_measurement, read_results, run_stage
from benchmarks.systems.detail import measure_detail
from benchmarks.systems.page import draw_curves, format_page, get_chart_name
from benchmarks.systems.plan import Row, Table, fill_placeholders, list_needed_rows, merge_flags
from benchmarks.systems.tables import PLACES, TABLES
from pixmend.competitions.photo_reconstruction import ORIGINAL, TRAIN
from pixmend.evaluation.bootstrap import number_sources
from pixmend.evaluation.metrics import compute_pooled_iou
from pixmend.experiments.run_costs import measure_run_costs
from pixmend.experiments.study import measure_seconds
from pixmend.fills import is_pretrained
from pixmend.run_file import load_run
from pixmend.scoring.run_score import MASK_SCORE_FIELDS, read_score
from pixmend.training.history import History

ALL_ROWS = {f"{name}/{row_name}": row for name, table in TABLES.items() for row_name, row in table.rows.items()}
ROWS = [name for name, row in ALL_ROWS.items() if not row.left_out]
ROWS_LEFT_OUT = [name for name, row in ALL_ROWS.items() if row.left_out and row.flags]
MORE_PHOTOS, MORE_PHOTOS_COUNT = "{photos}", 1000
POINTS = 40     # of a stored curve
DIGITS = 6      # of a stored squared error


def write_page(out: Path) -> None:
    """Write SYSTEMS.md and its charts from the stored results."""
    results = read_results(out / "SYSTEMS.json")
    for name, table in TABLES.items():
        if table.has_curves and (chart := draw_curves(table, name, results)):
            (out / get_chart_name(name)).write_bytes(chart)
    (out / "SYSTEMS.md").write_text(format_page(results))
    print(out / "SYSTEMS.md")


class Bench:
    """Measures rows and stores them; rows that others need are measured before."""

    def __init__(self, data: Path, home: Path, out: Path, trial: str = "") -> None:
        self.data, self.home, self.file, self.trial = data, home, out / "SYSTEMS.json", trial   # flags of a trial
        self.prepared: set[str] = set()

    def measure(self, name: str, seed: int) -> None:
        """Measure a row with a seed, unless that is stored, another row's, or not one of the row's seeds."""
        (table_name, row_name), row = name.split("/"), ALL_ROWS[name]
        if row.same_run:
            self.measure(row.same_run, seed)
        if row.is_shown_again or seed not in row.seeds or f"{name}/{seed}" in read_results(self.file):
            return
        for needed in list_needed_rows(row):
            self.measure(f"{table_name}/{needed}", seed)
        self.prepare(TABLES[table_name].place)
        self.store(f"{name}/{seed}", self.make_row(table_name, row_name, seed))
        print(name, seed, flush=True)

    def store(self, name: str, result: dict[str, Any]) -> None:
        """Add a result to those that are stored, if it is of the same images as the others of its place."""
        results, place = read_results(self.file), TABLES[name.split("/")[0]].place
        others = [run for key, run in results.items() if TABLES[key.split("/")[0]].place == place]
        if "numbers" in result:
            check_same_images(result["numbers"], others, self.file)
        add_result(self.file, name, result)

    def prepare(self, place: str) -> None:
        """Bring the images of a competition into its home, once."""
        if place in self.prepared:
            return
        self.prepared.add(place)
        if PLACES[place].photos:
            extract_photos(self.data, self.home / "photos" / place, PLACES[place].photos)
        else:
            folder = self.home / place / "competition" / "photo_reconstruction"
            folder.mkdir(parents=True, exist_ok=True)
            if not (folder / "photo-reconstruction.zip").exists():
                shutil.copy(self.data / "photo-reconstruction.zip", folder)
        run_stage(self.home / place, self.list_place_flags(place), "download")

    def list_place_flags(self, place: str) -> list[str]:
        photos = ["--photos", str(self.home / "photos" / place)] if PLACES[place].photos else []
        return [*PLACES[place].flags.split(), *photos]

    def make_row(self, table_name: str, row_name: str, seed: int) -> dict[str, Any]:
        """Train, predict and score a run; return what is stored of it."""
        table = TABLES[table_name]
        row, home = table.rows[row_name], self.home / table.place
        trained = row.same_run or f"{table_name}/{row_name}"
        command, run = self.fill_flags(trained, seed), name_run(trained, seed)
        flags = f"{self.add_photos(command, table.place)} {self.trial} --seed {seed} --run {run}"
        stages = {"augment": "", "train": "", "predict": row.predict} | ({} if row.finds_masks else {"serialize": ""})
        for stage, further in (stages | {"score": ""}).items():
            run_stage(home, self.list_place_flags(table.place), stage, f"{flags} {further}")
        for large_file in home.glob(f"submissions/*/{run}.*"):
            large_file.unlink()   # a gigabyte for each run on whole images
        folder = find_run_folder(home, run)
        return {**read_figures(folder, row), **measure_more(table, row, home, folder),
                "command": merge_flags(command, self.trial, row.predict), **describe_measurement()}

    def fill_flags(self, name: str, seed: int) -> str:
        """Return the flags of a row's run; its predecessors have been made. {photos} is left."""
        table_name, row = name.split("/")[0], ALL_ROWS[name]
        values = {"run": lambda other: name_run(f"{table_name}/{other}", seed),
                  "minutes": lambda other: f"{max(0.01, self.read_minutes(f'{table_name}/{other}', seed)):.2f}"}
        return fill_placeholders(merge_flags("" if row.is_ours else TABLES[table_name].flags, row.flags), values)

    def add_photos(self, flags: str, place: str) -> str:
        """Return the flags with the folder of further photos, if they ask for it; none of these photos is of the competition."""
        if MORE_PHOTOS not in flags:
            return flags
        folder = self.home / "photos" / "more"
        extract_photos(self.data, folder, MORE_PHOTOS_COUNT, first=PLACES[place].photos)
        return flags.replace(MORE_PHOTOS, shlex.quote(str(folder)))

    def read_minutes(self, name: str, seed: int) -> float:
        """Return the minutes that a row was trained with the same seed; another one may be of another machine."""
        name = ALL_ROWS[name].same_run or name
        return read_results(self.file)[f"{name}/{seed}"]["minutes"]


def name_run(row: str, seed: int) -> str:
    return f"{row.replace('/', '-')}-{seed}"


def measure_more(table: Table, row: Row, home: Path, folder: Path) -> dict[str, Any]:
    """Return what a run's files do not say of its predictions, if the table asks for it."""
    settings = replace(load_run(folder / "run.toml"), home=str(home))
    detail = {"detail": measure_detail(settings)} if table.measures_detail and not row.finds_masks else {}
    return detail | ({"seconds": measure_seconds(settings)} if table.measures_seconds else {})


def find_run_folder(home: Path, run: str) -> Path:
    folder, = (home / "checkpoints").glob(f"*/{run}")
    return folder


def extract_photos(data: Path, folder: Path, count: int, first: int = 0) -> None:
    """Write original photos of the archive, as many of each class, from a place on; a folder that exists is complete."""
    if folder.exists():
        return
    unfinished = folder.with_name(f"{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    with zipfile.ZipFile(data / "photo-reconstruction.zip") as archive:
        for member in select_photos(archive.namelist(), first, count):
            path = PurePosixPath(member)
            target = unfinished / path.parent.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(member))
    unfinished.replace(folder)


def select_photos(names: list[str], first: int, count: int) -> list[str]:
    """Return members of the archive, those of all classes in turn."""
    classes: dict[str, list[str]] = {}
    for name in sorted(names):
        if name.startswith(TRAIN) and f"/{ORIGINAL}/" in name and re.search(r"\.(jpe?g|png)$", name, re.IGNORECASE):
            classes.setdefault(PurePosixPath(name).parent.parent.name, []).append(name)
    longest = max(map(len, classes.values()))
    in_turn = [members[number] for number in range(longest) for members in classes.values() if number < len(members)]
    return in_turn[first:first + count]


def read_figures(folder: Path, row: Row) -> dict[str, Any]:
    """Return what a run's files say of its errors, costs and training."""
    figures = {name: value for name, value in measure_run_costs(folder).items() if value is not None}
    figures["curve"] = read_curve(folder)
    if row.finds_masks:
        score = read_score(folder, MASK_SCORE_FIELDS)
        return figures | {"overlap": compute_pooled_iou(score["overlaps"]), "overlaps": score["overlaps"]} if score else figures
    score = json.loads((folder / "score.json").read_text())
    baselines = [name for name in score["fills"] if not is_pretrained(name)]
    baseline = min(baselines, key=lambda name: sum(score["fills"][name]))
    is_of_few = len(set(score["sources"])) < len(score["sources"])
    photos = {"sources": number_sources(score["sources"]).tolist()} if is_of_few else {}
    return figures | photos | {"squares": shorten(score["sums"]), "numbers": score["numbers"], "scores": score["scores"],
                               "baseline": baseline, "baseline_squares": shorten(score["fills"][baseline])}


def shorten(values: list[float]) -> list[float]:
    return [float(f"{value:.{DIGITS}g}") for value in values]


def read_curve(folder: Path) -> dict[str, list[float | None]]:
    """Return step, holdout RMSE and loss of a training at some of its evaluations."""
    rows: list[Mapping[str, str]] = [row for row in History(folder / "history.csv").rows if row.get("holdout_rmse")]
    chosen = [rows[number] for number in np.unique(np.linspace(0, len(rows) - 1, POINTS).astype(int))] if rows else []
    return {name: [float(row[name]) if row.get(name) else None for row in chosen] for name in ("step", "holdout_rmse", "loss")}
