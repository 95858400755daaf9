"""Training steps: one at a time on TensorFlow; on JAX several are sent to the device together.

On JAX a step is one function, compiled once for the whole run, that is called again before the previous call has ended. The
device goes from step to step by itself, batches are copied to it ahead, and the losses of a group of steps are read together.
The size of a group does not change any bit of the result, nor do the compact batches that are copied (see batches.py).
"""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import ops

from pixmend import backend, competitions, models
from pixmend.config import Settings
from pixmend.training.batches import CompactBatch, bytes_to_floats
from pixmend.training.window_batches import BatchSource

STEPS_PER_CALL = 16   # on an accelerator
FLOATS_OF_BYTES = bytes_to_floats(np.arange(256))   # a table, because a compiler may divide by 255 in a way of its own


def build_steps(model: keras.Model, batches: BatchSource) -> "TensorFlowSteps | JaxSteps":
    """Return the training steps for the backend in use; `steps_per_call` holds unless the settings say otherwise."""
    return JaxSteps(model, batches) if backend.get_name() == "jax" else TensorFlowSteps(model, batches)


class TensorFlowSteps:
    """Reads the losses of each step before the next one begins."""

    steps_per_call = 1

    def __init__(self, model: keras.Model, batches: BatchSource) -> None:
        self.model, self.batches = model, batches
        self.train_step = backend.compile_graph(self._train_step, model.jit_compile)

    def load(self, step: int) -> Any:
        """Return the batch of a step as tensors, without copying it."""
        inputs, target, weight = self.batches.get_batch(step)
        weight_tensor = None if weight is None else backend.to_tensor(weight)
        return tuple(map(backend.to_tensor, inputs)), backend.to_tensor(target), weight_tensor

    def run(self, batches: Iterable[Any], learning_rates: list[float]) -> list[dict[str, float]]:
        """Train one step on each batch; return the losses of each step by name."""
        results = [self.train_step(batch, np.float32(rate)) for batch, rate in zip(batches, learning_rates, strict=True)]
        return [{name: float(value) for name, value in losses.items()} for losses in results]

    def _train_step(self, batch: Any, learning_rate: Any) -> dict[str, Any]:
        """As `train_on_batch` of Keras, but the learning rate is set and the metrics are reset inside the graph."""
        self.model.optimizer.learning_rate.assign(learning_rate)
        for metric in self.model.metrics_variables:
            metric.assign(ops.zeros_like(metric))
        return self.model.train_step(batch)


class JaxSteps:
    """Sends a group of steps to the device, then reads all their losses."""

    def __init__(self, model: keras.Model, batches: BatchSource) -> None:
        self.model, self.batches = model, batches
        self.steps_per_call = STEPS_PER_CALL if backend.list_accelerators() else 1
        self.rate_index = next(i for i, v in enumerate(model.optimizer.variables) if v is model.optimizer.learning_rate)
        self.train_step, self.to_device = backend.compile_step(self._train_step), backend.get_device_copier()

    def load(self, step: int) -> Any:
        """Copy the batch of a step to the device in its compact form."""
        return {name: self.to_device(array) for name, array in self.batches.get_compact_batch(step).items()}

    def run(self, batches: Iterable[Any], learning_rates: list[float]) -> list[dict[str, float]]:
        model, results = self.model, []
        groups = model.trainable_variables, model.non_trainable_variables, model.optimizer.variables, model.metrics_variables
        state: Any = tuple([variable.value for variable in variables] for variables in groups)
        for batch, rate in zip(batches, learning_rates, strict=True):
            losses, state = self.train_step(state, batch, np.float32(rate))
            results.append(losses)
        for variables, values in zip(groups, state, strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
        return [{name: float(losses[name]) for name in sorted(losses)} for losses in backend.copy_to_host(results)]

    def _train_step(self, state: Any, batch: dict[str, Any], learning_rate: Any) -> Any:
        trainable, non_trainable, optimizer, metrics = state
        optimizer = [learning_rate if i == self.rate_index else value for i, value in enumerate(optimizer)]
        metrics = [ops.zeros_like(value) for value in metrics]
        return self.model.train_step((trainable, non_trainable, optimizer, metrics), expand_batch(batch, self.batches.settings))


def expand_batch(compact: CompactBatch, settings: Settings) -> tuple[tuple[Any, Any], Any, Any]:
    """Return ((inputs, mask), target, weight) with every image's transform applied."""
    batch = {name: transform_images(array, compact["transforms"]) for name, array in compact.items() if name != "transforms"}
    if "windows" in batch:   # window_batches.py describes their layout
        windows = to_floats(batch["windows"])
        channels = windows.shape[-1] // 2 - 1
        inputs, mask, weight, target = ops.split(windows, [channels, channels + 1, channels + 2], axis=-1)
        weight = weight[..., 0]
    else:
        if "inputs" not in batch:
            hole_value = ops.cast(competitions.get_damage_competition(settings).hole_value(settings), batch["target"].dtype)
            batch["inputs"] = ops.where(batch["counts"][..., None] > 0, hole_value, batch["target"])
        inputs, target = to_floats(batch["inputs"]), to_floats(batch["target"])
        mask = ops.cast(batch["counts"] > 0, "float32")[..., None]
        weight = batch.get("weight", ops.cast(batch["counts"], "float32"))
    if models.finds_masks(settings.model):
        target = mask
    return (inputs, mask), target, weight if settings.loss_region == "hole" or settings.contrast_weighting else None


def to_floats(images: Any) -> Any:
    """Convert uint8 to float32 in 0..1; floats are returned unchanged."""
    if keras.backend.standardize_dtype(images.dtype) != "uint8":
        return images
    return ops.take(FLOATS_OF_BYTES, ops.cast(images, "int32"))


def transform_images(images: Any, transforms: Any) -> Any:
    """Apply `data.augmentation.apply_transform` to each square image of a batch, by its own number."""
    transforms = ops.reshape(ops.cast(transforms, "int32"), (-1, *[1] * (len(images.shape) - 1)))
    images = ops.where(transforms >= 4, ops.flip(images, 2), images)
    images = ops.where(transforms % 2 == 1, ops.flip(ops.swapaxes(images, 1, 2), 1), images)
    return ops.where(transforms % 4 >= 2, ops.flip(images, (1, 2)), images)
