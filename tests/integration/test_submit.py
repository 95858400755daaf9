"""Submissions through the real kaggle command: exit codes, the leaderboard, and how many submissions Kaggle has afterwards."""

import hashlib
import io
import signal
import time
import zipfile

import pytest
from support.kaggle_home import SIZE, SLUG, make_tiny_competition
from support.kaggle_server import DATE, TOKEN, score

from pixmend.evaluation import leaderboard
from pixmend.kaggle import attempts, client

TINY = make_tiny_competition()
TAG = hashlib.sha256(TINY.submission.encode()).hexdigest()[:12]


@pytest.fixture
def machine(machine):
    """A machine with the competition's files and one run's submission file."""
    machine.put_entry(TINY)
    return machine


@pytest.fixture
def settled_soon(monkeypatch):
    """An attempt to send is settled one second after its end."""
    monkeypatch.setattr(attempts, "SETTLING_SECONDS", 1)


def read_row(machine, run="a"):
    rows = leaderboard.read_leaderboard(machine.submissions / "leaderboard.csv")
    return next((row for row in rows if row["run"] == run), {})


def read_attempts(machine):
    return list((machine.submissions / ".submit").glob("*.json"))


def add_earlier_submission(server, description):
    """A submission that Kaggle has from another day."""
    server.submissions.append({"ref": 7, "date": DATE, "description": description, "fileName": "old.zip",
                               "blob": b"", "looks": 10**6})


def test_submits_and_fetches_the_score(machine, server):
    code, output = machine.run("submit", "--run", "a", "--message", "first try")
    sent, = server.submissions
    scores = score(sent["blob"], TINY.solution)
    assert code == 0 and scores["Public"] in output and scores["Private"] in output
    assert "left today: 5" in output and sent["description"].endswith("first try")
    with zipfile.ZipFile(io.BytesIO(sent["blob"])) as packed:
        assert packed.namelist() == ["a.csv"] and packed.read("a.csv").decode() == TINY.submission
    row = read_row(machine)
    assert (row["public"], row["private"], row["kaggle"]) == (scores["Public"], scores["Private"], "complete")
    assert row["sent"].endswith(TAG) and read_attempts(machine) == []


def test_same_file_is_refused_unless_asked_for(machine, server):
    machine.run("submit", "--run", "a")
    machine.put_submission("b", TINY.submission)
    for run, flag in (("a", "--quiet"), ("b", "--dry-run")):
        code, output = machine.run("submit", "--run", run, flag)
        assert code == 1 and "--resubmit" in output and len(server.submissions) == 1
    assert machine.run("submit", "--run", "a", "--resubmit")[0] == 0
    first, second = server.submissions
    assert first["blob"] == second["blob"]


def test_leaderboard_remembers_what_kaggle_no_longer_lists(machine, server):
    leaderboard.update_run(machine.submissions / "leaderboard.csv", "b", sent=f"2026-11-19 10:00 {TAG}")
    assert machine.run("submit", "--run", "a")[0] == 1 and server.submissions == []


def test_dry_run_sends_nothing(machine, server):
    assert machine.run("submit", "--run", "a", "--dry-run")[0] == 0
    assert "GetSubmissionLimits" in server.calls and "StartSubmissionUpload" not in server.calls
    assert read_row(machine) == {} and read_attempts(machine) == []


@pytest.mark.parametrize(("flags", "sent"), [(["--submit", "--no-submit"], 0), ([], 0), (["--no-submit", "--submit"], 1)])
def test_pipeline_submits_only_if_the_last_flag_says_so(machine, server, flags, sent):
    """As run_pipeline.sh does it: the run is configured once, and the stage asks what it says."""
    code, output = machine.run("configure", "--run", "a", "--size", str(SIZE), *flags)
    assert code == 0, output
    assert machine.run("submit", "--config", output.strip(), "--if-asked", "--wait-minutes", "0", competition=None)[0] == 0
    assert len(server.submissions) == sent and (sent or server.calls == [])


def test_invalid_file_never_reaches_kaggle(machine, server):
    lines = TINY.submission.splitlines(keepends=True)
    machine.put_submission("a", "".join([lines[0], lines[2], lines[1], *lines[3:]]))
    code, output = machine.run("submit", "--run", "a")
    assert code == 1 and "a.csv" in output and server.calls == []


def test_run_without_file_is_refused(machine, server):
    (machine.submissions / "a.csv").unlink()
    code, output = machine.run("submit", "--run", "a")
    assert code == 1 and "a.csv" in output and "pixmend serialize --run a" in output and server.calls == []


def test_exposed_token_is_reported(machine):
    (machine.private / ".kaggle" / "access_token").chmod(0o644)
    code, output = machine.run("submit", "--run", "a", "--wait-minutes", "0")
    assert code == 0 and "chmod 600" in output


# ---- What Kaggle refuses. --------------------------------------------------------------------------------------------------

REFUSALS = [
    ("ListSubmissions", 401, None, "token"),
    ("PUT", 413, None, "upload"),
    ("CreateSubmission", 429, None, "429"),
]
MORE_REFUSALS = [
    ("ListSubmissions", 403, None, f"{SLUG}/rules"),
    ("StartSubmissionUpload", 400, "Submission not allowed: the competition has ended", "has ended"),
    ("ListSubmissions", 500, None, "server"),
    ("ListSubmissions", 404, None, "404"),
    ("GetSubmissionLimits", 403, None, "rules"),
    ("GetSubmissionLimits", 429, None, "429"),
    ("CreateSubmission", 400, "No file", "No file"),
    ("StartSubmissionUpload", 403, None, "rules"),
    ("StartSubmissionUpload", 429, None, "429"),
    ("StartSubmissionUpload", 500, None, "server"),
    ("PUT", 400, None, "upload"),
    ("PUT", 403, None, "upload"),
    ("PUT", 404, None, "upload"),
    ("CreateSubmission", 500, None, "server"),
    ("PUT", 503, None, "upload"),
    ("CreateSubmission", 403, None, "rules"),
    ("CreateSubmission", 404, None, "404"),
]


@pytest.mark.parametrize(("call", "status", "message", "words"), [
    *REFUSALS, *(pytest.param(*refusal, marks=pytest.mark.slow) for refusal in MORE_REFUSALS)])
def test_refusal_costs_no_submission(machine, server, call, status, message, words):
    server.trouble(call, "status", status, message=message)
    code, output = machine.run("submit", "--run", "a")
    assert code == 1 and words in output and server.submissions == [] and read_row(machine) == {}


def test_one_busy_answer_in_json_is_retried(machine, server):
    for call in ("ListSubmissions", "GetSubmissionLimits"):
        server.trouble(call, "status", 429, message="Too Many Requests", times=1)
    assert machine.run("submit", "--run", "a")[0] == 0 and len(server.submissions) == 1 and read_row(machine)["public"]


def test_refused_file_can_be_sent_again(machine, server):
    server.trouble("PUT", "status", 500)
    assert machine.run("submit", "--run", "a")[0] == 1 and server.submissions == [] and read_attempts(machine) == []
    server.heal()
    assert machine.run("submit", "--run", "a", "--wait-minutes", "0")[0] == 0 and len(server.submissions) == 1


@pytest.mark.slow
@pytest.mark.parametrize("call", ["ListSubmissions", "GetSubmissionLimits", "StartSubmissionUpload", "PUT"])
def test_silent_kaggle_is_given_up(machine, server, call):
    server.trouble(call, "hang")
    code, output = machine.run("submit", "--run", "a", "--kaggle-timeout", "3")
    assert code == 1 and "3 seconds" in output and server.submissions == [] and not machine.left_running()


@pytest.mark.slow
def test_upload_that_always_breaks_until_kaggle_gives_up(machine, server):
    server.trouble("PUT", "drop")
    assert machine.run("submit", "--run", "a", "--kaggle-timeout", "600")[0] == 1 and server.submissions == []


def test_no_submissions_left(machine, server):
    server.daily_limit = 1
    add_earlier_submission(server, "another file")
    code, output = machine.run("submit", "--run", "a")
    assert code == 1 and "midnight UTC" in output
    assert "StartSubmissionUpload" not in server.calls and len(server.submissions) == 1


@pytest.mark.slow
def test_limit_that_only_the_last_call_knows(machine, server):
    server.daily_limit = 0
    code, output = machine.run("submit", "--run", "a")
    assert code == 1 and "midnight UTC" in output and server.submissions == []


# ---- One file is never sent twice. -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("kind", ["lose", pytest.param("hang after", marks=pytest.mark.slow)])
def test_lost_answer_is_found_in_the_list(machine, server, kind):
    server.trouble("CreateSubmission", kind)
    assert machine.run("submit", "--run", "a", "--kaggle-timeout", "3")[0] == 0 and len(server.submissions) == 1
    assert read_row(machine)["public"] == score(server.submissions[0]["blob"], TINY.solution)["Public"]
    assert read_attempts(machine) == []


@pytest.mark.long
def test_late_submission_is_awaited_by_the_next_run(machine, server):
    """Kaggle finishes the submission only when the client has looked for it in vain."""
    server.trouble("CreateSubmission", "late", times=1, polls=5)
    code, output = machine.run("submit", "--run", "a")
    assert code == 1 and "not known" in output and server.submissions == [] and read_attempts(machine)
    server.heal()
    assert machine.run("submit", "--run", "a")[0] == 0
    assert len(server.submissions) == 1 and server.calls.count("CreateSubmission") == 1
    assert read_row(machine)["sent"].endswith(TAG) and read_row(machine)["public"] and read_attempts(machine) == []


@pytest.mark.long
def test_attempt_that_never_arrives_is_sent_again_once_settled(machine, server, settled_soon):
    server.trouble("CreateSubmission", "drop")
    assert machine.run("submit", "--run", "a")[0] == 1 and server.submissions == []
    server.heal()
    assert machine.run("submit", "--run", "a", "--wait-minutes", "0")[0] == 0 and len(server.submissions) == 1
    assert read_attempts(machine) == []


@pytest.mark.long
def test_unsettled_attempt_is_not_sent_again_where_the_list_is_out_of_reach(machine, server, settled_soon):
    server.trouble("CreateSubmission", "late", times=1, polls=2)
    assert machine.run("submit", "--run", "a")[0] == 1
    server.trouble("ListSubmissions", "status", 503)
    assert machine.run("submit", "--run", "a")[0] == 1 and read_attempts(machine)
    server.heal()
    assert machine.run("submit", "--run", "a", "--wait-minutes", "0")[0] == 0 and len(server.submissions) == 1


@pytest.mark.slow
def test_damaged_attempt_counts_as_unsettled(machine, server):
    path = machine.submissions / ".submit" / f"{TAG}.json"
    path.parent.mkdir(parents=True)
    path.write_text("[]")
    server.delayed.append([3, "CreateSubmission", {"blobFileTokens": "early", "submissionDescription": f"a {TAG}"}])
    server.uploads["early"] = zipped(TINY.submission)
    assert machine.run("submit", "--run", "a")[0] == 0 and len(server.submissions) == 1 and read_attempts(machine) == []


def zipped(text):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.csv", text)
    return out.getvalue()


def test_killed_run_is_looked_for_before_the_next_one_sends(machine, server):
    """SIGKILL while Kaggle works on the submission, which then takes its time to appear."""
    server.trouble("CreateSubmission", "late", times=1, polls=4)
    server.trouble("ListSubmissions", "none", times=1)
    server.trouble("ListSubmissions", "hang")
    process = machine.start("submit", "--run", "a")
    server.wait_for("ListSubmissions", times=2)
    process.kill()
    process.communicate(timeout=60)
    server.heal()
    assert machine.run("submit", "--run", "a")[0] == 0 and len(server.submissions) == 1
    assert server.calls.count("CreateSubmission") == 1 and not machine.left_running()


@pytest.mark.slow
def test_killed_upload_leaves_no_process(machine, server, monkeypatch):
    server.trouble("PUT", "hang")
    process = machine.start("submit", "--run", "a")
    server.wait_for("PUT")
    process.kill()
    process.communicate(timeout=60)
    assert not machine.left_running() and len(read_attempts(machine)) == 1
    server.heal()
    monkeypatch.setattr(time, "time", lambda now=time.time: now() + 1000)
    assert machine.run("submit", "--run", "a", "--wait-minutes", "0")[0] == 0 and len(server.submissions) == 1


def test_interrupted_sending_is_cleared_up_by_the_next_run(machine, server):
    server.trouble("CreateSubmission", "hang after")
    process = machine.start("submit", "--run", "a")
    server.wait_for("CreateSubmission")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "not known" in out + err and not machine.left_running()
    server.heal()
    assert machine.run("submit", "--run", "a")[0] == 0 and len(server.submissions) == 1
    assert read_row(machine)["sent"].endswith(TAG)


def test_lost_answer_to_a_second_sending_is_told_from_the_first(machine, server, settled_soon):
    add_earlier_submission(server, f"a {TAG}")
    server.trouble("CreateSubmission", "drop")
    assert machine.run("submit", "--run", "a", "--resubmit")[0] == 1 and len(server.submissions) == 1
    server.heal()
    assert machine.run("submit", "--run", "a", "--resubmit", "--wait-minutes", "0")[0] == 0 and len(server.submissions) == 2


@pytest.mark.slow
def test_lost_answer_and_lost_list(machine, server):
    server.trouble("CreateSubmission", "lose")
    server.trouble("ListSubmissions", "none", times=1)
    server.trouble("ListSubmissions", "status", 403)
    code, output = machine.run("submit", "--run", "a")
    assert code == 1 and "not known" in output and len(server.submissions) == 1
    server.heal()
    assert machine.run("submit", "--run", "a")[0] == 0 and len(server.submissions) == 1 and read_row(machine)["public"]


def test_submission_found_by_its_tag_is_recorded_as_sent(machine, server):
    """The score of another file never stands beside this one, and the guard needs Kaggle's list no more."""
    leaderboard.update_run(machine.submissions / "leaderboard.csv", "a", sent="2026-11-19 10:00 0123456789ab", public="0.1",
                           kaggle="complete")
    add_earlier_submission(server, f"a {TAG}")
    assert machine.run("submit", "--run", "a", "--wait-minutes", "0")[0] == 0
    row = read_row(machine)
    assert row["sent"].endswith(TAG) and (row["public"], row["kaggle"]) == ("", "pending")
    server.submissions.clear()
    assert machine.run("submit", "--run", "a", "--wait-minutes", "0")[0] == 0 and server.submissions == []


def test_two_at_once_send_once(machine, server):
    server.trouble("PUT", "hang")
    first = machine.start("submit", "--run", "a")
    server.wait_for("PUT")
    code, output = machine.run("submit", "--run", "a")
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=60)
    assert code == 1 and ".submit" in output and server.submissions == []


# ---- The score. ------------------------------------------------------------------------------------------------------------

@pytest.mark.slow
def test_slow_score_is_waited_for(machine, server):
    server.pending_looks = 1
    assert machine.run("submit", "--run", "a")[0] == 0 and read_row(machine)["kaggle"] == "complete"


def test_same_command_fetches_the_score_later(machine, server):
    code, output = machine.run("submit", "--run", "a", "--wait-minutes", "0")
    flags = output.split("`pixmend submit ")[1].split("`")[0].split()
    assert flags == ["--run", "a", "--home", str(machine.home)]
    assert code == 0 and read_row(machine)["kaggle"] == "pending"
    assert machine.run("submit", *flags, competition=None)[0] == 0 and read_row(machine)["kaggle"] == "complete"
    assert len(server.submissions) == 1


def test_waiting_ends_at_its_deadline(machine, server):
    server.pending_looks = 10**6
    code, output = machine.run("submit", "--run", "a", "--wait-minutes", "0.03")
    assert code == 0 and "no score yet" in output and len(server.submissions) == 1


@pytest.mark.slow
def test_interrupted_waiting_can_be_continued(machine, server):
    server.pending_looks = 10**6
    process = machine.start("submit", "--run", "a")
    server.wait_for("ListSubmissions", times=3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "pixmend submit" in out + err and not machine.left_running()
    server.submissions[0]["looks"] = 0
    assert machine.run("submit", "--run", "a")[0] == 0 and len(server.submissions) == 1


def test_file_that_kaggle_cannot_score(machine, server):
    server.error = f"Row 7 \x1b[31mhas no value {TOKEN}."
    code, output = machine.run("submit", "--run", "a")
    assert code == 1 and "Row 7 has no value ***;" in output.replace("***.", "***;") and len(server.submissions) == 1
    assert read_row(machine)["kaggle"] == "error: Row 7 has no value ***." and "\x1b" not in output


def test_signed_urls_lose_their_query(machine):
    cleaned = client.clean_text("PUT https://storage.googleapis.com/bucket/a.zip?X-Goog-Signature=abc&upload_id=7 failed"
                                "\x1b]0;title\x07")
    assert cleaned == "PUT https://storage.googleapis.com/bucket/a.zip?*** failed"
    cleaned = client.clean_text("Max retries exceeded with url: /bucket/a.zip?X-Goog-Signature=abc&id=7 (Caused by SSLError)")
    assert cleaned == "Max retries exceeded with url: /bucket/a.zip?*** (Caused by SSLError)"


@pytest.mark.slow
def test_warnings_in_kaggles_output_do_no_harm(machine, server):
    machine.use_key()
    assert machine.run("submit", "--run", "a")[0] == 0 and len(server.submissions) == 1 and read_row(machine)["public"]


def test_competition_with_a_known_solution_is_scored_on_this_machine(machine, server):
    (machine.competition / "solution.csv").write_text(TINY.solution)
    scores = score(zipped(TINY.submission), TINY.solution)
    assert machine.run("submit", "--run", "a")[0] == 0 and server.calls == []
    assert (read_row(machine)["public"], read_row(machine)["private"]) == (scores["Public"], scores["Private"])
