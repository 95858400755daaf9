"""Submissions on the page: score and rank over time, what is left today, and how holdout, public and private scores agree."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from pixmend.config import Settings
from pixmend.evaluation import correlation, ledger
from pixmend.evaluation.correlation import MIN_RUNS, Correlation
from pixmend.evaluation.ledger import SentFile
from pixmend.reporting import charts
from pixmend.reporting.run_section import RMSE, Run, parse_number

SCORES = {RMSE: "holdout RMSE", "public": "public score", "private": "private score"}


class Agreement(NamedTuple):
    """Two scores of the same runs, and whether they put them in the same order.

    There is no correlation where the runs are too few, or all have one score.
    """

    first: str
    second: str
    runs: list[Run]
    correlation: Correlation | None

    @property
    def sentence(self) -> str:
        """Return what the page says about the two scores."""
        titles = f"{SCORES[self.first]} with the {SCORES[self.second]}"
        if len(self.runs) < MIN_RUNS:
            return f"Rank correlation of the {titles}: needs {MIN_RUNS} runs that have both; there are {len(self.runs)}."
        if self.correlation is None:
            same = next(name for name in (self.first, self.second) if len({run.get_number(name) for run in self.runs}) == 1)
            return f"Rank correlation of the {titles}: none, because all {len(self.runs)} runs have the same {SCORES[same]}."
        value, low, high = self.correlation
        return f"Rank correlation of the {titles}, over {len(self.runs)} runs: {value:.2f}, 95% interval {low:.2f} to {high:.2f}."


def compare_scores(runs: Sequence[Run]) -> list[Agreement]:
    """Return for each pair of holdout, public and private score how well they agree over the runs that have both.

    Rows without a holdout RMSE are no runs: `settle` sends files in a wrong channel order or value scale, too.
    """
    runs, agreements = [run for run in runs if run.get_number(RMSE) is not None], []
    for first, second in combinations(SCORES, 2):
        both = [run for run in runs if run.get_number(first) is not None and run.get_number(second) is not None]
        values = [np.array([run.get_number(name) for run in both], float) for name in (first, second)]
        agreements.append(Agreement(first, second, both, correlation.correlate_ranks(*values)))
    return agreements


def describe_submissions(settings: Settings, runs: Sequence[Run]) -> dict[str, Any]:
    """Return everything that the page says about submissions."""
    events = ledger.read_events(ledger.get_path(settings.submissions_folder))
    sent = ledger.list_sent_files(events)
    agreements = compare_scores(runs)
    with_holdout = {one.second: one.runs for one in agreements if one.first == RMSE and one.runs}
    return {"sent": sent, "allowance": ledger.describe_allowance(ledger.find_allowance(events), datetime.now(UTC)),
            "over_time": plot_over_time(sent), "agreements": agreements,
            "agreement": charts.plot_agreement(with_holdout, settings.run) if with_holdout else ""}


def plot_over_time(sent: Sequence[SentFile]) -> str:
    """Return the chart of scores, and of ranks where they are known, over the time of sending; empty without a score."""
    scored = [one for one in sent if one.time and parse_number(one.public) is not None]
    times = [datetime.strptime(one.time, ledger.TIME) for one in scored]
    scores = {name: [parse_number(getattr(one, name)) for one in scored] for name in ("public", "private")}
    return charts.plot_submissions(times, scores, [parse_number(one.rank) for one in scored]) if scored else ""
