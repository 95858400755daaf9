"""The parts of an accelerator run, one after the other by importance, each within its share of the minutes."""

import argparse
import dataclasses
import os
import platform
import time
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import keras
import numpy as np

from benchmarks.accelerator import canvas, pix2pix, prediction, scores, stand_in, training
from benchmarks.accelerator.results import RunResults, write_weights
from benchmarks.accelerator.speed import count_flops, measure_speed, profile_call

RESERVE_SECONDS = 15   # for what follows a training
PIX2PIX_SPEED_SECONDS = 30   # that measuring one batch size of Pix2Pix may take
EVALUATED_SPLITS = ("holdout", "test")

Images = Mapping[str, np.ndarray]   # predicted images by split, float32 in 0..1


@dataclasses.dataclass
class Context:
    """What every part of a run reads and adds to.

    `fill_squares` has the squared errors of each image by split and fill; `measured_calls` the calls that can be profiled.
    """

    options: argparse.Namespace
    results: RunResults
    splits: dict[str, stand_in.Split]
    fill_squares: dict[str, dict[str, np.ndarray]]
    measured_calls: dict[str, Callable[[], Any]] = dataclasses.field(default_factory=dict)

    def get_seconds_left(self, share: float = 1.0) -> float:
        """Return the seconds until a share of the minutes has passed."""
        return float(60 * self.options.minutes * share - self.results.get_elapsed_seconds())

    def print_time(self, text: str) -> None:
        print(f"{self.results.get_elapsed_seconds():.1f} s: {text}", flush=True)

    def compute_scores(self, images: Images) -> dict[str, Any]:
        return {split: scores.compute_scores(self.splits[split], images[split], self.fill_squares[split]) for split in images}


def run_all_parts(options: argparse.Namespace) -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    results = RunResults(options.out, describe_run(options))
    splits = stand_in.prepare_splits(options.data, options.cores, options.prepared)
    context = Context(options, results, splits, {split: {} for split in EVALUATED_SPLITS})
    context.print_time("images are prepared")
    score_fills(context)
    for part in (train_transformer, measure_transformer_speed, measure_pix2pix_speed, train_good_pix2pix,
                 train_published_pix2pix, profile_measured_calls):
        run_part(part, context)
    context.print_time("end")


def describe_run(options: argparse.Namespace) -> dict[str, Any]:
    return {"device": jax.devices()[0].device_kind, "cores": os.cpu_count(), "python": platform.python_version(),
            "jax": jax.__version__, "keras": keras.__version__, "date": time.strftime("%Y-%m-%d"),
            "minutes": options.minutes, "commit": os.environ.get("COMMIT", "unknown"),
            "width": options.width, "levels": options.levels, "batch": options.batch, "rate": options.rate}


def run_part(part: Callable[[Context], None], context: Context) -> None:
    """Run a part; if it fails, print the error and leave the time to the other parts."""
    try:
        part(context)
    except Exception:
        print(f"{part.__name__} failed:\n{traceback.format_exc()}", flush=True)


def score_fills(context: Context) -> None:
    """Score the harmonic and the smooth fill, and keep their squared errors for the ratios."""
    filled: dict[str, dict[str, np.ndarray]] = {"harmonic": {}, "smooth": {}}
    for name in EVALUATED_SPLITS:
        split = context.splits[name]
        filled["harmonic"][name] = stand_in.compute_harmonic(split, context.options.cores)
        filled["smooth"][name] = split.smooth.astype(np.float32) / 255
        for fill in filled:
            context.fill_squares[name][fill], _ = scores.compute_squares(split, filled[fill][name])
    for fill, images in filled.items():
        context.results.add("fills", fill, context.compute_scores(images))


def make_plan(options: argparse.Namespace) -> training.Plan:
    return training.Plan(width=options.width, levels=options.levels, batch=options.batch, rate=options.rate, steps=options.steps)


def train_transformer(context: Context) -> None:
    """Train, choose on the holdout how the canvases of an image are combined, then predict the test images once."""
    plan = make_plan(context.options)
    model = training.build_network(plan)
    evaluator, state = training.train(
        model, plan, context.splits,
        get_seconds_left=lambda: min(context.get_seconds_left(context.options.network_share), context.options.longest),
        save_history=partial(context.results.save_history, "transformer"))
    context.print_time("the transformer is trained")
    write_weights(context.options.out, evaluator.best_weights)
    images, errors, share = predict_with_transformer(context, model, evaluator.best_weights, state.other)
    last = evaluator.history[-1]
    context.results.add("networks", "canvas transformer", context.compute_scores(images) | {
        "seconds": round(last["seconds"]), "steps": last["step"], "samples": last["step"] * plan.batch,
        "share_of_other_canvas": share, "holdout_by_share": {str(tried): error for tried, error in errors.items()},
        "cells": last, "parameters": int(sum(weight.size for weight in evaluator.best_weights)),
        "plan": dataclasses.asdict(plan)})


def predict_with_transformer(context: Context, model: keras.Model, best_weights: list[np.ndarray],
                             other: list[jax.Array]) -> tuple[Images, dict[float, float], float]:
    """Return the predicted images, the holdout RMSE by share of the other canvas, and the best share."""
    weights = [jnp.asarray(weight) for weight in best_weights]
    holdout, test = context.splits["holdout"], context.splits["test"]
    corrections = prediction.predict_corrections(model, weights, other, holdout)
    candidates = {share: prediction.apply_corrections(holdout, corrections, share) for share in prediction.OTHER_CANVAS_SHARES}
    errors = {share: float(scores.compute_rmse(*scores.compute_squares(holdout, images))) for share, images in candidates.items()}
    share = min(errors, key=lambda share: errors[share])
    test_corrections = prediction.predict_corrections(model, weights, other, test)
    images = {"holdout": candidates[share], "test": prediction.apply_corrections(test, test_corrections, share)}
    return images, errors, share


def measure_transformer_speed(context: Context) -> None:
    plan = make_plan(context.options)
    model, photos = training.build_network(plan), jax.device_put(context.splits["train"].original)
    state, rates = training.make_state(model, plan), jnp.zeros(plan.steps)
    flops = count_flops(partial(training.train_step, model, plan), photos, state, jnp.float32(0))
    run_steps = training.compile_steps(model, plan, photos, state)

    def call() -> Any:
        nonlocal state
        state, loss = run_steps(state, rates, photos)
        return loss

    speed = measure_speed(call, flops * plan.steps, plan.batch * plan.steps)
    draw_batch = jax.jit(lambda key: canvas.draw_batch(photos, key, plan.batch))
    speed["drawing_seconds"] = measure_speed(lambda: draw_batch(jax.random.key(0)), 0, plan.batch)["seconds"]
    add_speed(context, f"canvas transformer, batch {plan.batch}", speed, flops, plan.batch, plan.steps, call)


def add_speed(context: Context, name: str, speed: Mapping[str, float], flops: float, batch: int, steps: int,
              call: Callable[[], Any]) -> None:
    """Add a measured speed to the results, with its values per step, and keep the call for a profile."""
    context.results.add("speed", name, {**speed, "seconds_per_step": speed["seconds"] / steps, "flops_per_step": flops,
                                        "gflop_per_image": flops / batch / 1e9})
    context.measured_calls[name] = call


def measure_pix2pix_speed(context: Context) -> None:
    """Measure each batch size while there is time; 64 comes first."""
    split = training.take_first_images(context.splits["train"])
    for batch in sorted(context.options.batches, key=lambda batch: batch != 64):
        if context.get_seconds_left() > 2 * PIX2PIX_SPEED_SECONDS:
            settings = pix2pix.make_settings("as published", context.options.pix2pix_width, batch_size=batch)
            speed, call = pix2pix.measure_training_speed(split, settings)
            add_speed(context, f"Pix2Pix, batch {batch}", speed, speed["flops_per_step"], batch, pix2pix.STEPS, call)


def profile_measured_calls(context: Context) -> None:
    """Add a profile of each measured step. This comes last, because its length is not known before."""
    for name, call in context.measured_calls.items():
        if context.get_seconds_left() > 0:
            speed = context.results.results["speed"][name]
            context.results.add("speed", name, speed | {"profile": profile_or_describe_error(call)})


def profile_or_describe_error(call: Callable[[], Any]) -> dict[str, Any]:
    try:
        return profile_call(call)
    except Exception as error:   # a profiler that does not work here must not end the run
        return {"failed": str(error)[:200]}


def train_good_pix2pix(context: Context) -> None:
    train_pix2pix(context, "good recipe", (context.get_seconds_left() - 2 * RESERVE_SECONDS) * 0.7)


def train_published_pix2pix(context: Context) -> None:
    train_pix2pix(context, "as published", context.get_seconds_left() - RESERVE_SECONDS)


def train_pix2pix(context: Context, recipe: str, seconds: float) -> None:
    """Train for the seconds, with compiling; do nothing if they are too few."""
    if seconds < RESERVE_SECONDS:
        return context.print_time(f"no time is left for Pix2Pix, {recipe}")
    batch = min(pix2pix.get_recipe(recipe)["batch_size"], len(context.splits["train"].names))
    settings = pix2pix.make_settings(recipe, context.options.pix2pix_width, batch_size=batch)
    model, history = pix2pix.train(context.splits, settings, seconds, context.options.longest)
    context.results.save_history(f"Pix2Pix, {recipe}", history)
    images = {name: pix2pix.predict(model, context.splits[name], settings) for name in EVALUATED_SPLITS}
    last = history[-1]
    context.results.add("networks", f"Pix2Pix, {recipe}", context.compute_scores(images) | {
        "seconds": round(last["seconds"]), "steps": last["step"], "samples": last["step"] * batch,
        "recipe": pix2pix.get_recipe(recipe)})
