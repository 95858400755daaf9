"""`pixmend settle`: a Kaggle that scores by a hidden channel order and value scale, which the scores of a few files tell."""

import json
import shutil

import pytest
from support.kaggle_home import CONTEST, SIZE, SLUG, Machine, make_tiny_competition, shorten_delays
from support.kaggle_server import KaggleServer

from pixmend import run_file
from pixmend.evaluation import ledger

TINY = make_tiny_competition(low=70, high=190)   # grey levels between which min-max makes a difference
FLAGS = ("--size", str(SIZE), "--model", "harmonic", "--run", "a")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A machine with a run that has predicted and written its submission."""
    machine = Machine(tmp_path_factory.mktemp("settle"), token=False)
    machine.put_archive(TINY.archive)
    for stage in ("configure", "download", "augment", "predict", "serialize"):
        code, output = machine.run(stage, *FLAGS)
        assert code == 0, output
    return machine


@pytest.fixture
def server():
    with KaggleServer(SLUG, TINY.archive) as server:
        yield server
        assert "CONNECT" not in server.calls


@pytest.fixture
def machine(prepared, tmp_path, server, monkeypatch):
    shorten_delays(monkeypatch)
    machine = Machine(tmp_path, server)
    for part in ("competition", "augment", "checkpoints", "submissions"):
        shutil.copytree(prepared.home / part, machine.home / part, symlinks=True)
    return machine


def read_answers(machine):
    path = machine.submissions / "settled.json"
    return json.loads(path.read_text())["answers"] if path.exists() else None


def read_settings(machine, *flags):
    """The order and scale that a new run gets, and all that the user reads."""
    code, output = machine.run("configure", "--size", str(SIZE), "--model", "mean", *flags)
    assert code == 0, output
    path = next(line for line in output.splitlines() if line.endswith("run.toml"))
    table = run_file.read_tables(machine.home / path)["submission"]
    return (table["channel_order"], table["value_scale"]), output


@pytest.mark.parametrize(("order", "scale"), [("rgb", "minmax"), ("bgr", "unit"), ("rgb", "unit"),
                                              pytest.param("bgr", "minmax", marks=pytest.mark.long)])
def test_hidden_order_and_scale_are_found_with_three_submissions(machine, server, order, scale):
    server.solution = TINY.make_solution(order, scale)
    code, output = machine.run("settle", "--run", "a", "--send")
    assert code == 0 and read_answers(machine) == {"channel_order": order, "value_scale": scale}, output
    assert len(server.submissions) == 3 and len({one["blob"] for one in server.submissions}) == 3
    assert {one.run for one in ledger.list_sent_files(ledger.read_events(machine.submissions / "submissions.csv"))} == {
        "a", "a.rgb-unit", f"a.{order}-minmax"}
    assert ("pixmend serialize --run a" in output) == ((order, scale) != ("bgr", "unit"))


def test_without_send_nothing_is_sent_and_the_price_is_named(machine, server):
    code, output = machine.run("settle", "--run", "a")
    assert code == 0 and "at most 3 submissions" in output and "a.rgb-unit.csv" in output and "--send" in output
    assert server.calls == [] and read_answers(machine) is None


@pytest.mark.long
def test_scores_that_are_known_cost_nothing(machine, server):
    server.solution = TINY.make_solution("rgb", "unit")
    machine.run("submit", "--run", "a")
    assert "at most 2 submissions" in machine.run("settle", "--run", "a")[1]
    assert machine.run("settle", "--run", "a", "--send")[0] == 0 and len(server.submissions) == 3
    answers, calls = read_answers(machine), len(server.calls)
    (machine.submissions / "settled.json").unlink()
    assert machine.run("settle", "--run", "a")[0] == 0 and read_answers(machine) == answers and len(server.calls) == calls


@pytest.mark.long
def test_interrupted_settling_goes_on_and_sends_no_file_twice(machine, server):
    server.solution = TINY.make_solution("rgb", "unit")
    server.daily_limit = 2
    code, output = machine.run("settle", "--run", "a", "--send")
    assert code == 1 and "midnight UTC" in output and read_answers(machine) is None and len(server.submissions) == 2
    server.daily_limit = 5
    assert machine.run("settle", "--run", "a", "--send")[0] == 0
    assert len(server.submissions) == 3 and read_answers(machine) == {"channel_order": "rgb", "value_scale": "unit"}


def test_lost_answer_is_no_second_submission(machine, server):
    server.solution = TINY.make_solution("bgr", "minmax")
    server.trouble("CreateSubmission", "lose")
    assert machine.run("settle", "--run", "a", "--send")[0] == 0
    assert len(server.submissions) == 3 and read_answers(machine)["value_scale"] == "minmax"


@pytest.mark.long
def test_score_that_is_late_settles_nothing_yet(machine, server):
    server.solution, server.pending_looks = TINY.make_solution("rgb", "unit"), 10**6
    code, output = machine.run("settle", "--run", "a", "--send", "--wait-minutes", "0")
    assert code == 1 and "pixmend settle --run a " in output and "--send" in output and len(server.submissions) == 1
    server.pending_looks = server.submissions[0]["looks"] = 0
    assert machine.run("settle", "--run", "a", "--send")[0] == 0 and len(server.submissions) == 3


@pytest.mark.long
def test_later_runs_use_what_is_settled_and_say_so_once(machine, server):
    server.solution = TINY.make_solution("rgb", "minmax")
    assert read_settings(machine, "--run", "before")[0] == ("bgr", "unit")
    machine.run("settle", "--run", "a", "--send")
    settings, output = read_settings(machine, "--run", "after")
    lines = [line for line in output.splitlines() if "settled.json" in line]
    assert settings == ("rgb", "minmax") and len(lines) == 1 and "--channel-order rgb --value-scale minmax" in lines[0]
    assert read_settings(machine, "--run", "flag", "--channel-order", "bgr")[0] == ("bgr", "minmax")
    both = read_settings(machine, "--run", "both", "--channel-order", "bgr", "--value-scale", "unit")
    assert both[0] == ("bgr", "unit") and "settled.json" not in both[1]
    assert read_settings(machine, "--run", "before")[0] == ("bgr", "unit")   # a run keeps what it was configured with
    assert "settled.json" not in machine.run("predict", *FLAGS)[1]


@pytest.fixture
def settle_first(machine):
    """A function that settles order and scale without a submission, from a solution that is gone afterwards."""
    def settle(order, scale):
        path = machine.competition / "solution.csv"
        path.write_text(TINY.make_solution(order, scale))
        assert machine.run("settle", "--run", "a")[0] == 0 and read_answers(machine) == {"channel_order": order,
                                                                                         "value_scale": scale}
        path.unlink()
    return settle


@pytest.mark.long
def test_older_run_is_written_again_as_scores_have_settled(machine, settle_first):
    written = machine.submissions / "a.csv"
    before = written.read_bytes()
    settle_first("rgb", "minmax")
    code, output = machine.run("serialize", "--run", "a")
    assert code == 0 and output.count("settled.json") == 1
    assert written.read_bytes() == (machine.submissions / "a.rgb-minmax.csv").read_bytes() != before
    assert machine.run("score", "--run", "a")[0] == 0
    code, output = machine.run("serialize", "--run", "a", "--channel-order", "bgr", "--value-scale", "unit")
    assert code == 0 and "settled.json" not in output and written.read_bytes() == before


@pytest.mark.long
def test_file_that_contradicts_the_scores_is_sent_only_if_its_flag_is_typed(machine, server, settle_first):
    """Also of a run that was configured with the flag, which its files follow."""
    written = machine.submissions / "a.csv"
    before, server.solution = written.read_bytes(), TINY.make_solution("rgb", "unit")
    settle_first("rgb", "unit")
    assert machine.run("configure", "--run", "a", "--channel-order", "bgr")[0] == 0
    assert machine.run("serialize", "--run", "a")[0] == 0 and written.read_bytes() == before
    code, output = machine.run("submit", "--run", "a")
    assert code == 1 and "settled.json" in output and server.calls == []
    assert machine.run("submit", "--run", "a", "--channel-order", "bgr")[0] == 0 and len(server.submissions) == 1
    assert machine.run("serialize", "--run", "a", "--channel-order", "rgb")[0] == 0
    assert machine.run("submit", "--run", "a")[0] == 0 and len(server.submissions) == 2


def test_file_of_another_order_than_a_typed_flag_is_not_sent(machine, server):
    written = machine.submissions / "a.csv"
    before = written.read_bytes()
    code, output = machine.run("submit", "--run", "a", "--channel-order", "rgb", "--wait-minutes", "0")
    assert code == 1 and "pixmend serialize --run a " in output and "--channel-order rgb" in output and server.calls == []
    assert written.read_bytes() == before
    assert machine.run("serialize", "--run", "a", "--channel-order", "rgb")[0] == 0
    assert machine.run("submit", "--run", "a", "--wait-minutes", "0")[0] == 0 and len(server.submissions) == 1


def test_settling_does_not_write_the_file_back_in_another_order(machine, settle_first):
    written = machine.submissions / "a.csv"
    before = written.read_bytes()
    settle_first("rgb", "unit")
    assert machine.run("serialize", "--run", "a")[0] == 0
    settled = written.read_bytes()
    code, output = machine.run("settle", "--run", "a")
    assert code == 0 and written.read_bytes() == settled != before and "a.bgr-unit.csv" in output
    assert machine.run("settle", "--run", "a", "--channel-order", "bgr")[0] == 0 and written.read_bytes() == before


def test_file_of_the_solution_settles_without_kaggle(machine, server):
    (machine.competition / "solution.csv").write_text(TINY.make_solution("rgb", "minmax"))
    assert machine.run("settle", "--run", "a")[0] == 0 and server.calls == []
    assert read_answers(machine) == {"channel_order": "rgb", "value_scale": "minmax"}


def make_grey_solution():
    """Return a solution in which all channels have the same value, so that no score can tell their order."""
    lines = TINY.make_solution("bgr", "unit").splitlines()
    return "\n".join([lines[0], *(f"{line.split(',')[0]},0.5,{line.rpartition(',')[2]}" for line in lines[1:])]) + "\n"


def test_what_is_settled_later_is_added_to_what_was_known(machine, settle_first):
    settle_first("rgb", "minmax")
    (machine.competition / "solution.csv").write_text(make_grey_solution())
    code, output = machine.run("settle", "--run", "a")
    assert code == 0 and "Channel order: not settled" in output
    assert read_answers(machine) == {"channel_order": "rgb", "value_scale": "unit"}


def test_what_makes_no_difference_is_not_settled(machine, server):
    server.solution = make_grey_solution()
    code, output = machine.run("settle", "--run", "a", "--send")
    assert code == 0 and "Channel order: not settled" in output and "channel_order" not in (read_answers(machine) or {})


@pytest.mark.parametrize("content", ["{", "[]", '{"answers": {"channel_order": "blue"}, "scores": {}, "run": "a"}',
                                     '{"answers": {"steps": "7"}, "scores": {}, "run": "a"}'])
def test_damaged_answer_is_one_message(machine, content):
    path = machine.submissions / "settled.json"
    path.write_text(content)
    for words in (("configure", "--run", "new"), ("settle", "--run", "a")):
        code, output = machine.run(*words)
        assert code in (1, 2) and str(path) in output and len(output.splitlines()) == 1


def test_competition_that_leaves_nothing_open_is_refused(machine):
    code, output = machine.run("settle", competition="demo")
    assert code == 2 and "demo" in output


def test_run_without_predictions_is_refused_and_nothing_is_written(machine):
    machine.run("configure", "--size", str(SIZE), "--run", "new")
    before = set(machine.home.rglob("*"))
    code, output = machine.run("settle", "--run", "new", "--send")
    assert code == 1 and "pixmend predict --run new" in output and set(machine.home.rglob("*")) == before


def test_settled_file_is_of_its_competition(machine, server):
    server.solution = TINY.make_solution("rgb", "minmax")
    machine.run("settle", "--run", "a", "--send")
    code, output = machine.run("configure", "--run", "other", competition="demo")
    assert code == 0 and "settled.json" not in output and CONTEST not in output
