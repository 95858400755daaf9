"""The parts of an accelerator run, one after the other by worth, each within its share of the minutes."""

import dataclasses
import os
import platform
import time
import traceback
from functools import partial

import jax
import jax.numpy as jnp
import keras
import numpy as np

from benchmarks.accelerator import canvas, painting, published, results, scores, speed, stand_in, training

RESERVE, MEASURED = 15, 30   # seconds: kept for the end of each training, and what a measurement of Pix2Pix may take


def run(asked):
    keras.config.set_dtype_policy("mixed_bfloat16")
    found = results.Results(asked.out, about(asked))
    parts = stand_in.prepare(asked.data, asked.cores, asked.prepared)
    told_time(found, "pictures are prepared")
    fills = scored_fills(asked, found, parts)
    work = (transformer, transformer_speed, pix2pix_speed, good_pix2pix, published_pix2pix, profiles)
    for part in work:
        guarded(part, asked, found, parts, fills)
    told_time(found, "end")


def scored_fills(asked, found, parts):
    """Each picture's squared errors under either fill, by split and name."""
    filled = {"harmonic": lambda part: stand_in.harmonic_of(part, asked.cores), "smooth": lambda part: np.float32(part.smooth) / 255}
    made = {name: {split: fill(parts[split]) for split in ("holdout", "test")} for name, fill in filled.items()}
    fills = {split: {name: scores.by_picture(parts[split], made[name][split])[0] for name in made} for split in ("holdout", "test")}
    for name, pictures in made.items():
        found.add("fills", name, scored(parts, pictures, fills))
    return fills


def guarded(part, *given):
    """A part that fails says so and leaves the others their time."""
    try:
        part(*given)
    except Exception:
        print(f"{part.__name__} failed:\n{traceback.format_exc()}", flush=True)


def about(asked):
    return {"device": jax.devices()[0].device_kind, "cores": os.cpu_count(), "python": platform.python_version(), "jax": jax.__version__,
            "keras": keras.__version__, "date": time.strftime("%Y-%m-%d"), "minutes": asked.minutes,
            "commit": os.environ.get("COMMIT", "unknown"), **{name: getattr(asked, name) for name in ("width", "levels", "batch", "rate")}}


def told_time(found, what):
    print(f"{found.passed():.1f} s: {what}", flush=True)


def left(asked, found, until=1.0):
    return 60 * asked.minutes * until - found.passed()


def scored(parts, pictures, fills):
    return {split: scores.score(parts[split], pictures[split], fills[split]) for split in pictures}


def plan_of(asked):
    return training.Plan(width=asked.width, levels=asked.levels, batch=asked.batch, rate=asked.rate, steps=asked.steps)


def transformer(asked, found, parts, fills):
    """Train, choose how both canvases of a picture are joined on the holdout, then look at the test pictures once."""
    plan = plan_of(asked)
    model = training.network(plan)
    seconds = left(asked, found, asked.network_share)
    watch, state = training.train(model, plan, parts, lambda passed: min(seconds - passed, asked.longest), lambda lines: found.history("transformer", lines))
    told_time(found, "the transformer is trained")
    results.write_weights(asked.out, watch.kept)
    weights = [jnp.asarray(weight) for weight in watch.kept]
    painted, tried = {}, {}
    corrections = painting.corrections(model, weights, state[1], parts["holdout"])
    for share in painting.SHARES:
        tried[share] = painting.paint(parts["holdout"], corrections, share)
    errors = {share: scores.root(*scores.by_picture(parts["holdout"], pictures)) for share, pictures in tried.items()}
    share = min(errors, key=errors.get)
    painted["holdout"] = tried[share]
    painted["test"] = painting.paint(parts["test"], painting.corrections(model, weights, state[1], parts["test"]), share)
    last = watch.lines[-1]
    found.add("networks", "canvas transformer", scored(parts, painted, fills) | {
        "seconds": round(last["seconds"]), "steps": last["step"], "samples": last["step"] * plan.batch, "share_of_other_canvas": share,
        "holdout_by_share": {str(name): value for name, value in errors.items()}, "cells": last,
        "parameters": int(sum(weight.size for weight in weights)), "plan": dataclasses.asdict(plan)})


def transformer_speed(asked, found, parts, fills):
    plan = plan_of(asked)
    model, photos = training.network(plan), jax.device_put(parts["train"].whole)
    state = training.first_state(model, plan)
    one = partial(training.step, model, plan)
    flops = speed.flops_of(one, photos, state, jnp.float32(0))
    many = training.compiled(model, plan, photos, state)
    holder, rates = [state], jnp.zeros(plan.steps)

    def call():
        holder[0], loss = many(holder[0], rates, photos)
        return loss

    told = speed.measure(call, flops * plan.steps, plan.batch * plan.steps)
    made = jax.jit(lambda key: canvas.draw(photos, key, plan.batch))
    told["drawing_seconds"] = speed.measure(lambda: made(jax.random.key(0)), 0, plan.batch)["seconds"]
    found.add("speed", name := f"canvas transformer, batch {plan.batch}", by_step(told, flops, plan.batch, plan.steps))
    found.calls[name] = call


def by_step(told, flops, batch, steps):
    return told | {"seconds_a_step": told["seconds"] / steps, "flops_a_step": flops, "gflop_an_image": flops / batch / 1e9}


def pix2pix_speed(asked, found, parts, fills):
    """By batch size, while there is time; first the middle one."""
    few = training.few(parts["train"])
    for batch in sorted(asked.batches, key=lambda batch: batch != 64):
        if left(asked, found) > 2 * MEASURED:
            settings = settings_of(asked, "as published", batch=batch)
            told, call = published.measure(few, settings)
            found.add("speed", name := f"Pix2Pix, batch {batch}", by_step(told, told["flops_per_step"], batch, published.STEPS))
            found.calls[name] = call


def profiles(asked, found, parts, fills):
    """What bounds each measured step, last of all, for a profile's length is not known beforehand."""
    for name, call in found.calls.items():
        if left(asked, found) > 0:
            found.add("speed", name, found.told["speed"][name] | {"profile": published.safely(speed.profile, call)})


def settings_of(asked, recipe, **changes):
    return published.settings_of(published.RECIPES[recipe] | changes, asked.pix2pix_width, 8)


def good_pix2pix(asked, found, parts, fills):
    learn_pix2pix("good recipe", (left(asked, found) - 2 * RESERVE) * 0.7, asked, found, parts, fills)


def published_pix2pix(asked, found, parts, fills):
    learn_pix2pix("as published", left(asked, found) - RESERVE, asked, found, parts, fills)


def learn_pix2pix(recipe, seconds, asked, found, parts, fills):
    """Train for the seconds, compiling counted, unless they are too few."""
    if seconds < RESERVE:
        return told_time(found, f"no time is left for Pix2Pix, {recipe}")
    batch = min(published.RECIPES[recipe]["batch"], len(parts["train"].names))
    settings = settings_of(asked, recipe, batch=batch)
    model, lines = published.train(parts, settings, seconds, asked.longest)
    found.history(f"Pix2Pix, {recipe}", lines)
    painted = {split: published.paint(model, parts[split], settings) for split in fills}
    found.add("networks", f"Pix2Pix, {recipe}", scored(parts, painted, fills) | {
        "seconds": round(lines[-1]["seconds"]), "steps": lines[-1]["step"], "samples": lines[-1]["step"] * settings.batch,
        "recipe": published.RECIPES[recipe]})
