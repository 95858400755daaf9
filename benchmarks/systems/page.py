"""The page SYSTEMS.md and its charts, written from the stored results."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks._measure import Results
from benchmarks.systems.plan import Claim, Row, Table
from benchmarks.systems.tables import PROJECTS, TABLES
from pixmend.experiments.study_conclusion import Draws
from pixmend.reporting.charts import WIDE, render_figure

BASELINE = "the best fill"
CURVES = {"holdout_rmse": "RMSE on the holdout", "loss": "loss"}   # columns of history.csv, and titles
Runs = list[Mapping[str, Any]]   # the stored results of a row, one for each seed


def format_page(results: Results) -> str:
    """Return SYSTEMS.md."""
    sections = []
    for project, title in PROJECTS.items():
        tables = {name: table for name, table in TABLES.items() if table.project == project}
        sections += [f"## {project}. {title}", *(format_table(name, table, results) for name, table in tables.items())]
    wanted = [(name, row_name, seed) for name, table in TABLES.items() for row_name, row in table.rows.items()
              if not row.left_out for seed in row.seeds]
    done = sum(f"{table}/{row}/{seed}" in results for table, row, seed in wanted)
    return PAGE.format(done=done, wanted=len(wanted), sections="\n\n".join(sections))


def format_table(name: str, table: Table, results: Results) -> str:
    """Return the section of a table: its claims with what was found, the rows, and a chart."""
    runs = {row: list_runs(results, f"{name}/{row}") for row in table.rows}
    scored = {row: of_row for row, of_row in runs.items() if of_row and "squares" in of_row[0]}
    squares = {row: np.array([run["squares"] for run in of_row]) for row, of_row in scored.items()}
    draws = None
    if scored:
        first = next(iter(scored.values()))[0]
        draws, squares[BASELINE] = Draws(first["numbers"]), np.array([first["baseline_squares"]])
    lines = [format_row(table, row, runs[row], draws, squares) for row in table.rows]
    if draws:
        lines.append(f"| {BASELINE}, {first['baseline']} | {format_rmse(draws, squares[BASELINE])} | | | | | | | | |")
    judged = [f"- {judge_claim(claim, draws, squares)}" for claim in table.claims]
    chart = [f"![{table.title}: holdout RMSE and loss over the steps]({get_chart_name(name)})"] if (
        table.has_curves and any(list_curves(table, name, results))) else []
    parts = [f"### {table.title}", table.size, "\n".join(judged), table.remarks, "\n".join([HEAD, *lines]), *chart]
    return "\n\n".join(part for part in parts if part)


def list_runs(results: Results, row: str) -> Runs:
    return [results[key] for key in results if key.rpartition("/")[0] == row]


def format_row(table: Table, name: str, runs: Runs, draws: Draws | None, squares: Mapping[str, np.ndarray]) -> str:
    """Return a line of a table; what is not measured is said."""
    row = table.rows[name]
    if row.left_out:
        return f"| {row.title} | left out: {row.left_out} | {row.reported} | | | | | | | |"
    if not runs:
        return f"| {row.title} | not measured yet | {row.reported} | | | | | | | |"
    rmse = format_rmse(draws, squares[name]) if draws and name in squares else f"{average(runs, 'overlap'):.3f} of the area found"
    better = list_better(table, name, draws, squares) if draws and name in squares and not row.is_ours else []
    cells = [row.title, rmse, row.reported, ", ".join(better), format_scores(runs), format_number(runs, "minutes", ".1f"),
             format_number(runs, "best_step", ",.0f"), describe_size(runs), f"`{runs[0]['command']}`",
             f"{len(runs)}; {join(run['hardware'] for run in runs)}; {join(run['commit'] for run in runs)}"]
    return f"| {' | '.join(cells)} |"


def format_rmse(draws: Draws, squares: np.ndarray) -> str:
    low, high = draws.compute_interval(squares)
    return f"{draws.compute_rmse(squares):.5f} ({low:.4f} to {high:.4f})"


def list_better(table: Table, name: str, draws: Draws, squares: Mapping[str, np.ndarray]) -> list[str]:
    """Return which of the best fill and this project's networks have a lower RMSE for certain."""
    others = [BASELINE, *(other for other, row in table.rows.items() if row.is_ours and other in squares)]
    titles = {BASELINE: BASELINE, **{other: row.title for other, row in table.rows.items()}}
    return [titles[other] for other in others if draws.compute_difference(squares[other], squares[name])[1] > 0]


def judge_claim(claim: Claim, draws: Draws | None, squares: Mapping[str, np.ndarray]) -> str:
    """Return the claim and whether it holds, by the paired interval of the difference."""
    if draws is None or claim.better not in squares or claim.worse not in squares:
        return f"{claim.text}: not measured yet."
    value, low, high = draws.compute_difference(squares[claim.better], squares[claim.worse])
    found = "**holds**" if low > 0 else "**the opposite holds**" if high < 0 else "**no difference can be seen**"
    return f"{claim.text}: {found}. The other RMSE minus this one is {value:.5f} ({low:.5f} to {high:.5f})."


def average(runs: Runs, name: str) -> float:
    return float(np.mean([run[name] for run in runs]))


def format_number(runs: Runs, name: str, form: str) -> str:
    return f"{average(runs, name):{form}}" if all(name in run for run in runs) else ""


def format_scores(runs: Runs) -> str:
    """Return the competition's further scores, and the detail of the predictions where it was measured."""
    scores = {name: float(np.mean([run["scores"][name] for run in runs])) for name in runs[0].get("scores", {})}
    if "detail" in runs[0]:
        scores["detail"] = average(runs, "detail")
    return ", ".join(f"{name} {value:.4g}" for name, value in scores.items())


def describe_size(runs: Runs) -> str:
    if "parameters" not in runs[0]:
        return ""
    return f"{runs[0]['parameters']:,}; {runs[0]['bytes'] / 1e6:.1f} MB"


def join(texts: Any) -> str:
    return ", ".join(dict.fromkeys(texts))


def get_chart_name(table: str) -> str:
    return f"SYSTEMS-{table}.png"


def list_curves(table: Table, name: str, results: Results) -> list[tuple[Row, Mapping[str, Any]]]:
    """Return the training of the first seed of each row of the project."""
    runs = {row: list_runs(results, f"{name}/{row}") for row in table.rows}
    return [(table.rows[row], of_row[0]["curve"]) for row, of_row in runs.items() if of_row and not table.rows[row].is_ours]


def draw_curves(table: Table, name: str, results: Results) -> bytes:
    """Return the chart of holdout RMSE and loss over the steps, as PNG; nothing if no row was measured."""
    curves = list_curves(table, name, results)
    if not curves:
        return b""

    def draw(figure: Any) -> None:
        for axes, column in zip(figure.subplots(1, 2), CURVES, strict=True):
            for row, curve in curves:
                after_training = np.array(curve[column][1:], float)   # an untrained network would stretch the axis
                axes.plot(curve["step"][1:], after_training, label=row.title)
            axes.set_title(CURVES[column], fontsize=10)
            axes.set_xlabel("steps")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return render_figure((2 * WIDE[0], 1.2 * WIDE[1]), draw, format="png", dpi=110, metadata={"Software": None})


HEAD = """| row | RMSE (95% interval) | reported by the project | better for certain | other scores | minutes | best step | parameters | flags | seeds; hardware; commit |
|---|---|---|---|---|---|---|---|---|---|"""  # noqa: E501 (a line of Markdown)

PAGE = """# What five projects found, and what holds

Five published student projects filled missing pixels, and reported tables. Here their studies are made again by
`python -m benchmarks systems --data FOLDER --home FOLDER`, on photos of four animals: {done} of {wanted} runs are measured.

- All runs of a table see the same images. RMSE is over the missing pixels of the holdout, in 0..1, and its mean over the seeds.
  The intervals are over images and seeds, paired for differences; where one seed is measured, they do not contain what another
  one would change. The best weights of each run were chosen on a part of the same holdout, as the projects did on theirs.
- **The sizes are not those of the projects**, which trained on GPUs for hours: each table says how far it is from them. A claim
  that does not hold here may hold there.
- Figures that projects reported are of other images: compare their order with ours, not their values.
- "Better for certain" names the best fill, which trains nothing, and our network at as many minutes of training, where the
  interval of the difference lies on one side. Minutes are of training alone. Some rows were
  measured while the machine did other work, too, which makes their minutes two or three times as long as those of equal rows.
- Detail is the mean difference of neighbouring predicted pixels, relative to the originals: 1 is as sharp as they are.
- Images of masked and predicted pairs are on the report page of each home (`pixmend report`); the photos may not be shown here.

{sections}
"""
