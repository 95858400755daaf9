"""Read the logs of a training with the readers of their libraries: {step: values}, and the size of each step's image."""

import contextlib
import csv
import json
import sqlite3
import struct

import cv2

BLOCK, HEADER = 32768, 7   # bytes of wandb's files, which are LevelDB's logs
LAST_PARTS = (1, 4)        # a whole record, and the end of one


def read_history(run):
    with open(run / "history.csv", newline="", encoding="utf-8") as file:
        return {int(row.pop("step")): {name: float(text) for name, text in row.items() if text} for row in csv.DictReader(file)}


def read_tensorboard(home, run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = EventAccumulator(str(run / "logs/tensorboard"), size_guidance={"scalars": 0, "images": 0}).Reload()
    values = {}
    for tag in log.Tags()["scalars"]:
        for event in log.Scalars(tag):
            assert tag not in values.setdefault(event.step, {})
            values[event.step][tag] = event.value
    return values, {event.step: (event.height, event.width) for event in log.Images("holdout_images")}


def read_wandb(home, run):
    from wandb.proto.wandb_internal_pb2 import Record

    folder, = (run / "logs/wandb").glob("offline-run-*")
    file, = folder.glob("run-*.wandb")
    records = [Record.FromString(data) for data in split_records(file.read_bytes())]
    lines = [{item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
             for record in records if record.WhichOneof("record_type") == "history"]
    assert len({line["_step"] for line in lines}) == len(lines)
    images = {line["_step"]: line["holdout_images.path"] for line in lines if "holdout_images.path" in line}
    return ({line["_step"]: keep_values(line) for line in lines},
            {step: measure_image(folder / "files" / path) for step, path in images.items()})


def split_records(data):
    """Yield the records of a LevelDB log after wandb's own header."""
    at, record = HEADER, b""
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        record += data[at + HEADER:at + HEADER + length]
        at += HEADER + length
        if kind in LAST_PARTS:
            yield record
            record = b""


def read_mlflow(home, run):
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{home.resolve() / 'logs/mlflow.db'}")
    found, = client.search_runs([client.get_experiment_by_name("demo").experiment_id])
    assert found.info.run_name == run.name and found.data.params["model"] == "cnn"
    values = {}
    for name in found.data.metrics:
        for metric in client.get_metric_history(found.info.run_id, name):
            assert name not in values.setdefault(metric.step, {})
            values[metric.step][name] = metric.value
    images = [client.download_artifacts(found.info.run_id, artifact.path)
              for artifact in client.list_artifacts(found.info.run_id, "holdout_images")]
    return values, {int(path[-12:-4]): measure_image(path) for path in images}


def read_trackio(home, run):
    with contextlib.closing(sqlite3.connect(home / "logs/trackio/demo.db")) as database:
        rows = database.execute("SELECT step, metrics FROM metrics WHERE run_name = ?", (run.name,)).fetchall()
        assert len(database.execute("SELECT * FROM configs WHERE run_name = ?", (run.name,)).fetchall()) == 1
    assert len({step for step, _ in rows}) == len(rows)
    lines = {step: json.loads(text) for step, text in rows}
    media = home / "logs/trackio/media"
    return ({step: keep_values(line) for step, line in lines.items()},
            {step: measure_image(media / line["holdout_images"]["file_path"]) for step, line in lines.items()
             if "holdout_images" in line})


def keep_values(line):
    return {name: value for name, value in line.items() if not name.startswith(("_", "holdout_images"))}


def measure_image(path):
    return cv2.imread(str(path)).shape[:2]


READERS = {"tensorboard": read_tensorboard, "wandb": read_wandb, "mlflow": read_mlflow, "trackio": read_trackio}
