"""Find out which channel order and value scale a competition wants: submit one prediction in several ways, compare the scores.

Two files that differ in one setting alone are compared, and the lower score tells that setting, whatever the other one is: first
the channel order, under the run's own value scale, then the scale under that order. So three files tell both, and the run's own
CSV is one of them. A file whose score is known is not sent again.
"""

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path

from pixmend import competitions, files, models, run_file
from pixmend.competitions import settled
from pixmend.config import SETTINGS, Settings, flag
from pixmend.errors import FlagError, UserError
from pixmend.evaluation import leaderboard
from pixmend.kaggle.submission_record import SubmissionRecord
from pixmend.kaggle.submit import SubmissionSender
from pixmend.setting_values import format_run_command
from pixmend.submissions import predictions
from pixmend.training import run_submissions

QUESTIONS = {"channel_order": "Channel order", "value_scale": "Value scale"}
MIN_DIFFERENCE = 0.001   # of two RMSEs; smaller ones settle nothing


@dataclass(frozen=True)
class Variant:
    """One way to write the values of a prediction."""

    channel_order: str
    value_scale: str

    def __str__(self) -> str:
        return f"{self.channel_order}-{self.value_scale}"


def settle_run(settings: Settings) -> list[str]:
    """Return lines that say what was found out and where it is written, or what would have to be sent."""
    if not competitions.leaves_settings_open(settings):
        raise FlagError(f"--competition {settings.competition} leaves nothing open: its channel order and value scale are known.")
    if models.run_finds_masks(settings):
        raise UserError(f"Run {settings.run!r} finds masks, so it has no submission. Choose another --run.")
    predictions.read_metadata(settings.run_folder / "test.npz")   # nothing is written for a run without predictions
    written = {name: value for name, value in run_file.read_written_form(settings).items() if name not in settings.typed}
    settings = replace(settings, **written)   # the run's own file stays as it is
    settled.read_settled(settings)   # a damaged file is refused before anything is sent
    with files.try_lock(settings.run_folder):
        run_submissions.write_submissions(settings)
        return Settler(settings).settle()


class Settler:
    """The variants of one run's submission, with their files and scores."""

    def __init__(self, settings: Settings) -> None:
        self.settings = replace(settings, resubmit=False)
        self.competition = competitions.get_competition(settings.competition)
        self.own = Variant(settings.channel_order, settings.value_scale)
        self.is_sending = settings.send and not settings.dry_run
        self.scores: dict[Variant, float] = {}

    def settle(self) -> list[str]:
        """Answer one question after the other, as far as scores are known or may be had."""
        best, answers = self.own, dict[str, str]()
        lines: list[str] = []
        for name, title in QUESTIONS.items():
            pair = [replace(best, **{name: choice}) for choice in SETTINGS[name].choices or ()]
            paths = {variant: self._write(variant) for variant in pair}
            for variant in pair:
                self._look_up_score(variant, paths[variant])
            missing = [variant for variant in pair if variant not in self.scores]
            if missing and not self.is_sending:
                return [*lines, *self._list_plan(name, paths)]
            for variant in missing:
                self._send(variant, paths[variant])
            better, worse = sorted(pair, key=lambda variant: self.scores[variant])
            figures = f"public score {self.scores[better]:.5f} against {self.scores[worse]:.5f} with {getattr(worse, name)}"
            if self.scores[worse] - self.scores[better] < MIN_DIFFERENCE:
                lines.append(f"{title}: not settled, because it makes no difference of note ({figures}).")
                continue
            best = better
            answers[name] = getattr(better, name)
            lines.append(f"{title}: {answers[name]}, {figures}.")
        return [*lines, *self._write_answers(answers)]

    def _write(self, variant: Variant) -> Path:
        """Return the path of a variant's file, which is written unless it is the run's own."""
        changed = self._change_settings(variant)
        path = competitions.get_submission_path(changed)
        if variant != self.own:
            run_submissions.write_variant(self.settings, changed, path)
        return path

    def _change_settings(self, variant: Variant) -> Settings:
        """Return the settings of a variant, under a name of its own."""
        run = self.settings.run if variant == self.own else f"{self.settings.run}.{variant}"
        message = f"settle {variant} {self.settings.message}".strip()
        return replace(self.settings, run=run, message=message, channel_order=variant.channel_order,
                       value_scale=variant.value_scale)

    def _look_up_score(self, variant: Variant, path: Path) -> None:
        """Note the public score of a variant's file, if Kaggle has answered with it, or a solution on this machine gives it."""
        solution = competitions.get_solution_path(self.settings)
        if solution.exists():
            scores = self.competition.submission.score(path, solution)
            score = scores["total"] if scores["public"] is None else scores["public"]
        else:
            record = SubmissionRecord(self.settings.submissions_folder, self.settings.run, leaderboard.make_file_tag(path))
            known = [row.get("public", "") for row in record.list_rows()]
            known += [one.public for one in record.list_sent() if one.file == record.tag]
            score = next((text for text in reversed(known) if text), None)
        with contextlib.suppress(ValueError):   # of a score that is empty, or no number
            self.scores[variant] = float(score or "")

    def _send(self, variant: Variant, path: Path) -> None:
        """Submit a variant's file, never twice, and wait for its score."""
        self.competition.submission.check(path, self.settings.competition_folder / "files")
        command = format_run_command("settle", self.settings.run, self.settings, "--send")
        with files.try_lock(self.settings.submissions_folder / ".submit"):
            SubmissionSender(self._change_settings(variant), self.competition.slug, path, command).run()
        self._look_up_score(variant, path)
        if variant not in self.scores:
            raise UserError(f"Kaggle has not scored {path.name} yet, so nothing is settled. Run the same command again later: it "
                            "sends no file twice.")

    def _list_plan(self, name: str, paths: dict[Variant, Path]) -> list[str]:
        """Return what would be sent for a question and those after it, and how many submissions that costs."""
        lines = [f"{self.settings.competition} does not say which {QUESTIONS[name].lower()} it wants. "
                 "Of two files of one prediction, the lower score tells it:"]
        for variant, path in paths.items():
            state = f"public score {self.scores[variant]:.5f} is known" if variant in self.scores else "to be sent"
            lines.append(f"  {path}  {flag(name)} {getattr(variant, name)}  {state}")
        later = list(QUESTIONS)[list(QUESTIONS).index(name) + 1:]
        lines += [f"Then the better one with the other {flag(question)}." for question in later]
        cost = len(paths.keys() - self.scores.keys()) + len(later)
        price = f"{'at most ' * bool(later)}{cost} submission{'s' * (cost > 1)}"
        return [*lines, f"This costs {price}. Nothing was sent: --send sends what is missing."]

    def _write_answers(self, answers: dict[str, str]) -> list[str]:
        """Write what is settled, and return where, and what follows for this run."""
        if not answers:
            return ["Nothing was written."]
        path = settled.write_settled(self.settings, answers, {str(variant): score for variant, score in self.scores.items()})
        lines = [f"Later runs of {self.settings.competition} use it as their default: {path}"]
        if any(getattr(self.own, name) != value for name, value in answers.items()):
            words = [word for name, value in answers.items() for word in (flag(name), str(value))]
            command = format_run_command("serialize", self.settings.run, self.settings, *words)
            lines.append(f"This run's file is written so with: {command}")
        return lines
