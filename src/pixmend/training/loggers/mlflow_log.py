"""MLflow: a run at the server of MLFLOW_TRACKING_URI, or in a database of the home."""

import contextlib
import logging
import os
import time
from collections.abc import Sequence
from typing import Any

from pixmend import files
from pixmend.training.loggers.logger import Evaluation, LoggedRun, is_continued

# No telemetry; and a server that is away stops the training for seconds, not for minutes.
ENVIRONMENT = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
MAX_PARAMETERS = 100   # of one request


class MlflowLog:
    """Continues its run; where that has other evaluations than history.csv, a new run replaces it."""

    def __init__(self, run: LoggedRun) -> None:
        self.run, self.note = run, run.folder / "mlflow.json"   # the note says which MLflow run it is
        self.client: Any = None
        self.run_id = ""

    def start(self, evaluations: Sequence[Evaluation]) -> None:
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        import mlflow

        for name in ("alembic", "mlflow"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self.run.shared_folder.mkdir(parents=True, exist_ok=True)
        local = f"sqlite:///{self.run.shared_folder.resolve() / 'mlflow.db'}"
        uri = os.environ.get("MLFLOW_TRACKING_URI") or local
        with files.wait_for_lock(self.run.shared_folder / ".mlflow.lock") if uri == local else contextlib.nullcontext():
            self.client = mlflow.MlflowClient(uri)
            experiment = self._find_experiment(self.run.shared_folder.resolve() if uri == local else None)
        logged = self._read_logged(uri)
        if not is_continued(logged, evaluations):
            self._create_run(uri, experiment)
            logged = []
        for evaluation in evaluations[len(logged):]:
            self.log_evaluation(evaluation)

    def _find_experiment(self, folder: Any) -> str:
        """Return the id of the competition's experiment, made if there is none; images of a local one go into this folder."""
        if found := self.client.get_experiment_by_name(self.run.project):
            return str(found.experiment_id)
        place = (folder / "mlflow-artifacts" / self.run.project).as_uri() if folder else None
        return str(self.client.create_experiment(self.run.project, artifact_location=place))

    def _read_logged(self, uri: str) -> list[tuple[int, float]]:
        """Return step and holdout RMSE of what the run has at this server; nothing if it does not exist there."""
        from mlflow.exceptions import MlflowException

        note = files.read_json(self.note) or {}
        if note.get("uri") != uri:
            return []
        self.run_id = note["run"]
        try:
            if self.client.get_run(self.run_id).info.lifecycle_stage == "deleted":
                return []
            history = self.client.get_metric_history(self.run_id, "holdout_rmse")
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            self.run_id = ""
            return []
        return sorted((metric.step, metric.value) for metric in history)

    def _create_run(self, uri: str, experiment: str) -> None:
        from mlflow.entities import Param

        if self.run_id:
            self.client.delete_run(self.run_id)
        self.run_id = self.client.create_run(experiment, run_name=self.run.name).info.run_id
        files.write_json(self.note, {"uri": uri, "run": self.run_id})
        parameters = [Param(name, str(value)) for name, value in self.run.settings.items()]
        for start in range(0, len(parameters), MAX_PARAMETERS):
            self.client.log_batch(self.run_id, params=parameters[start:start + MAX_PARAMETERS])

    def log_evaluation(self, evaluation: Evaluation) -> None:
        from mlflow.entities import Metric

        if evaluation.image:   # before the figures: where these are, the image is, too
            self.client.log_artifact(self.run_id, str(evaluation.image), "holdout_images")
        now = int(time.time() * 1000)
        self.client.log_batch(self.run_id, [Metric(name, value, now, evaluation.step)
                                            for name, value in evaluation.values.items()])

    def close(self) -> None:
        if self.run_id:
            self.client.set_terminated(self.run_id)
