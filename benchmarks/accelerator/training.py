"""Training of the canvas transformer for a number of seconds: Muon, a learning rate that falls to zero, averaged weights.

Errors are RMSE over the cells of the boxes, in 0..1.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import keras
import numpy as np

from benchmarks.accelerator import canvas
from benchmarks.accelerator.canvas import Canvas
from benchmarks.accelerator.stand_in import Split
from pixmend.networks.window_transformer import build_transformer

MOMENTUM, SECOND_MOMENT_DECAY, MAX_EMA_DECAY, EPSILON = 0.95, 0.98, 0.999, 1e-8
NEWTON_SCHULZ, NEWTON_SCHULZ_STEPS = (3.4445, -4.7750, 2.0315), 5   # Keller Jordan's coefficients
EVALUATION_SECONDS, EVALUATION_IMAGES = 25, 550   # between evaluations; first images of a split that are evaluated
CHUNK = 64   # images whose canvases are made at a time

Arrays = list[jax.Array]   # float32, in the order of the network's trainable variables


@dataclass(frozen=True)
class Plan:
    """The settings of a training."""

    width: int = 512
    levels: int = 8
    batch: int = 512
    rate: float = 1e-3
    decay: float = 0.5
    warm_up: int = 200
    steps: int = 16   # in one call of the device
    seed: int = 1


class State(NamedTuple):
    """What a step changes; `other` are the variables that no gradient changes."""

    weights: Arrays
    other: list[jax.Array]
    first_moments: Arrays
    second_moments: Arrays
    average: Arrays
    step: jax.Array
    key: jax.Array


def build_network(plan: Plan) -> keras.Model:
    keras.utils.set_random_seed(plan.seed)
    shape = (canvas.CELLS, canvas.CELLS, 3)
    return build_transformer(shape, plan.width, plan.levels, plan.seed, extra_planes=canvas.EXTRA_PLANES)


def copy_values(variables: Sequence[Any]) -> list[jax.Array]:
    return [jnp.array(variable.value) for variable in variables]


def make_state(model: keras.Model, plan: Plan) -> State:
    """Return the state before the first step."""
    weights, other = copy_values(model.trainable_variables), copy_values(model.non_trainable_variables)
    first_moments, second_moments = ([jnp.zeros_like(weight) for weight in weights] for _ in range(2))
    average = [jnp.array(weight) for weight in weights]
    return State(weights, other, first_moments, second_moments, average, jnp.zeros((), jnp.int32), jax.random.key(plan.seed))


def predict(model: keras.Model, weights: Arrays, other: Arrays, inputs: Canvas,
            training: bool = False) -> tuple[jax.Array, Arrays]:
    """Return the predicted canvases, and the other variables afterwards."""
    residual, other = model.stateless_call(weights, other, [inputs.image, inputs.planes], training=training)
    return inputs.image + residual, other


def compute_squares(predicted: jax.Array, inputs: Canvas) -> tuple[jax.Array, jax.Array]:
    """Return the sum of the squared errors and of their weights for each canvas."""
    squares = jnp.square(predicted.astype(jnp.float32) - inputs.target) * inputs.weight
    return squares.sum((1, 2, 3)), 3 * inputs.weight.sum((1, 2, 3))


def compute_rmse(squares: jax.Array, numbers: jax.Array) -> jax.Array:
    return jnp.sqrt(squares.sum() / numbers.sum())


def compute_loss(model: keras.Model, weights: Arrays, other: Arrays, inputs: Canvas) -> tuple[jax.Array, Arrays]:
    predicted, other = predict(model, weights, other, inputs, training=True)
    squares, numbers = compute_squares(predicted, inputs)
    return squares.sum() / numbers.sum(), other


def is_moved_by_muon(variable: Any) -> bool:
    """Return whether a variable is a kernel of a block; AdamW moves all others."""
    return len(variable.shape) == 2 and variable.path.split("/")[-2].startswith("block")


def train_step(model: keras.Model, plan: Plan, photos: jax.Array, state: State, rate: jax.Array) -> tuple[State, jax.Array]:
    """Do one step, and return the new state and the loss."""
    key, batch_key = jax.random.split(state.key)
    inputs = canvas.draw_batch(photos, batch_key, plan.batch)
    compute_gradients = jax.value_and_grad(partial(compute_loss, model), has_aux=True)
    (loss, other), gradients = compute_gradients(state.weights, state.other, inputs)
    by_muon = [is_moved_by_muon(variable) for variable in model.trainable_variables]
    first_moments, second_moments, moves = compute_moves(gradients, state, by_muon)
    weights = [weight - rate * (move + plan.decay * weight * (weight.ndim == 2))
               for weight, move in zip(state.weights, moves, strict=True)]
    ema_decay = jnp.minimum(MAX_EMA_DECAY, (1 + state.step) / (10 + state.step))
    average = [ema_decay * old + (1 - ema_decay) * new for old, new in zip(state.average, weights, strict=True)]
    return State(weights, other, first_moments, second_moments, average, state.step + 1, key), loss


def compute_moves(gradients: Arrays, state: State, by_muon: Sequence[bool]) -> tuple[Arrays, Arrays, Arrays]:
    """Return the new moments and the direction of each weight, whose root mean square is about 0.2 (Muon) or 1 (Adam)."""
    first = update_moments(state.first_moments, gradients)
    second = [old if muon else old + (1 - SECOND_MOMENT_DECAY) * (gradient * gradient - old)
              for old, gradient, muon in zip(state.second_moments, gradients, by_muon, strict=True)]
    moves = compute_muon_moves(update_moments(first, gradients), by_muon)   # Nesterov: the gradient counts once more
    age = state.step + 1.0
    for number, (mean, square) in enumerate(zip(first, second, strict=True)):
        if not by_muon[number]:
            deviation = jnp.sqrt(square / (1 - SECOND_MOMENT_DECAY**age)) + EPSILON
            moves[number] = mean / (1 - MOMENTUM**age) / deviation
    return first, second, [moves[number] for number in range(len(first))]


def update_moments(moments: Arrays, gradients: Arrays) -> Arrays:
    return [moment + (1 - MOMENTUM) * (gradient - moment) for moment, gradient in zip(moments, gradients, strict=True)]


def compute_muon_moves(moments: Arrays, by_muon: Sequence[bool]) -> dict[int, jax.Array]:
    """Return the directions of the weights that Muon moves, by their number; equal shapes are computed together."""
    numbers_by_shape: dict[tuple[int, ...], list[int]] = {}
    for number, moment in enumerate(moments):
        if by_muon[number]:
            numbers_by_shape.setdefault(moment.shape, []).append(number)
    moves: dict[int, jax.Array] = {}
    for shape, numbers in numbers_by_shape.items():
        orthogonal = orthogonalize(jnp.stack([moments[number] for number in numbers])) * 0.2 * max(shape) ** 0.5
        moves.update(zip(numbers, orthogonal, strict=True))
    return moves


def orthogonalize(matrices: jax.Array) -> jax.Array:
    """Return roughly the nearest orthogonal matrices: (count, rows, columns)."""
    a, b, c = NEWTON_SCHULZ
    norms = jnp.linalg.norm(matrices, axis=(1, 2), keepdims=True) + 1e-12
    x = matrices.astype(jnp.bfloat16) / norms.astype(jnp.bfloat16)
    is_tall = x.shape[1] > x.shape[2]
    x = x.swapaxes(1, 2) if is_tall else x
    for _ in range(NEWTON_SCHULZ_STEPS):
        square = x @ x.swapaxes(1, 2)
        x = a * x + (b * square + c * square @ square) @ x
    return (x.swapaxes(1, 2) if is_tall else x).astype(jnp.float32)


def compile_steps(model: keras.Model, plan: Plan, photos: jax.Array, state: State) -> Callable[..., tuple[State, jax.Array]]:
    """Compile many steps in one call, from (state, rates, photos) to (state, mean loss)."""
    def run_steps(state: State, rates: jax.Array, photos: jax.Array) -> tuple[State, jax.Array]:
        state, losses = jax.lax.scan(lambda state, rate: train_step(model, plan, photos, state, rate), state, rates)
        return state, losses.mean()

    compiled: Callable[..., tuple[State, jax.Array]] = (
        jax.jit(run_steps, donate_argnums=0).lower(state, jnp.zeros(plan.steps), photos).compile())
    return compiled


def compute_rates(plan: Plan, step: int, time_share: float) -> np.ndarray:
    """Return the learning rates of the next steps: a warm-up by steps, then a line to zero by the share of passed time."""
    numbers = step + np.arange(plan.steps)
    warm_up = np.minimum(1, (1 + numbers) / plan.warm_up)
    return (plan.rate * warm_up * max(0.0, 1 - time_share)).astype(np.float32)


def get_boxes(split: Split, number: int, images: slice) -> jax.Array:
    """Return the first (0) or second (1) box of some images: row, column, height, width."""
    corners = split.corners[images, number].astype(np.float32)
    return jnp.asarray(np.concatenate([corners, np.full_like(corners, split.side)], 1))


@jax.jit
def make_known_canvas(damaged: jax.Array, original: jax.Array, box: jax.Array, other: jax.Array) -> Canvas:
    """Return the canvas of images in 0..255 with two boxes."""
    size = damaged.shape[1]
    known = canvas.make_known_map(box, size) * canvas.make_known_map(other, size)
    return canvas.make_canvas(damaged / 255, original / 255, known, box, other)


def make_first_box_canvases(split: Split) -> Canvas:
    """Return the canvases of the first box of each damaged image of a split."""
    chunks = []
    for start in range(0, len(split.damaged), CHUNK):
        images = slice(start, start + CHUNK)
        damaged, original = jnp.float32(split.damaged[images]), jnp.float32(split.original[images])
        chunks.append(make_known_canvas(damaged, original, get_boxes(split, 0, images), get_boxes(split, 1, images)))
    return Canvas(*(jnp.concatenate(parts) for parts in zip(*chunks, strict=True)))


def take_first_images(split: Split) -> Split:
    """Return the images of a split that are evaluated."""
    return Split(*(values[:EVALUATION_IMAGES] for values in vars(split).values()))


class Evaluator:
    """Evaluates on training and holdout canvases, and keeps the best averaged weights and a history."""

    def __init__(self, model: keras.Model, splits: Mapping[str, Split]) -> None:
        self.canvases = {name: make_first_box_canvases(take_first_images(splits[name])) for name in ("train", "holdout")}
        self.best_error = np.inf
        self.best_weights: list[np.ndarray] = []
        self.history: list[dict[str, float]] = []
        self.compute_error = jax.jit(partial(compute_error, model))
        self.fill_errors = {f"fill_{name}": float(compute_rmse(*compute_squares(inputs.image, inputs)))
                            for name, inputs in self.canvases.items()}

    def evaluate(self, state: State, **line: float) -> None:
        """Compute the errors of the averaged weights, and add them to the line of the history."""
        errors = {name: float(self.compute_error(state.average, state.other, inputs)) for name, inputs in self.canvases.items()}
        if errors["holdout"] < self.best_error:
            self.best_error, self.best_weights = errors["holdout"], [np.asarray(weight) for weight in state.average]
        self.history.append(line | errors | self.fill_errors)
        print("evaluation", " ".join(f"{name}={value:.5g}" for name, value in self.history[-1].items()), flush=True)


def compute_error(model: keras.Model, weights: Arrays, other: Arrays, inputs: Canvas) -> jax.Array:
    predicted, _ = predict(model, weights, other, inputs)
    return compute_rmse(*compute_squares(predicted, inputs))


def train(model: keras.Model, plan: Plan, splits: Mapping[str, Split], get_seconds_left: Callable[[], float],
          save_history: Callable[[list[dict[str, float]]], None]) -> tuple[Evaluator, State]:
    """Train for the seconds that are left after compiling; the history is saved at every evaluation after the first."""
    photos, state = jax.device_put(splits["train"].original), make_state(model, plan)
    evaluator, run_steps = Evaluator(model, splits), compile_steps(model, plan, photos, state)
    evaluator.evaluate(state, seconds=0, step=0, rate=0, loss=0)
    seconds = max(1.0, get_seconds_left())
    start, evaluated, step, share = time.monotonic(), 0.0, 0, 0.0
    while share < 1:
        state, device_loss = run_steps(state, jnp.asarray(compute_rates(plan, step, share)), photos)
        step, loss = step + plan.steps, float(device_loss)
        elapsed = time.monotonic() - start
        share = elapsed / seconds
        if elapsed - evaluated > EVALUATION_SECONDS or share >= 1:
            evaluator.evaluate(state, seconds=elapsed, step=step, rate=plan.rate * max(0, 1 - share), loss=loss)
            evaluated = elapsed
            save_history(evaluator.history)
    return evaluator, state
