"""TensorBoard: one event file in the run's folder, written without TensorFlow, so that it works on JAX, too."""

import platform
import struct
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pixmend.data import decode
from pixmend.training.loggers.logger import Evaluation, LoggedRun

CHECKSUM = 4   # bytes after a record
HEAD = 8 + CHECKSUM   # bytes before it: its length, and a checksum of that


class TensorBoardLog:
    """Writes a new event file at each start, with all evaluations until then, and deletes the earlier one."""

    def __init__(self, run: LoggedRun) -> None:
        self.run = run
        self.file: Any = None
        self.writer: Any = None

    def start(self, evaluations: Sequence[Evaluation]) -> None:
        from tensorboard.compat.proto.event_pb2 import SessionLog
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb
        from tensorboard.summary.writer.record_writer import RecordWriter

        folder = self.run.folder / "tensorboard"
        folder.mkdir(parents=True, exist_ok=True)
        earlier = list(folder.glob("events.out.tfevents.*"))
        path = folder / f"events.out.tfevents.{time.time_ns()}.{platform.node()}"
        self.file = path.open("xb")
        self.writer = RecordWriter(self.file)
        self._write(file_version="brain.Event:2")
        self._write(session_log=SessionLog(status=SessionLog.START))   # readers forget what an earlier file held
        self._write(summary=hparams_pb(self.run.settings))
        records = {step: (values, record) for file in earlier for step, values, record in read_records(file)}
        for evaluation in evaluations:
            values, record = records.get(evaluation.step, ({}, b""))
            if values == {name: float(np.float32(value)) for name, value in evaluation.values.items()}:
                self.file.write(record)
            else:
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


def read_records(path: Path) -> Iterator[tuple[int, dict[str, float], bytes]]:
    """Yield step, values and bytes of each evaluation in an event file; a copy of these costs no checksum of its images."""
    from tensorboard.compat.proto.event_pb2 import Event

    with path.open("rb") as file:
        while len(head := file.read(HEAD)) == HEAD:
            length, = struct.unpack_from("<Q", head)
            rest = file.read(length + CHECKSUM)
            if len(rest) < length + CHECKSUM:   # a write that was interrupted
                return
            event = Event.FromString(rest[:length])
            values = {value.tag: value.simple_value for value in event.summary.value if value.HasField("simple_value")}
            if values:
                yield event.step, values, head + rest
