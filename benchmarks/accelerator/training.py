"""Training of the canvas transformer for so many seconds: Muon, a rate that falls to zero by the clock, averaged weights.

A state is (weights, rest, first, second, average, step, key): lists of float32 arrays in the order of the network's trainable
variables, `rest` being what no gradient moves. Errors are roots of mean squares over cells of the two boxes, in 0..1.
"""

import time
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import keras
import numpy as np

from benchmarks.accelerator import canvas, transformer

MOMENTUM, SECOND, AVERAGE, EPSILON = 0.95, 0.98, 0.999, 1e-8
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315), 5   # Keller Jordan's coefficients and number of steps
LOOK_SECONDS, LOOK = 25, 550   # between looks at the holdout; canvases of a look


@dataclass(frozen=True)
class Plan:
    """What a training is made of."""

    width: int = 512
    levels: int = 8
    batch: int = 512
    rate: float = 1e-3
    decay: float = 0.5
    warm_up: int = 200
    steps: int = 16   # in one call of the device
    seed: int = 1


def network(plan):
    keras.utils.set_random_seed(plan.seed)
    settings = SimpleNamespace(width=plan.width, levels=plan.levels, seed=plan.seed)
    return transformer.build((canvas.CELLS, canvas.CELLS, 3), settings, extra=canvas.EXTRA)


def values(variables):
    return [jnp.array(variable.value) for variable in variables]


def first_state(model, plan):
    weights = values(model.trainable_variables)
    zeros = [jnp.zeros_like(weight) for weight in weights]
    return (weights, values(model.non_trainable_variables), zeros, [jnp.zeros_like(z) for z in zeros],
            [jnp.array(weight) for weight in weights], jnp.zeros((), jnp.int32), jax.random.key(plan.seed))


def painted(model, weights, rest, shown, training=False):
    """What the network paints on canvases, and its state afterwards."""
    return model.stateless_call(weights, rest, [shown.seen, shown.planes], training=training)


def squares(result, shown):
    """Sum and weight of the squared errors of each canvas."""
    error = jnp.square(result.astype(jnp.float32) - shown.truth) * shown.weight
    return error.sum((1, 2, 3)), 3 * shown.weight.sum((1, 2, 3))


def loss_of(model, weights, rest, shown):
    result, rest = painted(model, weights, rest, shown, training=True)
    total, number = squares(result, shown)
    return total.sum() / number.sum(), rest


def is_inner(variable):
    """Whether Muon moves it: the kernels of the blocks."""
    return len(variable.shape) == 2 and variable.path.split("/")[-2].startswith("block")


def step(model, plan, photos, state, rate):
    """One step of Muon on inner kernels and of AdamW on everything else."""
    weights, rest, first, second, average, number, key = state
    key, drawn = jax.random.split(key)
    shown = canvas.draw(photos, drawn, plan.batch)
    (loss, rest), gradients = jax.value_and_grad(partial(loss_of, model), has_aux=True)(weights, rest, shown)
    inner = [is_inner(variable) for variable in model.trainable_variables]
    first, second, moves = updates(gradients, first, second, number, inner)
    weights = [weight - rate * (move + plan.decay * weight * (weight.ndim == 2)) for weight, move in zip(weights, moves, strict=True)]
    keep = jnp.minimum(AVERAGE, (1 + number) / (10 + number))
    average = [keep * old + (1 - keep) * new for old, new in zip(average, weights, strict=True)]
    return (weights, rest, first, second, average, number + 1, key), loss


def updates(gradients, first, second, number, inner):
    """The new moments and the directions, each of about 0.2 (Muon) or 1 (Adam) root mean square."""
    first = [m + (1 - MOMENTUM) * (g - m) for m, g in zip(first, gradients, strict=True)]
    second = [v if is_in else v + (1 - SECOND) * (g * g - v) for v, g, is_in in zip(second, gradients, inner, strict=True)]
    ahead = [m + (1 - MOMENTUM) * (g - m) for m, g in zip(first, gradients, strict=True)]
    moves, age = [None] * len(first), number + 1.0
    for place, (m, v) in enumerate(zip(first, second, strict=True)):
        if not inner[place]:
            moves[place] = m / (1 - MOMENTUM**age) / (jnp.sqrt(v / (1 - SECOND**age)) + EPSILON)
    for shape in {m.shape for m, is_in in zip(first, inner, strict=True) if is_in}:
        same = [place for place, m in enumerate(first) if inner[place] and m.shape == shape]
        turned = orthogonal(jnp.stack([ahead[place] for place in same])) * 0.2 * max(shape) ** 0.5
        for place, move in zip(same, turned, strict=True):
            moves[place] = move
    return first, second, moves


def orthogonal(matrices):
    """The nearest orthogonal matrices, roughly: (count, rows, columns)."""
    (a, b, c), times = NEWTON_SCHULZ
    x = matrices.astype(jnp.bfloat16) / (jnp.linalg.norm(matrices, axis=(1, 2), keepdims=True) + 1e-12).astype(jnp.bfloat16)
    turned = x.shape[1] > x.shape[2]
    x = x.swapaxes(1, 2) if turned else x
    for _ in range(times):
        square = x @ x.swapaxes(1, 2)
        x = a * x + (b * square + c * square @ square) @ x
    return (x.swapaxes(1, 2) if turned else x).astype(jnp.float32)


def compiled(model, plan, photos, state):
    """Many steps in one call: (state, rates, photos) to (state, mean loss); compiled before the clock runs."""
    def many(state, rates, photos):
        state, losses = jax.lax.scan(lambda state, rate: step(model, plan, photos, state, rate), state, rates)
        return state, losses.mean()
    return jax.jit(many, donate_argnums=0).lower(state, jnp.zeros(plan.steps), photos).compile()


def rates(plan, step, share):
    """Warm-up by steps, then a line to zero by the share of the time that is gone."""
    number = step + np.arange(plan.steps)
    return np.float32(plan.rate * np.minimum(1, (1 + number) / plan.warm_up) * max(0.0, 1 - share))


def canvases(part, size, both=True):
    """The canvases of both boxes of a split's damaged pictures: first all first boxes, then all second ones."""
    shown = []
    for own, other in ((0, 1), (1, 0))[:1 + both]:
        made = [look_at(part, own, other, at, size) for at in range(0, len(part.damaged), 64)]
        shown.append([jnp.concatenate(parts) for parts in zip(*made, strict=True)])
    return canvas.Canvas(*(jnp.concatenate(parts) for parts in zip(*shown, strict=True)))


@partial(jax.jit, static_argnums=5)
def _look(damaged, whole, known, box, other, _):
    return canvas.look(damaged / 255, whole / 255, known, box, other)


def look_at(part, own, other, at, size):
    box, second = boxes(part, own, at), boxes(part, other, at)
    known = canvas.known_pixels(box, size) * canvas.known_pixels(second, size)
    return _look(jnp.float32(part.damaged[at:at + 64]), jnp.float32(part.whole[at:at + 64]), known, box, second, size)


def boxes(part, which, at):
    corners = np.float32(part.corners[at:at + 64, which])
    return jnp.asarray(np.concatenate([corners, np.full_like(corners, part.side)], 1))


class Watch:
    """Looks at canvases of the training and of the holdout pictures, and keeps the best averaged weights."""

    def __init__(self, model, parts):
        size = parts["train"].damaged.shape[1]
        self.shown = {name: canvases(few(parts[name]), size, both=False) for name in ("train", "holdout")}
        self.best, self.kept, self.lines = np.inf, None, []
        self.error = jax.jit(partial(error_of, model))
        self.fills = {name: float(root(*squares(shown.seen, shown))) for name, shown in self.shown.items()}

    def look(self, state, **line):
        errors = {name: float(self.error(state[4], state[1], shown)) for name, shown in self.shown.items()}
        if errors["holdout"] < self.best:
            self.best, self.kept = errors["holdout"], [np.asarray(weight) for weight in state[4]]
        self.lines.append(line | errors | {f"fill_{name}": error for name, error in self.fills.items()})
        print("look", " ".join(f"{name}={value:.5g}" for name, value in self.lines[-1].items()), flush=True)


def few(part):
    return type(part)(*(values[:LOOK] for values in vars(part).values()))


def error_of(model, weights, rest, shown):
    return root(*squares(painted(model, weights, rest, shown)[0], shown))


def root(total, number):
    return jnp.sqrt(total.sum() / number.sum())


def train(model, plan, parts, seconds_left, keep=lambda lines: None):
    """Train for the seconds that are left once it is compiled; the watch has the best averaged weights, `keep` is given every look."""
    called = time.monotonic()
    photos, state = jax.device_put(parts["train"].whole), first_state(model, plan)
    watch, many = Watch(model, parts), compiled(model, plan, photos, state)
    watch.look(state, seconds=0, step=0, rate=0, loss=0)
    seconds = max(1.0, seconds_left(time.monotonic() - called))
    begun, looked, number, share = time.monotonic(), 0.0, 0, 0.0
    while share < 1:
        state, loss = many(state, jnp.asarray(rates(plan, number, share)), photos)
        number, loss = number + plan.steps, float(loss)
        passed = time.monotonic() - begun
        share = passed / seconds
        if passed - looked > LOOK_SECONDS or share >= 1:
            watch.look(state, seconds=passed, step=number, rate=plan.rate * max(0, 1 - share), loss=loss)
            looked = passed
            keep(watch.lines)
    return watch, state
