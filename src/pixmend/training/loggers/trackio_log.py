"""Trackio: a run in a local database of the home."""

import contextlib
import io
import os
from collections.abc import Sequence
from typing import Any

from pixmend.training.loggers.logger import Evaluation, LoggedRun, is_continued

ENVIRONMENT = {"HF_HUB_DISABLE_TELEMETRY": "1", "GRADIO_ANALYTICS_ENABLED": "False"}


class TrackioLog:
    """Continues its run; where that has other evaluations than history.csv, it is deleted and written again."""

    def __init__(self, run: LoggedRun) -> None:
        self.run = run
        self.session: Any = None

    def start(self, evaluations: Sequence[Evaluation]) -> None:
        for name, value in (ENVIRONMENT | {"TRACKIO_DIR": str(self.run.shared_folder / "trackio")}).items():
            os.environ.setdefault(name, value)
        import trackio
        from trackio.sqlite_storage import SQLiteStorage

        lines = SQLiteStorage.get_logs(self.run.project, self.run.name)
        logged = [(line["step"], line["holdout_rmse"]) for line in lines]
        if not is_continued(logged, evaluations):
            for earlier in trackio.Api().runs(self.run.project) if logged else ():
                if earlier.name == self.run.name:
                    earlier.delete()
            logged = []
        with contextlib.redirect_stdout(io.StringIO()):   # it prints how to open its page
            self.session = trackio.init(self.run.project, self.run.name, config=self.run.settings, resume="allow", embed=False,
                                        auto_log_gpu=False, auto_log_cpu=False)
        for evaluation in evaluations[len(logged):]:
            self.log_evaluation(evaluation)

    def log_evaluation(self, evaluation: Evaluation) -> None:
        import trackio

        image = {"holdout_images": trackio.Image(evaluation.image)} if evaluation.image else {}
        self.session.log(evaluation.values | image, step=evaluation.step)

    def close(self) -> None:
        if self.session:
            import trackio

            with contextlib.redirect_stdout(io.StringIO()):
                trackio.finish()
