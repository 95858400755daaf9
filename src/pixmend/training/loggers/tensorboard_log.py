"""TensorBoard: one event file in the run's folder, written without TensorFlow, so that it works on JAX, too."""

import platform
import time
from collections.abc import Sequence
from typing import Any

from pixmend.data import decode
from pixmend.training.loggers.logger import Evaluation, LoggedRun


class TensorBoardLog:
    """Writes a new event file at each start, with all evaluations until then, and deletes the earlier one."""

    def __init__(self, run: LoggedRun) -> None:
        self.run = run
        self.writer: Any = None

    def start(self, evaluations: Sequence[Evaluation]) -> None:
        from tensorboard.compat.proto.event_pb2 import SessionLog
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb
        from tensorboard.summary.writer.record_writer import RecordWriter

        folder = self.run.folder / "tensorboard"
        folder.mkdir(parents=True, exist_ok=True)
        earlier = list(folder.glob("events.out.tfevents.*"))
        path = folder / f"events.out.tfevents.{time.time_ns()}.{platform.node()}"
        self.writer = RecordWriter(path.open("xb"))
        self._write(file_version="brain.Event:2")
        self._write(session_log=SessionLog(status=SessionLog.START))   # readers forget what an earlier file held
        self._write(summary=hparams_pb(self.run.settings))
        for evaluation in evaluations:
            self.log_evaluation(evaluation)
        self.writer.flush()
        for file in earlier:
            file.unlink()

    def log_evaluation(self, evaluation: Evaluation) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=name, simple_value=value) for name, value in evaluation.values.items()]
        if evaluation.image:
            file = decode.parse_file(evaluation.image, "delete it")
            image = Summary.Image(height=file.height, width=file.width, colorspace=3,
                                  encoded_image_string=evaluation.image.read_bytes())
            values.append(Summary.Value(tag="holdout_images", image=image))
        self._write(step=evaluation.step, summary=Summary(value=values))
        self.writer.flush()

    def _write(self, **fields: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self.writer.write(Event(wall_time=time.time(), **fields).SerializeToString())

    def close(self) -> None:
        if self.writer:
            self.writer.close()
