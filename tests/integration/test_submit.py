"""Submissions through the real kaggle command: what is read, the exit code, the table, and how many Kaggle then has."""

import hashlib
import io
import signal
import zipfile

import pytest
from support.kaggle_home import CONTEST, SLUG, Machine, tiny_contest
from support.kaggle_server import DATE, KaggleServer, score

from pixmend.evaluation import leaderboard

TINY = tiny_contest()
DIGITS = hashlib.sha256(TINY.submission.encode()).hexdigest()[:12]


@pytest.fixture
def server():
    with KaggleServer(SLUG, TINY.archive, TINY.solution) as server:
        yield server
        assert "CONNECT" not in server.calls


@pytest.fixture
def machine(tmp_path, server):
    """A machine with the contest's files and one run ready to be sent."""
    machine = Machine(tmp_path, server)
    zipfile.ZipFile(io.BytesIO(TINY.archive)).extractall(machine.competition / "files")
    machine.put_submission("a", TINY.submission)
    return machine


def row(machine, run="a"):
    rows = leaderboard.read(machine.submissions / "leaderboard.csv")
    return next((row for row in rows if row["run"] == run), {})


def sent_before(server, description):
    """A submission that Kaggle has from another day."""
    server.submissions.append({"ref": 7, "date": DATE, "description": description, "fileName": "old.zip",
                               "blob": b"", "looks": 10**6})


def test_submits_and_brings_the_score_back(machine, server):
    code, read = machine.run("submit", "--run", "a", "--message", "first try")
    sent, = server.submissions
    scores = score(sent["blob"], TINY.solution)
    assert code == 0 and f"public {scores['Public']}, private {scores['Private']}" in read
    assert "Submissions left today: 5" in read and sent["description"].endswith("first try")
    with zipfile.ZipFile(io.BytesIO(sent["blob"])) as packed:
        assert packed.namelist() == ["a.csv"] and packed.read("a.csv").decode() == TINY.submission
    assert (row(machine)["public"], row(machine)["private"]) == (scores["Public"], scores["Private"])


def test_the_same_file_is_refused_unless_again(machine, server):
    machine.run("submit", "--run", "a")
    machine.put_submission("b", TINY.submission)
    for run, flag in (("a", "--quiet"), ("b", "--dry-run")):
        code, read = machine.run("submit", "--run", run, flag)
        assert code == 1 and "was submitted before" in read and "--resubmit" in read and len(server.submissions) == 1
    assert machine.run("submit", "--run", "a", "--resubmit")[0] == 0
    first, second = server.submissions
    assert first["blob"] == second["blob"]


def test_our_own_table_remembers_what_kaggle_no_longer_lists(machine, server):
    leaderboard.put(machine.submissions / "leaderboard.csv", "b", sent=f"2026-11-19 10:00 {DIGITS}")
    code, read = machine.run("submit", "--run", "a")
    assert code == 1 and "was submitted before" in read and server.submissions == []


def test_dry_run_does_all_but_the_upload(machine, server):
    code, read = machine.run("submit", "--run", "a", "--dry-run")
    assert code == 0 and "nothing was sent" in read and row(machine) == {}
    assert "GetSubmissionLimits" in server.calls and "StartSubmissionUpload" not in server.calls


def test_a_wrong_file_never_reaches_kaggle(machine, server):
    lines = TINY.submission.splitlines(keepends=True)
    machine.put_submission("a", "".join([lines[0], lines[2], lines[1], *lines[3:]]))
    code, read = machine.run("submit", "--run", "a")
    assert code == 1 and "a.csv" in read and server.calls == []


def test_a_run_that_wrote_no_file(machine, server):
    code, read = machine.run("submit", "--run", "missing")
    assert code == 1 and "missing.csv" in read and "serialize" in read and server.calls == []


REFUSALS = [
    ("ListSubmissions", 401, None, "does not take the token"),
    ("ListSubmissions", 403, None, "rules are not accepted yet"),
    ("StartSubmissionUpload", 400, "Submission not allowed: the competition has ended", "has ended"),
    ("PUT", 413, None, "did not arrive"),
    ("CreateSubmission", 429, None, "asks to wait"),
]
MORE_REFUSALS = [
    ("ListSubmissions", 500, None, "Kaggle's server is in trouble"),
    ("ListSubmissions", 404, None, "knows no such competition"),
    ("GetSubmissionLimits", 403, None, "rules are not accepted yet"),
    ("GetSubmissionLimits", 429, None, "asks to wait"),
    ("CreateSubmission", 400, "No file", "No file"),
    ("StartSubmissionUpload", 403, None, "rules are not accepted yet"),
    ("StartSubmissionUpload", 429, None, "asks to wait"),
    ("StartSubmissionUpload", 500, None, "Kaggle's server is in trouble"),
    ("PUT", 400, None, "did not arrive"),
    ("PUT", 403, None, "did not arrive"),
    ("PUT", 404, None, "did not arrive"),
    ("CreateSubmission", 500, None, "Kaggle's server is in trouble"),
    ("PUT", 503, None, "did not arrive"),
    ("CreateSubmission", 403, None, "rules are not accepted yet"),
    ("CreateSubmission", 404, None, "knows no such competition"),
]


@pytest.mark.parametrize(("call", "status", "message", "words"), REFUSALS)
def test_a_refusal_costs_no_submission(machine, server, call, status, message, words):
    server.trouble(call, "status", status, message=message)
    code, read = machine.run("submit", "--run", "a")
    assert code == 1 and words in read and server.submissions == [] and row(machine) == {}


@pytest.mark.slow
@pytest.mark.parametrize(("call", "status", "message", "words"), MORE_REFUSALS)
def test_more_refusals_cost_no_submission(machine, server, call, status, message, words):
    test_a_refusal_costs_no_submission(machine, server, call, status, message, words)


def test_a_refused_file_may_be_sent_again(machine, server):
    server.trouble("PUT", "status", 500)
    code, read = machine.run("submit", "--run", "a")
    assert code == 1 and "did not arrive" in read and server.submissions == []
    server.heal()
    assert machine.run("submit", "--run", "a", "--wait-minutes", "0")[0] == 0 and len(server.submissions) == 1


@pytest.mark.slow
@pytest.mark.parametrize("call", ["ListSubmissions", "GetSubmissionLimits", "StartSubmissionUpload", "PUT"])
def test_a_kaggle_that_never_answers_is_left(machine, server, call):
    server.trouble(call, "hang")
    code, read = machine.run("submit", "--run", "a", "--kaggle-timeout", "2")
    assert code == 1 and "no sign of life" in read and server.submissions == [] and not machine.left_running()


def test_an_upload_that_always_breaks(machine, server):
    server.trouble("PUT", "drop")
    code, read = machine.run("submit", "--run", "a", "--kaggle-timeout", "2")
    assert code == 1 and "none was used up" in read and server.submissions == [] and row(machine) == {}


@pytest.mark.slow
def test_an_upload_that_always_breaks_until_kaggle_gives_up(machine, server):
    server.trouble("PUT", "drop")
    code, read = machine.run("submit", "--run", "a", "--kaggle-timeout", "600")
    assert code == 1 and "none was used up" in read and server.submissions == []


@pytest.mark.parametrize("kind", ["lose", pytest.param("hang after", marks=pytest.mark.slow)])
def test_a_lost_answer_is_found_on_the_list(machine, server, kind):
    server.trouble("CreateSubmission", kind)
    code, read = machine.run("submit", "--run", "a", "--kaggle-timeout", "2")
    assert code == 0 and "did not confirm it" in read and len(server.submissions) == 1
    assert row(machine)["public"] == score(server.submissions[0]["blob"], TINY.solution)["Public"]


def test_a_lost_answer_to_a_second_sending_is_told_from_the_first(machine, server):
    sent_before(server, f"a {DIGITS}")
    server.trouble("CreateSubmission", "drop")
    code, read = machine.run("submit", "--run", "a", "--resubmit")
    assert code == 1 and "none was used up" in read and len(server.submissions) == 1


def test_a_lost_answer_and_a_lost_list(machine, server):
    server.trouble("CreateSubmission", "lose")
    server.trouble("ListSubmissions", "none", times=1)
    server.trouble("ListSubmissions", "status", 403)
    code, read = machine.run("submit", "--run", "a")
    assert code == 1 and "is not known" in read and "looks for it before" in read and len(server.submissions) == 1
    server.heal()
    code, read = machine.run("submit", "--run", "a")
    assert code == 0 and "nothing is sent" in read and len(server.submissions) == 1 and row(machine)["public"]


def test_no_submissions_left(machine, server):
    server.daily_limit = 1
    sent_before(server, "another file")
    code, read = machine.run("submit", "--run", "a")
    assert code == 1 and "No submissions are left today" in read and "midnight UTC" in read
    assert "StartSubmissionUpload" not in server.calls and len(server.submissions) == 1


def test_a_limit_that_only_the_last_call_knows(machine, server):
    server.daily_limit = 0
    code, read = machine.run("submit", "--run", "a")
    assert code == 1 and "takes no more submissions today" in read and server.submissions == []


def test_a_slow_score_is_waited_for(machine, server):
    server.pending_looks = 1
    code, read = machine.run("submit", "--run", "a")
    assert code == 0 and "Score of a: public" in read and row(machine)["kaggle"] == "complete"


def test_without_waiting_the_same_command_looks_later(machine, server):
    code, read = machine.run("submit", "--run", "a", "--wait-minutes", "0")
    flags = read.split("Look again with `python -m pixmend submit ")[1].split("`")[0].split()
    assert flags == ["--competition", CONTEST, "--run", "a", "--home", str(machine.home)]
    assert code == 0 and row(machine)["kaggle"] == "pending"
    code, read = machine.run("submit", *flags)
    assert code == 0 and "nothing is sent" in read and row(machine)["kaggle"] == "complete"
    assert len(server.submissions) == 1


def test_waiting_ends_at_its_deadline(machine, server):
    server.pending_looks = 10**6
    code, read = machine.run("submit", "--run", "a", "--wait-minutes", "0.03")
    assert code == 0 and "no score yet" in read and "Look again with" in read and len(server.submissions) == 1


def test_ctrl_c_while_waiting_says_how_to_look_again(machine, server):
    server.pending_looks = 10**6
    process = machine.start("submit", "--run", "a")
    server.wait_for("ListSubmissions", times=3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Look again with" in out + err and not machine.left_running()
    server.submissions[0]["looks"] = 0
    code, read = machine.run("submit", "--run", "a")
    assert code == 0 and "Score of a" in read and len(server.submissions) == 1


def test_ctrl_c_while_sending_is_cleared_up_by_the_next_run(machine, server):
    server.trouble("CreateSubmission", "hang after")
    process = machine.start("submit", "--run", "a")
    server.wait_for("CreateSubmission")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "not known whether" in out + err and not machine.left_running()
    server.heal()
    assert machine.run("submit", "--run", "a")[0] == 0 and len(server.submissions) == 1


def test_a_file_that_kaggle_cannot_score(machine, server):
    server.error = "Row 7 has no value."
    code, read = machine.run("submit", "--run", "a")
    assert code == 1 and "could not score a.csv: Row 7 has no value;" in read and len(server.submissions) == 1
    assert row(machine)["kaggle"] == "error: Row 7 has no value."


@pytest.mark.slow
def test_warnings_between_the_answers_do_no_harm(machine, server):
    machine.use_key()
    code, read = machine.run("submit", "--run", "a")
    assert code == 0 and "Score of a" in read and len(server.submissions) == 1


def test_two_at_once_send_once(machine, server):
    server.trouble("PUT", "hang")
    first = machine.start("submit", "--run", "a")
    server.wait_for("PUT")
    code, read = machine.run("submit", "--run", "a")
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=60)
    assert code == 1 and "in use by another run" in read and server.submissions == []


def test_a_contest_with_its_solution_here_is_scored_here(machine, server):
    (machine.competition / "solution.csv").write_text(TINY.solution)
    code, read = machine.run("submit", "--run", "a")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.csv", TINY.submission)
    scores = score(packed.getvalue(), TINY.solution)
    assert code == 0 and "local leaderboard" in read and server.calls == []
    assert (row(machine)["public"], row(machine)["private"]) == (scores["Public"], scores["Private"])


def test_a_killed_run_leaves_no_upload_behind(machine, server):
    server.trouble("PUT", "hang")
    process = machine.start("submit", "--run", "a")
    server.wait_for("PUT")
    process.kill()
    process.communicate(timeout=60)
    assert not machine.left_running()
    server.heal()
    assert machine.run("submit", "--run", "a", "--wait-minutes", "0")[0] == 0 and len(server.submissions) == 1
