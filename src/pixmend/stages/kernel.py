"""Train on Kaggle's own GPUs: send this package as a kernel, follow it, bring its files home, then score and submit them."""

from pixmend import competitions, files
from pixmend.config import Settings
from pixmend.data import archive_manifest, dataset
from pixmend.errors import UserError
from pixmend.evaluation import leaderboard
from pixmend.kaggle.kernel_runner import KernelRunner
from pixmend.kaggle.kernel_sessions import Session, check_settings
from pixmend.kaggle.submit import submit_run
from pixmend.scoring.run_score import score_run
from pixmend.scoring.verdict import format_table
from pixmend.setting_values import format_run_command, format_stage_command


def main(settings: Settings) -> None:
    """Send or follow a session. Once its files are here, score the run, and with --submit submit it."""
    check_settings(settings)
    competition = competitions.get_competition(settings.competition)
    if settings.submit and not archive_manifest.is_complete(competition, settings):
        raise UserError(f"--submit needs the sample submission, and {settings.competition_folder} is not complete. Nothing was "
                        f"sent. Download it first: {format_stage_command('download', settings)}")
    with files.try_lock(settings.run_folder / ".kernel"):
        runner = KernelRunner(settings, competition)
        if session := runner.run():
            finish_session(runner, session)


def finish_session(runner: KernelRunner, session: Session) -> None:
    """Score and submit as the pipeline does, and say what is left to do."""
    settings = runner.settings
    if session.failed:
        again = "To train it anew at Kaggle, add --force" if session.finished else "Remove the cause, and run the same command"
        raise UserError(f"In the kernel the stage {session.failed} failed: {runner.get_reason(session)}. Its checkpoint at step "
                        f"{session.step} is in {runner.folder}. {again}. Or continue here: "
                        f"{format_run_command(session.failed, settings.run, settings)}")
    print_score(settings)
    if not session.finished:
        command = "the same command without --force" if settings.force else "the same command"
        print(f"Step {session.step} of {settings.steps}: {command} continues from there in a new session."
              + " Nothing was submitted: --submit waits for the last step." * settings.submit)
    elif settings.submit:
        submit_run(settings)


def print_score(settings: Settings) -> None:
    """Score the run with the images of this machine if they are prepared, else print the score of the session."""
    try:
        dataset.open_dataset(settings)
    except UserError:
        rows = leaderboard.read_leaderboard(settings.submissions_folder / "leaderboard.csv")
        row: dict[str, str] = next((row for row in rows if row["run"] == settings.run), {})
        print(f"Holdout RMSE {row.get('holdout_rmse', '?')}, scored in the kernel ({row.get('to_harmonic', '?')} times that of "
              f"the harmonic fill). File to submit: {competitions.get_submission_path(settings)}")
    else:
        print(format_table(settings, *score_run(settings)))
