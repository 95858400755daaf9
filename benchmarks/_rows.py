"""How each row of SPEED.md is measured: seconds a unit of work of ours and its rivals in turns, and other facts."""

import random
import statistics
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks import _data
from benchmarks._process import Worker, run, stage
from benchmarks._together import seconds_a_step

RUN, MODEL = ("--run", "filled"), ("--model", "ring")
CURVES = {False: (96, 64, 16, 200, 25), True: (20, 32, 4, 4, 2)}   # pictures, side, width, steps, steps between looks; toys
TOGETHER = 8   # pictures a step of all processes
USAGES = ("Public", "Public", "Private", "Private", "Private")
SAME = 1e-5   # RMSE by which two graders may differ


def in_turns(works, rounds):
    """What each work gives in each round: A B A B ..."""
    taken = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            taken[name].append(work())
    return taken


def of(worker, work):
    return lambda: worker.seconds(work)


def result(seconds, **facts):
    return {"seconds": seconds, "facts": facts}


def step(asked, home, batch):
    """The first step of each, which compiles, is not counted."""
    sizes = asked.sizes
    file = _data.batch(home / f"batch-{batch}.npz", batch, sizes.side)
    with ExitStack() as stack:
        workers = {name: stack.enter_context(Worker(f"step_{name}", file, sizes.width, 0, 1)) for name in ("ours", "tutorial")}
        if asked.torch_python:
            workers["pytorch"] = stack.enter_context(Worker("step_pytorch", file, sizes.width, python=asked.torch_python))
        works = {name: of(worker, "step") for name, worker in workers.items()}
        in_turns(works, 2)
        return result(in_turns(works, sizes.rounds if batch > 1 else 2 * sizes.rounds))


def curve(asked, home):
    """RMSE in the place of seconds: each round is a short training from first weights of its own."""
    pictures, side, width, steps, every = CURVES[asked.quick]
    file = _data.batch(home / "curve.npz", pictures, side)
    with Worker("step_ours", file, width, steps, every) as ours, Worker("step_tutorial", file, width, steps, every) as tutorial:
        return result(in_turns({"ours": lambda: ours.ask("curve")[1], "tutorial": lambda: tutorial.ask("curve")[1]},
                               asked.sizes.rounds))


def loop(asked, home):
    sizes = asked.sizes
    with Worker("loop", prepared(asked, home), sizes.side, sizes.width // 4, 500 if not asked.quick else 4) as worker:
        works = {"ours": of(worker, "block"), "bare": of(worker, "bare")}
        in_turns(works, 1)
        return result(in_turns(works, sizes.rounds - 1))


def scaling(asked, home):
    """Two processes with a core each; one alone on a core with the batch of both, and with the half that each of them takes."""
    sizes, folder = asked.sizes, prepared(asked, home)
    of = partial(seconds_a_step, folder, sizes.side, sizes.width // 4)
    works = {"ours": partial(of, TOGETHER, 2), "one": partial(of, TOGETHER, 1), "half": partial(of, TOGETHER // 2, 1)}
    seconds = in_turns(works, sizes.rounds - 2 or 1)
    one, half = (statistics.median(alone / two for alone, two in zip(seconds[name], seconds["ours"], strict=True))
                 for name in ("one", "half"))
    return result(seconds, **{"efficiency, one batch shared out": one / 2, "efficiency, a batch for each": half})


def feed(asked, home):
    with Worker("loop", prepared(asked, home), asked.sizes.side, 1, 1) as worker:
        works = {"ours": of(worker, "feed"), "copy": of(worker, "copy")}
        in_turns(works, 1)
        seconds = in_turns(works, 2 * asked.sizes.rounds)
        return result(seconds, **{"pictures/s": 1 / statistics.median(seconds["ours"])})


def augment(asked, home):
    sizes, folder = asked.sizes, home / "jpegs"
    if not folder.exists():
        _data.contest(folder, sizes.jpegs // 2, 4, side=sizes.side, different=min(560, sizes.jpegs // 2))
    with Worker("decode", folder, sizes.side) as worker:
        worker.seconds("bare")

        def ours():
            worker.ask("forget")
            return worker.seconds("ours")

        seconds = in_turns({"opencv": of(worker, "bare"), "ours": ours}, 3)
        return result(seconds, MB=worker.megabytes)


def fill(asked, home):
    with Worker("fill", asked.sizes.side, 16) as worker:
        works = {"ours": of(worker, "ours"), "scipy": of(worker, "scipy")}
        in_turns(works, 1)
        seconds = in_turns(works, asked.sizes.rounds)
        return result(seconds, RMSE=worker.ask("difference")[1], **{"s a picture": statistics.median(seconds["ours"])})


def predict(asked, home):
    sizes = asked.sizes
    with Worker("predict", prepared(asked, home), sizes.side, sizes.width, sizes.test // 8) as worker:
        works = {"ours": of(worker, "ours"), "bare": of(worker, "bare")}
        return result(in_turns(works, 4 if not asked.quick else 1))


def serialize(asked, home):
    """Seconds a picture's rows; the loop and pandas write a tenth of the pictures, everything else all of them."""
    home, sizes = filled(asked, home), asked.sizes
    files = home / "competition" / "photo_reconstruction" / "files"
    predicted = home / "checkpoints" / "photo_reconstruction" / RUN[1] / "test.npz"
    with Worker("table", files, predicted, sizes.side, max(1, sizes.test // 10), home) as worker:
        seconds = in_turns({name: of(worker, name) for name in ("ours", "loop", "pandas", "raw")}, sizes.rounds)
        if not worker.ask("same")[1]:
            sys.exit("The entrants' loop or pandas wrote another file than ours: what is compared here is not the same work.")
    whole = [stage("serialize", home, *MODEL, *RUN, "--size", sizes.side, "--force") for _ in range(3)]
    return result(seconds, s=statistics.median(one.seconds for one in whole), MB=max(one.megabytes for one in whole))


def score(asked, home):
    home = filled(asked, home)
    submission = home / "submissions" / "photo_reconstruction" / f"{RUN[1]}.csv"
    solution, shuffled = graded(submission, home)
    told = {}

    def ours(solution=solution):
        ended = stage("score", home, "--submission", submission, "--solution", solution)
        told["ours"] = [float(line.split("RMSE ")[1].split(",")[0]) for line in ended.out.splitlines()]
        return ended.seconds

    def pandas():
        ended = run(sys.executable, "-m", "benchmarks.works.merge", submission, solution)
        told["pandas"] = list(map(float, ended.out.split()))
        return ended.seconds

    seconds = in_turns({"ours": ours, "pandas": pandas}, 3)
    if max(abs(a - b) for a, b in zip(told["ours"], told["pandas"], strict=True)) > SAME:
        sys.exit(f"This project's RMSE and pandas' differ: {told}.")
    return result(seconds, **{"s where rows are shuffled": statistics.median(ours(shuffled) for _ in range(3))})


def start(asked, home):
    """A stage that has nothing to do: a fill is trained."""
    ended = []

    def ours():
        ended.append(stage("train", home / "empty", "--model", "harmonic"))
        return ended[-1].seconds

    seconds = in_turns({"ours": ours, "python": lambda: run(sys.executable, "-c", "pass").seconds}, 2 * asked.sizes.rounds)
    return result(seconds, s=statistics.median(seconds["ours"]), MB=max(one.megabytes for one in ended))


def prepared(asked, home):
    """A home with a competition and its prepared set, made once."""
    sizes, folder = asked.sizes, home / "contest"
    if not folder.exists():
        _data.contest(folder, sizes.training, sizes.test, side=sizes.side, different=min(40, sizes.training))
    stage("augment", folder, "--size", sizes.side)
    return folder


def filled(asked, home):
    """The same with a run: every box filled by the mean of its ring, and written as a submission."""
    folder, size = prepared(asked, home), ("--size", asked.sizes.side)
    stage("predict", folder, *MODEL, *RUN, *size)
    stage("serialize", folder, *MODEL, *RUN, *size)
    return folder


def graded(submission, home):
    """A solution with the submission's ids in their order, and one with its rows shuffled."""
    paths = home / "solution.csv", home / "shuffled.csv"
    if not all(path.exists() for path in paths):
        rng = random.Random(_data.SEED)
        head, *rows = Path(submission).read_text().splitlines()
        rows = [f"{row.rpartition(',')[0]},{rng.random():.6f},{USAGES[n % len(USAGES)]}\n" for n, row in enumerate(rows)]
        for path in paths:
            with open(path, "w", newline="") as file:
                file.write(head + ",Usage\n")
                file.writelines(rows)
            rng.shuffle(rows)
    return paths
