"""Pix2Pix, the project's own, trained on the device in groups of steps: as published, and by the good recipe.

Photos, damaged pictures, fills and masks lie on the device as uint8, (count, 256, 256, 3) and (count, 256, 256); a batch is
drawn there, turned left-right at random. A state is Keras's own: lists of trainable, other, optimizer and figure variables.
"""

import time
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import keras
import numpy as np

from benchmarks.accelerator import speed
from pixmend.networks.pix2pix import build_pix2pix
from pixmend.training.adversarial import AdversarialModel
from pixmend.training.losses import ReconstructionLoss

RECIPES = {
    "as published": {"start": "none", "loss": "l1", "LAMBDA": 100.0, "rate": 2e-4, "batch": 1, "hole": 0.0, "mask_channel": False,
                     "average": None, "decays": False, "judged": True, "training_mode": True},
    "good recipe": {"start": "smooth", "loss": "l2", "LAMBDA": 1000.0, "rate": 4e-4, "batch": 64, "hole": 1.0,
                    "mask_channel": True, "average": 0.995, "decays": True, "judged": True, "training_mode": False},
}
STEPS = 10   # in one call of the device
KINDS = ("seen", "mask", "whole")


def settings_of(recipe, width, levels):
    return SimpleNamespace(width=width, levels=levels, seed=1, disc_lambda=1.0, **recipe)


def model_of(settings, size):
    """Generator and discriminator, compiled as the project does."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    keras.utils.set_random_seed(settings.seed)
    painter = build_pix2pix((size, size, 3), settings)
    model = AdversarialModel(painter, settings) if settings.judged else painter
    averaged = {"use_ema": True, "ema_momentum": settings.average} if settings.average else {}
    optimizer = keras.optimizers.Adam(settings.rate, 0.5, 0.999, epsilon=1e-8, **averaged)
    model.compile(optimizer=optimizer, loss=ReconstructionLoss(settings.loss))
    optimizer.build(model.trainable_variables)
    return model


def state_of(model):
    groups = model.trainable_variables, model.non_trainable_variables, model.optimizer.variables, model.metrics_variables
    return tuple([jnp.array(variable.value) for variable in variables] for variables in groups)


def on_device(part, settings):
    """What a network is shown, which pixels count, and what is true."""
    seen = part.smooth if settings.start == "smooth" else part.damaged
    return tuple(jax.device_put(array) for array in (seen, part.counts(), part.whole))


def drawn(held, key, settings):
    """A batch for Keras: ((seen, mask), whole, weight)."""
    place, turn = jax.random.split(key)
    picks = jax.random.randint(place, (settings.batch,), 0, len(held[0]))
    flips = jax.random.bernoulli(turn, 0.5, (settings.batch,))
    seen, counts, whole = (turned(array[picks].astype(jnp.float32), flips) for array in held)
    mask = (counts > 0).astype(jnp.float32)[..., None]
    weight = settings.hole * counts + (1 - settings.hole)
    return (seen / 255, mask), whole / 255, weight


def turned(x, flips):
    return jnp.where(flips.reshape(-1, *[1] * (x.ndim - 1)), x[:, :, ::-1], x)


def one_step(model, settings, held, state, key, rate):
    place = next(i for i, variable in enumerate(model.optimizer.variables) if variable is model.optimizer.learning_rate)
    optimizer = [rate if i == place else value for i, value in enumerate(state[2])]
    figures = [jnp.zeros_like(value) for value in state[3]]
    told, state = model.train_step((*state[:2], optimizer, figures), drawn(held, key, settings))
    return told, state


def group(model, settings):
    """Some steps in one call: (state, key, rate, held) to (state, figures of the last step)."""
    def many(state, key, rate, held):
        def body(state, key):
            told, state = one_step(model, settings, held, state, key, rate)
            return tuple(list(part) for part in state), told
        state, told = jax.lax.scan(body, state, jax.random.split(key, STEPS))
        return state, jax.tree.map(lambda values: values[-1], told)
    return jax.jit(many, donate_argnums=0)


def measure(part, settings):
    """Images a second and share of the peak; and what a profile calls."""
    model, held = model_of(settings, part.damaged.shape[1]), on_device(part, settings)
    state, key, rate = state_of(model), jax.random.key(1), jnp.float32(settings.rate)
    flops = speed.flops_of(lambda state, held: one_step(model, settings, held, state, key, rate), state, held)
    holder, many = [state], group(model, settings).lower(state, key, rate, held).compile()

    def call():
        holder[0], told = many(holder[0], key, rate, held)
        return told

    told = {"flops_per_step": flops} | speed.measure(call, flops * STEPS, settings.batch * STEPS, blocks=3)
    return told, call


def safely(work, *given):
    try:
        return work(*given)
    except Exception as error:   # a profiler that does not work here must not cost the run
        return {"failed": str(error)[:200]}


def train(parts, settings, seconds, longest):
    """Train for some seconds, with compiling, and for at most `longest` without; return the model and its history.

    The model has its averaged weights where the recipe averages them, otherwise its last ones.
    """
    called = time.monotonic()
    model, held = model_of(settings, parts["train"].damaged.shape[1]), on_device(parts["train"], settings)
    state, key, number = state_of(model), jax.random.key(2), 0
    many = group(model, settings).lower(state, key, jnp.float32(0), held).compile()
    begun, passed, lines = time.monotonic(), 0.0, []
    seconds = max(1.0, min(longest, seconds - (begun - called)))
    while passed < seconds:
        rate = settings.rate * (1 - passed / seconds if settings.decays else 1)
        state, told = many(state, jax.random.fold_in(key, number), jnp.float32(rate), held)
        number += STEPS
        line = {name: float(value) for name, value in told.items()}
        passed = time.monotonic() - begun
        if not lines or passed - lines[-1]["seconds"] > seconds / 40 or passed >= seconds:
            lines.append({"seconds": passed, "step": number, "rate": rate} | line)
    assign(model, state, settings.average)
    return model, lines


def assign(model, state, averaged):
    groups = model.trainable_variables, model.non_trainable_variables, model.optimizer.variables
    for variables, values in zip(groups, state[:3], strict=True):
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
    if averaged:
        model.optimizer.finalize_variable_values(model.trainable_variables)


def paint(model, part, settings, at_once=50):
    """Mended pictures, (count, 256, 256, 3) float32 in 0..1: known pixels as given."""
    painter = model.generator if settings.judged else model
    state = [[variable.value for variable in variables] for variables in (painter.trainable_variables, painter.non_trainable_variables)]
    draw = jax.jit(lambda state, inputs: painter.stateless_call(*state, inputs, training=settings.training_mode)[0])
    shown = (part.smooth if settings.start == "smooth" else part.damaged), np.float32(part.counts() > 0)[..., None]
    made = [np.asarray(draw(state, [jnp.float32(shown[0][at:at + at_once]) / 255, jnp.asarray(shown[1][at:at + at_once])]))
            for at in range(0, len(part.damaged), at_once)]
    return np.where(shown[1] > 0, np.clip(np.concatenate(made), 0, 1), np.float32(part.damaged) / 255)
