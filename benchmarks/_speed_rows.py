"""How each row of SPEED.md is measured: seconds for a unit of work of this project and of its alternatives in turns, and facts.

In the results, "ours" is this project; the other names are the alternatives of the row in speed.py.
"""

import random
import statistics
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import _data
from benchmarks._parallel_training import measure_step_seconds
from benchmarks._process import CommandResult, Worker, run_command, run_stage

RUN, MODEL = ("--run", "filled"), ("--model", "ring")
PARALLEL_BATCH = 8   # images in a step of all processes together
SOLUTION_USAGES = ("Public", "Public", "Private", "Private", "Private")
RMSE_TOLERANCE = 1e-5   # by which two graders may differ

Measurements = dict[str, list[float]]   # seconds of each round, by name


@dataclass(frozen=True)
class Options:
    """What is measured and where: `home` is the folder for the data, `torch_python` the Python of an environment with PyTorch."""

    home: Path
    sizes: _data.Sizes
    quick: bool
    torch_python: Path | None


@dataclass(frozen=True)
class CurveSizes:
    """The sizes of the row `curve`."""

    images: int = 96
    side: int = 64
    width: int = 16
    steps: int = 200
    evaluate_every: int = 25


TOY_CURVE = CurveSizes(images=20, side=32, width=4, steps=4, evaluate_every=2)


def measure_in_turns(measures: Mapping[str, Callable[[], float]], rounds: int) -> Measurements:
    """Call each measure once in every round: A B A B ..."""
    values: Measurements = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            values[name].append(measure())
    return values


def make_result(seconds: Measurements, facts: Mapping[str, float] | None = None) -> dict[str, Any]:
    return {"seconds": seconds, "facts": dict(facts or {})}


def measure_step(options: Options, batch: int) -> dict[str, Any]:
    """Measure a training step of Pix2Pix; the first steps, which compile, are not counted."""
    sizes = options.sizes
    file = _data.write_batch(options.home / f"batch-{batch}.npz", batch, sizes.side)
    with ExitStack() as stack:
        workers = {"ours": Worker("step_pixmend", file, sizes.width, 0, 1),
                   "tutorial": Worker("step_tutorial", file, sizes.width, 0, 1)}
        if options.torch_python:
            workers["pytorch"] = Worker("step_pytorch", file, sizes.width, python=options.torch_python)
        for worker in workers.values():
            stack.enter_context(worker)
        measures = {name: partial(worker.measure_seconds, "step") for name, worker in workers.items()}
        measure_in_turns(measures, 2)
        return make_result(measure_in_turns(measures, sizes.rounds if batch > 1 else 2 * sizes.rounds))


def measure_curve(options: Options) -> dict[str, Any]:
    """Measure RMSE instead of seconds: each round is a short training from its own first weights."""
    sizes = TOY_CURVE if options.quick else CurveSizes()
    file = _data.write_batch(options.home / "curve.npz", sizes.images, sizes.side)
    arguments = (file, sizes.width, sizes.steps, sizes.evaluate_every)
    with Worker("step_pixmend", *arguments) as ours, Worker("step_tutorial", *arguments) as tutorial:
        measures = {"ours": lambda: ours.run_task("curve")[1], "tutorial": lambda: tutorial.run_task("curve")[1]}
        return make_result(measure_in_turns(measures, options.sizes.rounds))


def measure_loop(options: Options) -> dict[str, Any]:
    """Measure the training loop, and bare compiled steps; the first round, which compiles, is not counted."""
    sizes, steps = options.sizes, 4 if options.quick else 500
    with Worker("loop", prepare_dataset(options), sizes.side, sizes.width // 4, steps) as worker:
        measures = {"ours": partial(worker.measure_seconds, "train"), "bare": partial(worker.measure_seconds, "bare")}
        measure_in_turns(measures, 1)
        return make_result(measure_in_turns(measures, sizes.rounds - 1))


def measure_scaling(options: Options) -> dict[str, Any]:
    """Measure two processes with a core each; and one process on a core, with their whole batch and with half of it."""
    sizes = options.sizes
    measure = partial(measure_step_seconds, prepare_dataset(options), sizes.side, sizes.width // 4)
    measures = {"ours": partial(measure, PARALLEL_BATCH, 2), "one": partial(measure, PARALLEL_BATCH, 1),
                "half": partial(measure, PARALLEL_BATCH // 2, 1)}
    seconds = measure_in_turns(measures, sizes.rounds - 2 or 1)
    return make_result(seconds, {"efficiency, one batch divided": compute_speedup(seconds, "one") / 2,
                                 "efficiency, a batch for each process": compute_speedup(seconds, "half")})


def compute_speedup(seconds: Measurements, name: str) -> float:
    """Return the median over the rounds of the seconds of one process divided by those of two processes."""
    return statistics.median(one / two for one, two in zip(seconds[name], seconds["ours"], strict=True))


def measure_input_pipeline(options: Options) -> dict[str, Any]:
    with Worker("loop", prepare_dataset(options), options.sizes.side, 1, 1) as worker:
        measures = {"ours": partial(worker.measure_seconds, "load"), "copy": partial(worker.measure_seconds, "copy")}
        measure_in_turns(measures, 1)
        seconds = measure_in_turns(measures, 2 * options.sizes.rounds)
        return make_result(seconds, {"images per second": 1 / statistics.median(seconds["ours"])})


def measure_augment(options: Options) -> dict[str, Any]:
    """Measure decoding; what the round before has stored is deleted first, and that is not counted."""
    sizes, folder = options.sizes, options.home / "jpegs"
    _data.prepare_competition(folder, sizes.jpegs // 2, 4, side=sizes.side, different=min(560, sizes.jpegs // 2))
    with Worker("decode", folder, sizes.side) as worker:
        def measure_ours() -> float:
            worker.run_task("delete")
            return worker.measure_seconds("pixmend")

        worker.measure_seconds("opencv")
        seconds = measure_in_turns({"opencv": partial(worker.measure_seconds, "opencv"), "ours": measure_ours}, 3)
        return make_result(seconds, {"MB": worker.megabytes})


def measure_fill(options: Options) -> dict[str, Any]:
    with Worker("fill", options.sizes.side, 16) as worker:
        measures = {"ours": partial(worker.measure_seconds, "pixmend"), "scipy": partial(worker.measure_seconds, "scipy")}
        measure_in_turns(measures, 1)
        seconds = measure_in_turns(measures, options.sizes.rounds)
        _, difference = worker.run_task("difference")
        return make_result(seconds, {"RMSE": difference, "seconds per image": statistics.median(seconds["ours"])})


def measure_predict(options: Options) -> dict[str, Any]:
    sizes = options.sizes
    with Worker("predict", prepare_dataset(options), sizes.side, sizes.width, sizes.test // 8) as worker:
        measures = {"ours": partial(worker.measure_seconds, "pixmend"), "bare": partial(worker.measure_seconds, "bare")}
        return make_result(measure_in_turns(measures, 1 if options.quick else 4))


def measure_serialize(options: Options) -> dict[str, Any]:
    """Measure the rows of one image; the loop and pandas write a tenth of the images, everything else all of them."""
    home, sizes = prepare_submission(options), options.sizes
    files = home / "competition" / "photo_reconstruction" / "files"
    predictions = home / "checkpoints" / "photo_reconstruction" / RUN[1] / "test.npz"
    with Worker("serialize", files, predictions, sizes.side, max(1, sizes.test // 10), home) as worker:
        tasks = {"ours": "pixmend", "loop": "loop", "pandas": "pandas", "raw": "raw"}
        measures = {name: partial(worker.measure_seconds, task) for name, task in tasks.items()}
        seconds = measure_in_turns(measures, sizes.rounds)
        _, are_equal = worker.run_task("are_equal")
    if not are_equal:
        sys.exit("The loop or pandas wrote another file than this project, so the compared work is not the same.")
    stages = [run_stage("serialize", home, *MODEL, *RUN, "--size", sizes.side, "--force") for _ in range(3)]
    return make_result(seconds, {"seconds": statistics.median(stage.seconds for stage in stages),
                                 "MB": max(stage.megabytes for stage in stages)})


def measure_score(options: Options) -> dict[str, Any]:
    """Measure whole processes that score one file, and check that they agree on its RMSE."""
    home = prepare_submission(options)
    submission = home / "submissions" / "photo_reconstruction" / f"{RUN[1]}.csv"
    solution, shuffled = write_solutions(submission, home)
    rmse: dict[str, list[float]] = {}

    def measure_ours(solution: Path = solution) -> float:
        result = run_stage("score", home, "--submission", submission, "--solution", solution)
        rmse["ours"] = [float(line.split("RMSE ")[1].split(",")[0]) for line in result.stdout.splitlines()]
        return result.seconds

    def measure_pandas() -> float:
        result = run_command(sys.executable, "-m", "benchmarks.programs.score_with_pandas", submission, solution)
        rmse["pandas"] = [float(word) for word in result.stdout.split()]
        return result.seconds

    seconds = measure_in_turns({"ours": measure_ours, "pandas": measure_pandas}, 3)
    if max(abs(ours - other) for ours, other in zip(rmse["ours"], rmse["pandas"], strict=True)) > RMSE_TOLERANCE:
        sys.exit(f"The RMSE of this project and that of pandas differ: {rmse}.")
    return make_result(seconds, {"seconds with shuffled rows": statistics.median(measure_ours(shuffled) for _ in range(3))})


def measure_start(options: Options) -> dict[str, Any]:
    """Measure a stage that has nothing to do: training a fill."""
    results: list[CommandResult] = []

    def measure_ours() -> float:
        results.append(run_stage("train", options.home / "empty", "--model", "harmonic"))
        return results[-1].seconds

    measures = {"ours": measure_ours, "python": lambda: run_command(sys.executable, "-c", "pass").seconds}
    seconds = measure_in_turns(measures, 2 * options.sizes.rounds)
    return make_result(seconds, {"seconds": statistics.median(seconds["ours"]),
                                 "MB": max(result.megabytes for result in results)})


def prepare_dataset(options: Options) -> Path:
    """Return a home with a competition and its prepared dataset; both are made once."""
    sizes, folder = options.sizes, options.home / "dataset"
    _data.prepare_competition(folder, sizes.training, sizes.test, side=sizes.side, different=min(40, sizes.training))
    run_stage("augment", folder, "--size", sizes.side)
    return folder


def prepare_submission(options: Options) -> Path:
    """Return the same home with a run that fills every box with the mean of its ring, and the submission of that run."""
    folder, size = prepare_dataset(options), ("--size", options.sizes.side)
    run_stage("predict", folder, *MODEL, *RUN, *size)
    run_stage("serialize", folder, *MODEL, *RUN, *size)
    return folder


def write_solutions(submission: Path, home: Path) -> tuple[Path, Path]:
    """Write a solution with the ids of the submission in their order, and one with shuffled rows."""
    paths = home / "solution.csv", home / "shuffled.csv"
    if all(path.exists() for path in paths):
        return paths
    rng = random.Random(_data.SEED)
    header, *lines = submission.read_text().splitlines()
    rows = []
    for number, line in enumerate(lines):
        id, _, _ = line.rpartition(",")
        rows.append(f"{id},{rng.random():.6f},{SOLUTION_USAGES[number % len(SOLUTION_USAGES)]}\n")
    for path in paths:
        with open(path, "w", newline="") as file:
            file.write(header + ",Usage\n")
            file.writelines(rows)
        rng.shuffle(rows)
    return paths
