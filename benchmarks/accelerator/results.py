"""The results of a run, written as soon as they are known: results.json, table.md, histories.csv and the weights in pieces.

Weights are float16 in weights-0.npz, weights-1.npz, ...: each below 16 MB, with arrays named by their number in the network's
trainable variables. A history is a list of dicts of numbers; histories.csv has a line for each number.
"""

import csv
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

MAX_PIECE_BYTES = 14_500_000
MAX_PRINTED = 1500   # characters of a result


class RunResults:
    """Collects and writes the results of one run; `about` describes the run."""

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self.folder, self.start = folder, time.monotonic()
        self.results: dict[str, Any] = {"about": about, "fills": {}, "networks": {}, "speed": {}}
        self.histories: dict[str, list[Mapping[str, float]]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def get_elapsed_seconds(self) -> float:
        return time.monotonic() - self.start

    def add(self, kind: str, name: str, result: Mapping[str, Any]) -> None:
        """Add and write a result; `kind` is fills, networks or speed."""
        self.results[kind][name] = {**result, "written_after_s": round(self.get_elapsed_seconds(), 1)}
        (self.folder / "results.json").write_text(json.dumps(self.results, indent=1))
        (self.folder / "table.md").write_text(format_table(self.results))
        print(kind, name, json.dumps(result)[:MAX_PRINTED], flush=True)

    def save_history(self, run: str, history: Iterable[Mapping[str, float]]) -> None:
        self.histories[run] = list(history)
        with open(self.folder / "histories.csv", "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("run", "line", "figure", "value"))
            for name, lines in self.histories.items():
                for number, line in enumerate(lines):
                    writer.writerows((name, number, column, f"{value:.7g}") for column, value in line.items())


def format_table(results: Mapping[str, Any]) -> str:
    about = ", ".join(f"{name} {value}" for name, value in results["about"].items())
    scores = {**results["fills"], **results["networks"]}
    return PAGE.format(about=about,
                       scores="\n".join(format_score_line(name, result) for name, result in scores.items()),
                       speeds="\n".join(format_speed_line(name, result) for name, result in results["speed"].items()))


def format_score_line(name: str, result: Mapping[str, Any]) -> str:
    holdout, test = result.get("holdout", {}), result.get("test", {})
    cells = [format_interval(holdout, "rmse", 5), format_interval(test, "rmse", 5),
             format_interval(test, "relative_to_harmonic", 4), format_interval(test, "relative_to_smooth", 4)]
    return f"| {' | '.join([name, *cells, str(result.get('seconds', '-'))])} |"


def format_interval(scores: Mapping[str, Any], name: str, digits: int) -> str:
    if name not in scores:
        return "-"
    low, high = scores[f"{name}_interval"]
    return f"{scores[name]:.{digits}f} ({low:.4f} to {high:.4f})"


def format_speed_line(name: str, result: Mapping[str, Any]) -> str:
    if "samples_per_s" not in result:
        return f"| {name} | - | - | - | - |"
    share = f"{result['share_of_peak']:.1%}" if "share_of_peak" in result else "-"
    return (f"| {name} | {result['samples_per_s']:.0f} | {share} | {1000 * result['seconds_per_step']:.2f} "
            f"| {result['gflop_per_image']:.1f} |")


def write_weights(folder: Path, weights: Sequence[Any]) -> None:
    """Write the weights in files that are small enough to be fetched."""
    pieces: list[dict[str, np.ndarray]] = [{}]
    space = MAX_PIECE_BYTES
    for number, weight in enumerate(weights):
        half = np.asarray(weight, np.float16)
        if half.nbytes > space and pieces[-1]:
            pieces.append({})
            space = MAX_PIECE_BYTES
        pieces[-1][str(number)] = half
        space -= half.nbytes
    for number, piece in enumerate(pieces):
        np.savez(folder / f"weights-{number}.npz", **piece)   # type: ignore[arg-type]   # arrays by name


def read_weights(folder: Path) -> list[np.ndarray]:
    """Return the weights in order, float32."""
    weights: dict[int, np.ndarray] = {}
    for path in folder.glob("weights-*.npz"):
        with np.load(path) as file:
            weights |= {int(name): file[name].astype(np.float32) for name in file.files}
    return [weights[number] for number in range(len(weights))]


PAGE = """# Results of one run on an accelerator

{about}

| model | holdout RMSE | test RMSE | relative to harmonic, test | relative to smooth, test | seconds of training |
|---|---|---|---|---|---|
{scores}

| step | images/s | share of bf16 peak | milliseconds per step | GFLOP per image |
|---|---|---|---|---|
{speeds}
"""
