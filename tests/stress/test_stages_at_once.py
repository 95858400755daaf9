"""Two or three stages at once in one home: each works, or is refused with a message; the home stays whole."""

import itertools
import shutil

import pytest
from support.stages import SMALL, done, stage, start_stage

STAGES = ("download", "augment", "train", "predict", "serialize", "score", "report")
SHARING = ("serialize", "score", "report")
PAIRS = [pair for pair in itertools.combinations_with_replacement(STAGES, 2) for _ in range(4)]
TRIPLES = list(itertools.combinations_with_replacement(SHARING, 3))
ROUNDS = [*PAIRS, *TRIPLES]   # 122
RUNS = ("a", "b", "c")
LIMIT = 300


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A home with three runs that went through all stages."""
    home = tmp_path_factory.mktemp("base")
    for name in STAGES[:2]:
        done(stage(name, home, *SMALL))
    for run, name in itertools.product(RUNS, STAGES[2:]):
        done(stage(name, home, *SMALL, "--run", run, "--steps", "4"))
    return home


def test_stages_at_once(base, tmp_path, counts):
    counts.update(rounds=0, processes=0, refused=0, tracebacks=0)
    for number, names in enumerate(ROUNDS):
        home = tmp_path / str(number)
        shutil.copytree(base, home)
        runs = RUNS if number % 2 else RUNS[:1] * 3
        processes = [start_stage(name, home, *SMALL, "--steps", "4", "--force", "--run", run)
                     for name, run in zip(names, runs, strict=False)]
        ended = [(process.communicate(timeout=LIMIT)[1], process.returncode) for process in processes]
        counts["rounds"] += 1
        counts["processes"] += len(ended)
        counts["refused"] += sum(code != 0 for _, code in ended)
        counts["tracebacks"] += sum("Traceback" in errors for errors, _ in ended)
        assert all(code == 0 or (code == 1 and is_one_message(errors)) for errors, code in ended), (names, runs, ended)
        for run in RUNS:
            for name in STAGES[2:]:
                done(stage(name, home, *SMALL, "--steps", "4", "--run", run))
        assert not list(home.rglob("*.part")), names
        shutil.rmtree(home)


def is_one_message(errors):
    """Return whether the last line is a message; lines above it are warnings of TensorFlow."""
    return "Traceback" not in errors and errors.rstrip().endswith((".", "--run NAME"))
