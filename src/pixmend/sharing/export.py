"""Export a trained run: a Keras file, ONNX, safetensors with settings, and a model card."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pixmend import backend, files, models, run_file
from pixmend.config import PATHS, SETTINGS, Settings, group_values
from pixmend.data.dataset import UNFILLED
from pixmend.errors import UserError
from pixmend.sharing import exported_files, model_card, onnx_file
from pixmend.sharing.model_card import Measured
from pixmend.sharing.packages import check_packages_of_export
from pixmend.training import checkpoints
from pixmend.training.run import load_run_settings

if TYPE_CHECKING:
    import keras


def get_export_folder(settings: Settings) -> Path:
    return Path(settings.home) / "exports" / settings.dataset_name / settings.run


def export_run(settings: Settings, score: Mapping[str, Any] | None) -> Path:
    """Write all files of a run, which may have a score, into its folder in exports/, which appears when all of them are there."""
    trained = replace(load_run_settings(settings), precision="float32")   # the weights are; other programs compute in it
    check_exportable(trained)
    check_packages_of_export()
    weights = checkpoints.find_weights(settings.trained_folder, "", settings.snapshot)
    target = get_export_folder(settings)
    with files.try_lock(settings.run_folder):
        building = target.with_name(f".{target.name}.building")
        shutil.rmtree(building, ignore_errors=True)
        building.mkdir(parents=True)
        try:
            write_files(building, trained, weights, score)
            files.fsync_folder(building)
            shutil.rmtree(target, ignore_errors=True)
            files.replace_durably(building, target)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    return target


def check_exportable(settings: Settings) -> None:
    if not models.is_trainable(settings.model):
        raise UserError(f"The run {settings.run!r} is of {settings.model}, which has no weights to export.")
    if settings.folds > 1:
        raise UserError(f"The run {settings.run!r} has a network for each of its {settings.folds} folds. Export a run that was "
                        "trained without --folds.")


def write_files(folder: Path, settings: Settings, weights: Path, score: Mapping[str, Any] | None) -> None:
    network, metadata = load_network(settings, weights)
    network.save(folder / exported_files.KERAS)
    names = write_safetensors(folder / exported_files.WEIGHTS, network)
    measured = replace(model_card.read_measured(settings, score), parameters=network.count_params(),
                       onnx_difference=onnx_file.write_onnx(folder / exported_files.ONNX, network),
                       has_picture=model_card.write_picture(folder / exported_files.PICTURE, settings))
    files.write_text(folder / exported_files.CARD, model_card.format_card(settings, measured))
    exported_files.write_description(folder, describe_run(settings, metadata, names, measured))


def load_network(settings: Settings, weights: Path) -> "tuple[keras.Model, dict[str, Any]]":
    """Return the network of a run with its weights, and the facts beside them; on TensorFlow, from which ONNX is made."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    backend.start_keras()
    from pixmend.training import setup

    network = setup.build_network(settings)
    return network, setup.load_weights(network, weights)


def write_safetensors(path: Path, network: "keras.Model") -> list[str]:
    """Write the weights in the network's order; return their names, which begin with their number."""
    from safetensors.numpy import save

    arrays = {f"{number:04}/{variable.path}": np.ascontiguousarray(np.asarray(variable))
              for number, variable in enumerate(network.variables)}
    path.write_bytes(save(arrays))
    return list(arrays)


def describe_run(settings: Settings, metadata: dict[str, Any], names: list[str], measured: Measured) -> dict[str, Any]:
    """Return the contents of settings.json; paths of this machine stay here."""
    trained = run_file.read_trained(settings.trained_folder) or {}
    kept = {name: SETTINGS[name].default if name in PATHS else value for name, value in trained.items()}
    return {"run": settings.trained_folder.name, "competition": settings.competition, "damage": settings.damage,
            "channels": settings.channels, "step": metadata["step"], "settings": kept | {"encoder_weights": "none"},
            "prediction": group_values(settings, "prediction"), "weights": names, "measured": asdict(measured),
            "inputs": describe_inputs(settings)}


def describe_inputs(settings: Settings) -> dict[str, Any]:
    height, width, channels = settings.input_shape
    return {"image": {"shape": ["batch", height, width, channels], "type": "float32", "range": [0, 1],
                      "channels": "red, green, blue" if channels == 3 else "grey",
                      "missing pixels": "as in the damaged image" if settings.start in UNFILLED else f"filled: {settings.start}"},
            "mask": {"shape": ["batch", height, width, 1], "type": "float32", "values": "1 where pixels are missing, else 0"}}
