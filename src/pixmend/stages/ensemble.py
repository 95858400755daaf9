"""Mix the predictions of several --members into a new --run, with weights from the holdout and an honest gain."""

from pixmend.config import Settings
from pixmend.scoring.ensemble import format_table, mix_run


def main(settings: Settings) -> None:
    print(format_table(settings, mix_run(settings)))
