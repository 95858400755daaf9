"""Weights & Biases: a run of its service, or files in the run's folder for `wandb sync` where there is no login."""

import os
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pixmend.progress import print_message
from pixmend.training.loggers.logger import Evaluation, LoggedRun

ENVIRONMENT = {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}
SECONDS_TO_START = 30
RETRIES = 3   # of a request, after which the end of a training waits no longer


class WandbLog:
    """Continues the run with the same id: at the service where it ended, in files by writing all evaluations again."""

    def __init__(self, run: LoggedRun) -> None:
        self.run = run
        self.session: Any = None
        self.replaced: list[Path] = []   # folders of files, which the new one makes superfluous

    def start(self, evaluations: Sequence[Evaluation]) -> None:
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        import wandb

        folders = sorted((self.run.folder / "wandb").glob("*run-*-*"), key=lambda path: path.name.removeprefix("offline-"))
        run_id = folders[-1].name.rpartition("-")[2] if folders and evaluations else uuid.uuid4().hex[:8]
        settings = wandb.Settings(console="off", init_timeout=SECONDS_TO_START, x_graphql_retry_max=RETRIES,
                                  x_file_stream_retry_max=RETRIES, x_file_transfer_retry_max=RETRIES)
        mode = choose_mode(self.run.folder)
        self.run.folder.mkdir(parents=True, exist_ok=True)
        self.session = wandb.init(project=os.environ.get("WANDB_PROJECT", self.run.project), name=self.run.name, id=run_id,
                                  dir=self.run.folder, config=self.run.settings, mode=mode, settings=settings, resume="allow")
        self.replaced = [folder for folder in folders if folder.name.startswith("offline-")]
        for evaluation in evaluations:
            if evaluation.step >= self.session.step:   # wandb takes no earlier step than its last one
                self.log_evaluation(evaluation)

    def log_evaluation(self, evaluation: Evaluation) -> None:
        import wandb

        image = {"holdout_images": wandb.Image(str(evaluation.image))} if evaluation.image else {}
        self.session.log(evaluation.values | image, step=evaluation.step)

    def close(self) -> None:
        if self.session:
            self.session.finish()
            for folder in self.replaced:
                shutil.rmtree(folder)


def choose_mode(folder: Path) -> Any:
    """Return None where wandb decides by its own environment, and `offline` where it would ask for a login."""
    import wandb

    if os.environ.get("WANDB_MODE") or wandb.login(prompt=False, verify=False):
        return None
    print_message(f"log: wandb has no login here (`wandb login` makes one), so it writes files for `wandb sync` into {folder}.")
    return "offline"
