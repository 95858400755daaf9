"""The page SYSTEMS.md and its charts, written from the stored results."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks._measure import Results
from benchmarks.systems.plan import SEEDS, Claim, Row, Table
from benchmarks.systems.tables import PLACES, PROJECTS, TABLES
from pixmend.evaluation.bootstrap import compute_interval
from pixmend.experiments.study_conclusion import Difference, Draws
from pixmend.reporting.charts import WIDE, render_figure

BASELINE = "the best fill"
CURVES = {"holdout_rmse": "RMSE on the holdout", "loss": "loss"}   # columns of history.csv, and titles
WIDE_RANGE = 5
Run = Mapping[str, Any]                  # the stored result of a row with one seed
Runs = Mapping[int, Run]                 # by seed


@dataclass(frozen=True)
class Errors:
    """The squared errors of a table's rows and of the best fill, by row and seed, and the draws of photos that compare them."""

    draws: Draws
    squares: Mapping[str, Mapping[int, np.ndarray]]
    baseline: str

    def format_rmse(self, row: str) -> str:
        squares = np.array(list(self.squares[row].values()))
        low, high = self.draws.compute_interval(squares)
        return f"{self.draws.compute_rmse(squares):.5f} ({low:.4f} to {high:.4f})"

    def compare(self, row: str, other: str) -> Difference | None:
        """Return by how much the RMSE of the other row is higher, over the seeds that both have; nothing if they share none."""
        ours, theirs = (self.squares.get(name, {}) for name in (row, other))
        if not (shared := sorted(ours.keys() & theirs.keys())):
            return None
        return self.draws.compute_difference(*(np.array([of_row[seed] for seed in shared]) for of_row in (ours, theirs)))


def format_page(results: Results) -> str:
    """Return SYSTEMS.md."""
    sections = []
    for project, title in PROJECTS.items():
        tables = {name: table for name, table in TABLES.items() if table.project == project}
        sections += [f"## {project}. {title}", *(format_table(name, table, results) for name, table in tables.items())]
    wanted = [f"{name}/{row_name}/{seed}" for name, table in TABLES.items() for row_name, row in table.rows.items()
              if not row.left_out and not row.is_shown_again for seed in row.seeds]
    done = sum(run in results for run in wanted)
    return PAGE.format(done=done, wanted=len(wanted), sections="\n\n".join(sections))


def format_table(name: str, table: Table, results: Results) -> str:
    """Return the section of a table: the rows, a chart, its claims with what was found, and what follows."""
    runs = {row: find_runs(results, name, row) for row in table.rows}
    errors = read_errors(runs, find_sources(table.place, results))
    lines = [format_row(table, row, runs[row], errors) for row in table.rows]
    if errors:
        lines.append(f"| {BASELINE}, {errors.baseline} | {errors.format_rmse(BASELINE)} | | | | | | | | |")
    chart = [f"![{table.title}: holdout RMSE and loss over the steps]({get_chart_name(name)})"] if (
        table.has_curves and any(list_curves(table, name, results))) else []
    judged = [f"- {judge_claim(claim, errors)}" for claim in table.claims]
    parts = [f"### {table.title}", f"{table.size} {describe_place(table)}", "\n".join([HEAD, *lines]), *chart, "\n".join(judged),
             table.remarks]
    return "\n\n".join(part for part in parts if part)


def describe_place(table: Table) -> str:
    """Return the flags that all commands of a table have besides those of their rows."""
    place = PLACES[table.place]
    photos = f" --photos FOLDER` with {place.photos:,} of the original photos" if place.photos else "`"
    return f"Each command also has `{place.flags}{photos}, and `--seed` with 1, 2 or 3."


def find_runs(results: Results, table: str, row: str) -> Runs:
    """Return the results of a row by seed; of a row that is shown again, those of the other one."""
    shown = TABLES[table].rows[row]
    name = shown.same_run if shown.is_shown_again else f"{table}/{row}"
    seeds = sorted(int(key.rpartition("/")[2]) for key in results if key.rpartition("/")[0] == name)
    return {seed: results[f"{name}/{seed}"] for seed in seeds if seed in shown.seeds}


def find_sources(place: str, results: Results) -> list[str] | None:
    """Return of which photo each holdout image of a place is, as a run there has stored it; nothing where none has."""
    stored = (run["sources"] for key, run in results.items() if "sources" in run and TABLES[key.split("/")[0]].place == place)
    return next(([str(number) for number in sources] for sources in stored), None)


def read_errors(runs: Mapping[str, Runs], sources: Sequence[str] | None) -> Errors | None:
    """Return the squared errors of a table, if any row has some; the best fill has the same ones for every seed."""
    scored = {row: {seed: np.array(run["squares"]) for seed, run in of_row.items() if "squares" in run}
              for row, of_row in runs.items()}
    if not (with_errors := [run for of_row in runs.values() for run in of_row.values() if "squares" in run]):
        return None
    first = with_errors[0]
    baseline = dict.fromkeys(SEEDS, np.array(first["baseline_squares"]))
    squares = {row: of_row for row, of_row in scored.items() if of_row} | {BASELINE: baseline}
    return Errors(Draws(first["numbers"], sources), squares, first["baseline"])


def format_row(table: Table, name: str, by_seed: Runs, errors: Errors | None) -> str:
    """Return a line of a table; what is not measured is said."""
    row, runs = table.rows[name], list(by_seed.values())
    if not runs:
        why = f"left out: {row.left_out}" if row.left_out else "not measured yet"
        return f"| {row.title} | {why} | {row.reported} | | | | | | | |"
    has_rmse = errors is not None and name in errors.squares
    rmse = errors.format_rmse(name) if errors and has_rmse else format_overlap(runs)
    better = list_better(table, name, errors) if errors and has_rmse and not row.is_ours else []
    cells = [row.title, rmse, row.reported, ", ".join(better), format_scores(runs), format_number(runs, "minutes", ".1f"),
             format_number(runs, "best_step", ",.0f"), describe_size(runs), f"`{runs[0]['command']}`",
             f"{len(runs)}; {join(run['hardware'] for run in runs)}; {join(run['commit'] for run in runs)}"]
    return f"| {' | '.join(cells)} |"


def format_overlap(runs: Sequence[Run]) -> str:
    """Return the intersection over union of all masks together, the mean over the seeds, with its interval over images."""
    overlaps = np.array([run["overlaps"] for run in runs], float)   # seeds x images x (intersection, union)
    draws = Draws(overlaps[0, :, 1])
    drawn = np.concatenate([np.tensordot(some, overlaps, (1, 1)) for some in draws.images])   # draws x seeds x 2
    low, high = compute_interval((drawn[..., 0] / drawn[..., 1]).mean(1), draws.photos)
    return f"intersection over union {average(runs, 'overlap'):.3f} ({low:.3f} to {high:.3f})"


def list_better(table: Table, name: str, errors: Errors) -> list[str]:
    """Return which of the best fill and this project's networks have a lower RMSE for certain."""
    others = {BASELINE: BASELINE} | {other: row.title for other, row in table.rows.items() if row.is_ours}
    differences = {title: errors.compare(other, name) for other, title in others.items()}
    return [title for title, difference in differences.items() if difference and difference[1] > 0]


def judge_claim(claim: Claim, errors: Errors | None) -> str:
    """Return the claim and whether it holds, by the paired interval of the difference."""
    if not errors or not (difference := errors.compare(claim.better, claim.worse)):
        return f"{claim.text}: not measured yet."
    value, low, high = difference
    found = "**holds**" if low > 0 else "**the opposite holds**" if high < 0 else "**no difference can be seen**"
    return f"{claim.text}: {found}. The other RMSE minus this one is {value:.5f} ({low:.5f} to {high:.5f})."


def average(runs: Sequence[Run], name: str) -> float:
    return float(np.mean([run[name] for run in runs]))


def format_number(runs: Sequence[Run], name: str, form: str) -> str:
    return f"{average(runs, name):{form}}" if all(name in run for run in runs) else ""


def format_scores(runs: Sequence[Run]) -> str:
    """Return the competition's further scores, and the detail of the predictions where it was measured."""
    scores = {name: float(np.mean([run["scores"][name] for run in runs])) for name in runs[0].get("scores", {})}
    if "detail" in runs[0]:
        scores["detail"] = average(runs, "detail")
    shown = [f"{name} {value:.4g}" for name, value in scores.items()]
    seconds = [run["seconds"] for run in runs if "seconds" in run]
    return ", ".join(shown + ([f"{np.mean(seconds):.3f} s a picture"] if seconds else []))


def describe_size(runs: Sequence[Run]) -> str:
    if "parameters" not in runs[0]:
        return ""
    return f"{runs[0]['parameters']:,}; {runs[0]['bytes'] / 1e6:.1f} MB"


def join(texts: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(texts))


def get_chart_name(table: str) -> str:
    return f"SYSTEMS-{table}.png"


def list_curves(table: Table, name: str, results: Results) -> list[tuple[Row, Run]]:
    """Return the training of each row of the project, with the first seed that it has."""
    runs = {row: find_runs(results, name, row) for row in table.rows}
    return [(table.rows[row], of_row[min(of_row)]["curve"]) for row, of_row in runs.items()
            if of_row and not table.rows[row].is_ours]


def draw_curves(table: Table, name: str, results: Results) -> bytes:
    """Return the chart of holdout RMSE and loss over the steps, as PNG; nothing if no row was measured."""
    curves = list_curves(table, name, results)
    if not curves:
        return b""

    def draw(figure: Any) -> None:
        for axes, column in zip(figure.subplots(1, 2), CURVES, strict=True):
            after_training = [np.array(curve[column][1:], float) for _, curve in curves]   # untrained, it would stretch the axis
            for (row, curve), values in zip(curves, after_training, strict=True):
                axes.plot(curve["step"][1:], values, label=row.title)
            scale_axis(axes, np.concatenate(after_training))
            axes.set_title(CURVES[column], fontsize=10)
            axes.set_xlabel("steps")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return render_figure((2 * WIDE[0], 1.2 * WIDE[1]), draw, format="png", dpi=110, metadata={"Software": None})


def scale_axis(axes: Any, values: np.ndarray) -> None:
    """Make the vertical axis logarithmic where values are further apart than a linear one shows."""
    from matplotlib.ticker import LogLocator, NullFormatter

    if 0 < np.nanmin(values) < np.nanmax(values) / WIDE_RANGE:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())


HEAD = """| row | RMSE (95% interval) | reported by the project | better for certain | other scores | minutes | best step | parameters | flags | seeds; hardware; commit |
|---|---|---|---|---|---|---|---|---|---|"""  # noqa: E501 (a line of Markdown)

PAGE = """# What five projects found, and what holds

Five published student projects filled missing pixels, and reported tables. Here their studies are made again by
`python -m benchmarks systems --data FOLDER --home FOLDER`, on photos of four animals: {done} of {wanted} runs are measured.

- All runs of a table see the same images. RMSE is over the missing pixels of the holdout, in 0..1, and its mean over the seeds.
  The holdout has 550 images in A and B, 1,026 in C, 24 in D and 171 in E. The best weights of each run were chosen on a part of
  it, as the projects did on theirs.
- Intervals are over photos and seeds; images of one photo are drawn together. Those of differences are paired: over the same
  images, and the seeds that both rows have. Where a row has one seed, they do not show how much another seed would change; with
  two that differ much, they are so wide that they may reach below 0.
- **The sizes are not those of the projects**, which trained on GPUs for hours: each table says how far it is from them. A claim
  that does not hold here may hold there.
- Figures that projects reported are of other images, and in the unit that they used: compare their order with ours, not their
  values.
- "Better for certain" names the best fill, which trains nothing, and our network, trained for the minutes that its row shows,
  where the interval of the difference lies on one side. In A and B our network begins with the weights of `photos` before
  ca05566, which were learned from 31 other photographs in 40 minutes; a row of the first table begins without them. Minutes are
  of training alone: the windows of our network are cut before, once for all runs, which takes some minutes more.
- Some rows were measured while the machine did other work, too, which makes their minutes two or three times as long as those of
  equal rows. Minutes are means over the seeds, and over the machines of all seeds.
- The charts show the first seed of each row, and the RMSE on the part of the holdout that training evaluates. So their values
  differ from those of the tables.
- Detail is the mean difference of neighbouring predicted pixels, relative to the originals: 1 is as sharp as they are. Seconds
  a picture are those of its prediction alone.
- Pairs of masked and predicted images are on the page that `pixmend report` makes of each run. These photos may not be shown
  here. The pairs below are of the demo, whose photographs [may](../../src/pixmend/photographs/LICENCES.md): masked, harmonic
  fill, Pix2Pix as in the first table (LAMBDA 1000, 2,000 steps), original. On this holdout of five photographs its RMSE is
  0.228, that of the smooth fill 0.126. The same pairs of our network begin the [README](../../README.md).

      ./run_pipeline.sh --model pix2pix_published --width 16 --batch-size 4 --lambda 1000 --steps 2000 --run published

![masked image, harmonic fill, Pix2Pix and original of three images](SYSTEMS-pairs.jpg)

{sections}
"""
