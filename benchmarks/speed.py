"""How fast each piece of work is beside what a user would do instead, and beside the physical limit, as benchmarks/results/SPEED.md.

    python -m benchmarks speed [--rows NAME ...] [--home FOLDER] [--torch-python PATH] [--compare]

All data is made here of the photos inside packages. Ours and its rivals take turns on the same machine, and only the ratios of
each turn count. A row is saved as soon as it is measured; without --rows, those are measured that SPEED.json does not hold
from this commit. With --compare nothing is saved: what was measured before is held against new figures, and a ratio that
fell by more than the spread of its turns ends the program with 1.
"""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks import _data, _rows
from benchmarks._measure import RESULTS, circumstances, describe_checkout, read, save


@dataclass(frozen=True)
class Row:
    """One line of the table: `against` says what each rival is, `reach` how many times as fast we want to be."""

    what: str
    measure: Callable
    against: dict
    reach: dict = field(default_factory=dict)
    at_least: dict = field(default_factory=dict)
    at_most: dict = field(default_factory=dict)
    unit: str = "s"


STEP = {"tutorial": "the TensorFlow tutorial's form, float32", "pytorch": "PyTorch, bfloat16 autocast, channels last"}
PIX2PIX = "one step of Pix2Pix, 256x256, 57 million parameters"

ROWS = {
    "step-8": Row(f"{PIX2PIX}, batch 8", partial(_rows.step, batch=8), STEP, {"tutorial": 1.6, "pytorch": 1}),
    "step-1": Row(f"{PIX2PIX}, batch 1", partial(_rows.step, batch=1), STEP, {"tutorial": 1, "pytorch": 1}),
    "curve": Row("Pix2Pix's RMSE over 200 steps, 64x64, width 16, from equal first weights", _rows.curve,
                 {"tutorial": STEP["tutorial"]}, {"tutorial": 1}, unit="RMSE"),
    "loop": Row("500 steps of the training loop: data, a look at the holdout, a saved state; width 16, batch 4", _rows.loop,
                {"bare": "the bare compiled step on one fixed batch"}, {"bare": 0.95}),
    "scaling": Row("a training step by two processes on JAX, a core each; width 16, batch 8 of both together", _rows.scaling,
                   {"one": "the same by one process on one core",
                    "half": "batch 4 by one process on one core, which is what each of the two does"}),
    "feed": Row("the input pipeline alone, a picture", _rows.feed, {"copy": "reading and dividing the same arrays"},
                at_least={"pictures/s": 2000}),
    "augment": Row("prepare 14,000 JPEGs: decode, check, store", _rows.augment,
                   {"opencv": "a bare OpenCV loop on all cores"}, {"opencv": 0.9}, at_most={"MB": 1000}),
    "fill": Row("the harmonic fill of a picture, 256x256, two boxes, one core", _rows.fill,
                {"scipy": "SciPy's sparse direct solver on the hole"}, {"scipy": 8},
                at_most={"s a picture": 0.005, "RMSE": 1e-4}),
    "predict": Row("25 test pictures in eight flips and turns, pasted and written", _rows.predict,
                   {"bare": "eight times the bare forward pass"}, {"bare": 0.9}),
    "serialize": Row("a picture's 33,750 rows of a submission of 6.75 million; below, the whole stage with all checks",
                     _rows.serialize, {"loop": "past entrants' loop: tuples and a DataFrame", "raw": "the same bytes written raw",
                                       "pandas": "ids in a list, values in an array, `to_csv`"}, {"loop": 15},
                     at_most={"s": 3, "MB": 1000}),
    "score": Row("6.75 million rows of two files scored, start and end of the process included", _rows.score,
                 {"pandas": "`read_csv`, `merge`"}, {"pandas": 5}),
    "start": Row("a stage without a network, from start to end", _rows.start, {"python": "`python -c pass`"}, at_most={"s": 0.5}),
}


def main():
    asked = parse()
    where = asked.out or (Path(tempfile.gettempdir()) if asked.quick else RESULTS)
    before = read(where / "SPEED.json")
    figures = {} if asked.compare else before
    with tempfile.TemporaryDirectory(prefix="speed-") as temporary:
        home = asked.home or Path(temporary)
        home.mkdir(parents=True, exist_ok=True)
        for name in chosen(asked, before):
            print(f"{name}: {ROWS[name].what}", flush=True)
            figures[name] = measured(asked, home, name)
            print("\n".join(f"  {line}" for line in said(name, figures[name])), flush=True)
            if not asked.compare:
                keep(where, figures)
    return compare(before, figures) if asked.compare else print(where / "SPEED.md")


def parse():
    parser = argparse.ArgumentParser(prog="python -m benchmarks speed", description=__doc__.splitlines()[0])
    parser.add_argument("--rows", nargs="+", choices=list(ROWS), metavar="NAME", help=", ".join(ROWS))
    parser.add_argument("--home", type=Path, help="folder for the data made here, kept; without it a temporary one")
    parser.add_argument("--torch-python", type=Path, help="the python of an environment with PyTorch, for its column")
    parser.add_argument("--compare", action="store_true", help="measure again and name the ratios that fell; 1 where any did")
    parser.add_argument("--quick", action="store_true", help="toy sizes, which show that all of it runs and nothing else")
    parser.add_argument("--out", type=Path, help="folder for SPEED.json and SPEED.md; without it, this one")
    asked = parser.parse_args()
    asked.sizes = _data.TOYS if asked.quick else _data.Sizes()
    if asked.torch_python and not asked.torch_python.exists():
        parser.error(f"--torch-python {asked.torch_python} does not exist.")
    return asked


def chosen(asked, before):
    """The rows to measure: the named ones; else all that are not known from this commit, or with --compare all that are known."""
    if asked.rows:
        return asked.rows
    now = describe_checkout().get("commit", "")
    return [name for name in ROWS if (name in before if asked.compare else before.get(name, {}).get("commit") != now)]


def measured(asked, home, name):
    os.sync()   # gigabytes of the row before may be on their way to the disk
    return ROWS[name].measure(asked, home) | circumstances()


def keep(where, figures):
    where.mkdir(parents=True, exist_ok=True)
    save(where / "SPEED.json", figures)
    (where / "SPEED.md").write_text(table(figures))


def rivals(figure):
    return [name for name in figure["seconds"] if name != "ours"]


def ratios(figure, rival):
    """How many times as fast ours was in each turn: lowest, median, highest."""
    each = sorted(theirs / ours for ours, theirs in zip(figure["seconds"]["ours"], figure["seconds"][rival], strict=True))
    return each[0], statistics.median(each), each[-1]


def reached(name, rival, figure):
    """Whether the median ratio is what was wanted; of RMSE, whether that lies within the spread. None where nothing was."""
    if rival not in ROWS[name].reach:
        return None
    _, median, high = ratios(figure, rival)
    return (high if ROWS[name].unit == "RMSE" else median) >= ROWS[name].reach[rival]


def compare(before, now):
    """Say which ratios fell since by more than the larger spread of both; 1 where any did."""
    fell = []
    for name in now:
        for rival in [rival for rival in rivals(now[name]) if name in before and rival in rivals(before[name])]:
            (low, was, high), (least, is_, most) = ratios(before[name], rival), ratios(now[name], rival)
            fell += [(name, rival)] * (worse := was - is_ > max(high - low, most - least))
            print(f"{'FELL' if worse else 'held'}  {name} against {rival}: {was:.3g} ({low:.3g} to {high:.3g}) in "
                  f"{before[name]['commit']}, {is_:.3g} ({least:.3g} to {most:.3g}) now")
    return 1 if fell else 0


def said(name, figure):
    lines = [f"{rival}: {ratios(figure, rival)[1]:.3g} times as fast" for rival in rivals(figure)]
    return lines + [f"{what}: {value:.3g}" for what, value in figure["facts"].items()]


def table(figures):
    known = [name for name in ROWS if name in figures]
    missing = "" if any("pytorch" in figures[name]["seconds"] for name in known) else \
        "\nPyTorch's rows are missing: `--torch-python` named no environment that has it."
    return HEAD.format(missing=missing,
                       lines="\n".join(line for name in known for line in lines(name, figures[name])),
                       facts="\n".join(line for name in known for line in fact_lines(name, figures[name])))


def lines(name, figure):
    row = ROWS[name]
    for rival in rivals(figure):
        low, median, high = ratios(figure, rival)
        ours, theirs = (statistics.median(figure["seconds"][who]) for who in ("ours", rival))
        yield (f"| `{name}` | {row.what} | {row.against[rival]} | {amount(ours, row.unit)} | {amount(theirs, row.unit)} "
               f"| **{median:.3g}** ({low:.3g} to {high:.3g}; {len(figure['seconds'][rival])}) | {row.reach.get(rival, '')} "
               f"| {yes(reached(name, rival, figure))} | {figure['hardware']}, {figure['commit']}, {figure['date']} |")


def fact_lines(name, figure):
    row = ROWS[name]
    for what, value in figure["facts"].items():
        least, most = row.at_least.get(what), row.at_most.get(what)
        wanted = f"{least:g} or more" if least is not None else f"{most:g} or less" if most is not None else ""
        held = (least is None or value >= least) and (most is None or value <= most)
        yield f"| `{name}` | {what} | {value:.3g} | {wanted} | {yes(held if wanted else None)} |"


def yes(held):
    return {None: "", True: "yes", False: "**no**"}[held]


def amount(value, unit):
    return f"{value:.4f}" if unit != "s" else f"{value:.3g} s" if value >= 1 else f"{1000 * value:.3g} ms"


HEAD = """# Speed

Made by `python -m benchmarks speed`. Ours and each rival take turns on the same data; the ratio says how many times as fast
ours is (of RMSE, how many times as low): the median over the turns, and in brackets the lowest, the highest and the number
of turns. Times are medians; they belong to this machine on this day, and only the ratios are worth comparing. MB add up the
peaks of a process and its children, pages of mapped files included.{missing}

| row | work | against | ours | theirs | ratio | wanted | reached | measured on |
|---|---|---|---|---|---|---|---|---|
{lines}

| row | figure | value | wanted | reached |
|---|---|---|---|---|
{facts}
"""


if __name__ == "__main__":
    sys.exit(main())
