"""What a run has found, written as soon as it is known: results.json, table.md, histories.csv and the weights in pieces.

Weights are float16 in weights-0.npz, weights-1.npz, ...: each under 16 MB, arrays named by their place in the network's
trainable variables. A history is a list of dicts of numbers; histories.csv has a line for each number.
"""

import csv
import json
import time

import numpy as np

PIECE = 14_500_000   # bytes
ROW = "| {name} | {holdout} | {test} | {harmonic} | {smooth} | {seconds} |"


class Results:
    def __init__(self, folder, about):
        self.folder, self.begun, self.histories, self.calls = folder, time.monotonic(), {}, {}
        self.told = {"about": about, "fills": {}, "networks": {}, "speed": {}}
        folder.mkdir(parents=True, exist_ok=True)

    def passed(self):
        return time.monotonic() - self.begun

    def add(self, kind, name, figures):
        self.told[kind][name] = figures | {"written_after_s": round(self.passed(), 1)}
        self.write()
        print(kind, name, json.dumps(figures)[:1500], flush=True)

    def history(self, name, lines):
        self.histories[name] = list(lines)
        with open(self.folder / "histories.csv", "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("run", "line", "figure", "value"))
            writer.writerows((run, number, figure, f"{value:.7g}") for run, of_run in self.histories.items()
                             for number, line in enumerate(of_run) for figure, value in line.items())

    def write(self):
        (self.folder / "results.json").write_text(json.dumps(self.told, indent=1))
        (self.folder / "table.md").write_text(table(self.told))


def table(told):
    about = ", ".join(f"{name} {value}" for name, value in told["about"].items())
    return "\n".join(["# What one run on an accelerator reached", "", about, "",
                      "| what | holdout RMSE | test RMSE | of harmonic, test | of smooth, test | seconds of training |",
                      "|---|---|---|---|---|---|", *(row(name, one) for kind in ("fills", "networks")
                                                    for name, one in told[kind].items()),
                      "", "| what | images/s | share of bf16 peak | milliseconds a step | GFLOP an image |", "|---|---|---|---|---|",
                      *(speed_row(name, one) for name, one in told["speed"].items()), ""])


def row(name, one):
    test, holdout = one.get("test", {}), one.get("holdout", {})
    return ROW.format(name=name, holdout=with_interval(holdout, "rmse", 5), test=with_interval(test, "rmse", 5),
                      harmonic=with_interval(test, "of_harmonic", 4), smooth=with_interval(test, "of_smooth", 4),
                      seconds=one.get("seconds", "-"))


def with_interval(score, name, digits):
    if name not in score:
        return "-"
    low, high = score[f"{name}_interval"]
    return f"{score[name]:.{digits}f} ({low:.4f} to {high:.4f})"


def speed_row(name, one):
    if "failed" in one or "samples_per_s" not in one:
        return f"| {name} | - | - | - | - |"
    share = f"{one['share_of_peak']:.1%}" if "share_of_peak" in one else "-"
    return f"| {name} | {one['samples_per_s']:.0f} | {share} | {1000 * one['seconds_a_step']:.2f} | {one['gflop_an_image']:.1f} |"


def write_weights(folder, weights):
    """Pieces small enough to be fetched."""
    pieces, room = [{}], PIECE
    for place, weight in enumerate(weights):
        half = np.asarray(weight, np.float16)
        if half.nbytes > room and pieces[-1]:
            pieces.append({})
            room = PIECE
        pieces[-1][str(place)] = half
        room -= half.nbytes
    for number, piece in enumerate(pieces):
        np.savez(folder / f"weights-{number}.npz", **piece)


def read_weights(folder):
    """The weights in order, float32."""
    found = {}
    for path in folder.glob("weights-*.npz"):
        with np.load(path) as file:
            found |= {int(name): file[name].astype(np.float32) for name in file.files}
    return [found[place] for place in range(len(found))]
