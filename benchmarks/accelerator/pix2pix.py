"""The project's Pix2Pix, trained on the device in groups of steps: as published, and by the good recipe.

Original images, network inputs and counts lie on the device as uint8, (count, 256, 256, 3) and (count, 256, 256). Batches are
drawn there and flipped left to right at random. A state is that of Keras: lists of trainable, other, optimizer and metric
variables.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.accelerator.speed import count_flops, measure_speed
from benchmarks.accelerator.stand_in import Split
from pixmend.config import UNLIMITED_STEPS, Settings
from pixmend.networks.registry import get_network
from pixmend.training import setup
from pixmend.training.losses import ReconstructionLoss
from pixmend.training.optimizer import build_optimizer, get_learning_rate

STEPS = 10   # in one call of the device
HISTORY_LINES = 40
CHUNK = 50   # images that are predicted at a time

State = tuple[list[Any], ...]
DeviceImages = tuple[jax.Array, jax.Array, jax.Array]   # inputs, counts, originals


# What differs from the defaults of the model; both are trained on whole images.
RECIPES: dict[str, dict[str, Any]] = {
    "as published": {"model": "pix2pix_published"},
    "good recipe": {"model": "pix2pix", "window": 0.0, "batch_size": 64},
}


def get_recipe(name: str) -> dict[str, Any]:
    """Return the settings that a recipe decides."""
    changes = RECIPES[name]
    return {**get_network(changes["model"]).defaults, **changes}


def make_settings(recipe: str, width: int, **changes: Any) -> Settings:
    return Settings(**(get_recipe(recipe) | {"width": width, "steps": UNLIMITED_STEPS, "precision": "bfloat16"} | changes))


def build_model(settings: Settings) -> Any:
    """Build generator and discriminator, compiled as the project does."""
    model, optimizer = setup.build_trainable(settings), build_optimizer(settings)
    model.compile(optimizer=optimizer, loss=ReconstructionLoss(settings.loss))
    optimizer.build(model.trainable_variables)
    return model


def copy_state(model: Any) -> State:
    groups = model.trainable_variables, model.non_trainable_variables, model.optimizer.variables, model.metrics_variables
    return tuple([jnp.array(variable.value) for variable in variables] for variables in groups)


def select_inputs(split: Split, settings: Settings) -> np.ndarray:
    return split.smooth if settings.start == "smooth" else split.damaged


def copy_to_device(split: Split, settings: Settings) -> DeviceImages:
    arrays = select_inputs(split, settings), split.compute_counts(), split.original
    inputs, counts, originals = (jax.device_put(array) for array in arrays)
    return inputs, counts, originals


def draw_batch(images: DeviceImages, key: jax.Array, settings: Settings) -> tuple[Any, jax.Array, jax.Array]:
    """Return a batch for Keras: ((inputs, mask), originals, weight)."""
    pick_key, flip_key = jax.random.split(key)
    picks = jax.random.randint(pick_key, (settings.batch_size,), 0, len(images[0]))
    flips = jax.random.bernoulli(flip_key, 0.5, (settings.batch_size,))
    inputs, counts, originals = (flip_images(array[picks].astype(jnp.float32), flips) for array in images)
    mask = (counts > 0).astype(jnp.float32)[..., None]
    weight = counts if settings.loss_region == "hole" else jnp.ones_like(counts)
    return (inputs / 255, mask), originals / 255, weight


def flip_images(x: jax.Array, flips: jax.Array) -> jax.Array:
    """Flip the images left to right for which `flips` is true."""
    return jnp.where(flips.reshape(-1, *[1] * (x.ndim - 1)), x[:, :, ::-1], x)


def train_step(model: Any, settings: Settings, images: DeviceImages, state: State, key: jax.Array,
               learning_rate: jax.Array) -> tuple[Mapping[str, jax.Array], State]:
    """Do one step of Keras with this learning rate; return the metrics and the new state."""
    weights, other, optimizer, metrics = state
    optimizer = [learning_rate if variable is model.optimizer.learning_rate else value
                 for variable, value in zip(model.optimizer.variables, optimizer, strict=True)]
    metrics = [jnp.zeros_like(value) for value in metrics]
    new_metrics, new_state = model.train_step((weights, other, optimizer, metrics), draw_batch(images, key, settings))
    return new_metrics, tuple(list(part) for part in new_state)


def compile_steps(model: Any, settings: Settings, state: State, images: DeviceImages) -> Callable[..., tuple[State, Any]]:
    """Compile some steps in one call: from (state, key, learning rate, images) to (state, metrics of the last step)."""
    def run_steps(state: State, key: jax.Array, learning_rate: jax.Array, images: DeviceImages) -> tuple[State, Any]:
        def run_step(state: State, key: jax.Array) -> tuple[State, Any]:
            metrics, state = train_step(model, settings, images, state, key, learning_rate)
            return state, metrics

        state, metrics = jax.lax.scan(run_step, state, jax.random.split(key, STEPS))
        return state, jax.tree.map(lambda values: values[-1], metrics)

    arguments = state, jax.random.key(0), jnp.float32(0), images
    compiled: Callable[..., tuple[State, Any]] = jax.jit(run_steps, donate_argnums=0).lower(*arguments).compile()
    return compiled


def measure_training_speed(split: Split, settings: Settings) -> tuple[dict[str, float], Callable[[], Any]]:
    """Return images per second and the share of the peak; and the call that was measured, for a profile."""
    model, images = build_model(settings), copy_to_device(split, settings)
    state, key, rate = copy_state(model), jax.random.key(1), jnp.float32(settings.learning_rate)
    flops = count_flops(lambda state, images: train_step(model, settings, images, state, key, rate), state, images)
    run_steps = compile_steps(model, settings, state, images)

    def call() -> Any:
        nonlocal state
        state, metrics = run_steps(state, key, rate, images)
        return metrics

    speed = measure_speed(call, flops * STEPS, settings.batch_size * STEPS, blocks=3)
    return {"flops_per_step": flops} | speed, call


def train(splits: Mapping[str, Split], settings: Settings, seconds: float, longest: float) -> tuple[Any, list[dict[str, float]]]:
    """Train for some seconds with compiling, and for at most `longest` without; return the model and its history.

    The model has its averaged weights if the recipe averages them, and otherwise its last ones.
    """
    called = time.monotonic()
    model, images = build_model(settings), copy_to_device(splits["train"], settings)
    state, key = copy_state(model), jax.random.key(2)
    run_steps = compile_steps(model, settings, state, images)
    start, elapsed, step = time.monotonic(), 0.0, 0
    seconds = max(1.0, min(longest, seconds - (start - called)))
    settings = replace(settings, minutes=seconds / 60)   # over which the learning rate falls
    history: list[dict[str, float]] = []
    while elapsed < seconds:
        rate = get_learning_rate(settings, step, elapsed / 60)
        state, metrics = run_steps(state, jax.random.fold_in(key, step), jnp.float32(rate), images)
        values = {name: float(value) for name, value in metrics.items()}
        step, elapsed = step + STEPS, time.monotonic() - start
        if not history or elapsed - history[-1]["seconds"] > seconds / HISTORY_LINES or elapsed >= seconds:
            history.append({"seconds": elapsed, "step": step, "rate": rate} | values)
    assign_state(model, state, bool(settings.ema_decay))
    return model, history


def assign_state(model: Any, state: State, use_average: bool) -> None:
    """Copy a state into the variables of the model."""
    groups = model.trainable_variables, model.non_trainable_variables, model.optimizer.variables
    for variables, values in zip(groups, state[:3], strict=True):
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
    if use_average:
        model.optimizer.finalize_variable_values(model.trainable_variables)


def predict(model: Any, split: Split, settings: Settings) -> np.ndarray:
    """Return predicted images, (count, 256, 256, 3) float32 in 0..1, with the known pixels as given."""
    generator = model.generator if settings.adversarial else model
    weights, other = ([variable.value for variable in variables] for variables in
                      (generator.trainable_variables, generator.non_trainable_variables))
    training = settings.predict_mode == "training"
    run = jax.jit(lambda weights, other, inputs: generator.stateless_call(weights, other, inputs, training=training)[0])
    inputs, mask = select_inputs(split, settings), (split.compute_counts() > 0)[..., None].astype(np.float32)
    chunks = []
    for start in range(0, len(inputs), CHUNK):
        images = slice(start, start + CHUNK)
        chunks.append(np.asarray(run(weights, other, [jnp.float32(inputs[images]) / 255, jnp.asarray(mask[images])])))
    predicted = np.clip(np.concatenate(chunks), 0, 1)
    return np.where(mask > 0, predicted, split.damaged.astype(np.float32) / 255)
