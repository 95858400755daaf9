"""Submissions through the real kaggle command: exit codes, the leaderboard, and how many submissions Kaggle has afterwards."""

import hashlib
import io
import signal
import subprocess
import time
import zipfile

import pytest
from support.kaggle_home import SIZE, SLUG, make_tiny_competition
from support.kaggle_server import DATE, TOKEN, score

from pixmend.evaluation import leaderboard, ledger
from pixmend.kaggle import attempts, client

TINY = make_tiny_competition()
TAG = hashlib.sha256(TINY.submission.encode()).hexdigest()[:12]
OTHER = TINY.submission.replace("0.500000", "0.400000")


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


def read_ledger(machine):
    return ledger.list_sent_files(ledger.read_events(machine.submissions / "submissions.csv"))


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


@pytest.mark.parametrize("run", ["basic", "unet_bearer"])
def test_a_runs_name_is_not_taken_for_a_secret(machine, server, run):
    machine.put_submission(run, TINY.submission)
    assert machine.run("submit", "--run", run)[0] == 0
    (machine.submissions / "leaderboard.csv").unlink()
    (machine.submissions / "submissions.csv").unlink()
    calls = len(server.calls)
    assert machine.run("submit", "--run", run)[0] == 0 and len(server.submissions) == 1
    assert not [call for call in server.calls[calls:] if "Download" in call]   # its tag in the list says which file it is


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
    ("StartSubmissionUpload", 400, "Submission not allowed:  Submissions have been disabled for this competition.", "disabled"),
    ("CreateSubmission", 400, "Submission not allowed:  Your team has used its daily Submission allowance (5) today, please try "
     "again tomorrow UTC (7.4 hours from now).", "midnight UTC"),
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


@pytest.mark.parametrize(("call", "status", "message", "words"), REFUSALS[-2:])
def test_clear_refusal_leaves_nothing_to_wait_for(machine, server, call, status, message, words):
    server.trouble(call, "status", status, message=message)
    assert "not known" not in machine.run("submit", "--run", "a")[1] and read_attempts(machine) == []


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


def test_team_that_has_used_all_submissions_is_not_told_to_wait_for_midnight(machine, server):
    """Kaggle's second limit counts all days: there are no new submissions tomorrow."""
    add_earlier_submission(server, "another file")
    server.GetSubmissionLimits = lambda asked: {"numToday": 1, "numTotal": 100, "numAllowedNow": 0, "limitedByTotal": True}
    code, output = machine.run("submit", "--run", "a")
    assert code == 1 and "100" in output and "midnight" not in output and len(server.submissions) == 1


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


def test_attempt_of_a_clock_that_was_wrong_is_settled_as_one_of_now(machine, server, monkeypatch):
    monkeypatch.setattr(attempts, "SETTLING_SECONDS", 0)
    attempts.write_attempt(machine.submissions / ".submit" / f"{TAG}.json", None, timeout=10**6)
    assert machine.run("submit", "--run", "a", "--wait-minutes", "0", "--kaggle-timeout", "6")[0] == 0
    assert len(server.submissions) == 1 and read_attempts(machine) == []


def test_note_that_names_another_file_does_not_make_it_that_file(machine, server):
    machine.run("submit", "--run", "a", "--wait-minutes", "0")
    machine.put_submission("b", OTHER)
    machine.put_submission("c", TINY.submission.replace("0.500000", "0.300000"))
    tag = leaderboard.make_file_tag(machine.submissions / "c.csv")
    assert machine.run("submit", "--run", "b", "--message", f"better than {TAG} and {tag}")[0] == 0
    public = score(server.submissions[0]["blob"], TINY.solution)["Public"]
    assert public in machine.run("submit", "--run", "a")[1] and read_row(machine)["public"] == public
    assert machine.run("submit", "--run", "c")[0] == 0 and len(server.submissions) == 3


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


def test_interrupted_waiting_after_resubmit_goes_on_without_that_flag(machine, server):
    machine.run("submit", "--run", "a")
    server.pending_looks = 10**6
    process = machine.start("submit", "--run", "a", "--resubmit")
    server.wait_for("ListSubmissions", times=server.calls.count("ListSubmissions") + 2)   # before and after it was sent
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "Without --resubmit" in err and "same command" not in err
    flags = err.split("`pixmend submit ")[1].split("`")[0].split()
    server.pending_looks = server.submissions[1]["looks"] = 0
    assert machine.run("submit", *flags, competition=None)[0] == 0
    assert len(server.submissions) == 2 and read_row(machine)["kaggle"] == "complete"


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
    assert flags == ["--run", "a", "--competition", "photo_reconstruction", "--home", str(machine.home)]
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


# ---- What else Kaggle knows. -----------------------------------------------------------------------------------------------

def test_rank_stands_beside_the_score(machine, server):
    server.other_teams = ["0.00001", "0.00002", "0.9", "0.99"]
    code, output = machine.run("submit", "--run", "a")
    assert code == 0 and "Rank 3 " in output and read_ledger(machine)[0].rank == "3" and " 3 " in machine.run("history")[1]


def test_leaderboard_out_of_reach_costs_only_the_rank(machine, server):
    server.trouble("GetLeaderboard", "status", 403)
    assert machine.run("submit", "--run", "a")[0] == 0
    assert read_ledger(machine)[0].public and read_ledger(machine)[0].rank == ""


def send_by_hand(server, text, ref=7, message="by hand"):
    """A submission by another program: under a message without a tag."""
    server.submissions.append({"ref": ref, "date": DATE, "description": message, "fileName": "a.csv.zip", "blob": zipped(text),
                               "looks": 0})


@pytest.fixture
def can_download(machine):
    """Skip where kaggle is older than the command that downloads a submission."""
    if "submission-download" not in run_kaggle(machine, "competitions", "--help"):
        pytest.skip("the installed kaggle is older than 2.2.5: it cannot download a submission")


def run_kaggle(machine, *words):
    command = machine.python.with_name("kaggle")
    return subprocess.run([str(command), *words], env=machine.environment(), capture_output=True, text=True).stdout


@pytest.mark.parametrize("message", ["by hand", "try of 202611301210"])
def test_file_that_was_sent_by_hand_is_not_sent_again(machine, server, can_download, message):
    send_by_hand(server, TINY.submission, message=message)
    assert machine.run("submit", "--run", "a")[0] == 0 and len(server.submissions) == 1
    one, = read_ledger(machine)
    assert (one.ref, one.file, one.message) == ("7", TAG, message) and read_row(machine)["public"] == one.public != ""
    assert machine.run("submit", "--run", "a")[0] == 1 and len(server.submissions) == 1
    assert server.calls.count("DownloadSubmission") == 1


@pytest.mark.parametrize(("is_newer", "status", "downloads"), [(True, 404, 1), (False, 403, 2)])
def test_file_sent_by_hand_is_found_beside_one_that_kaggle_does_not_give_out(machine, server, can_download, is_newer, status,
                                                                             downloads):
    other = TINY.submission.replace("0.500000", "0.250000")
    for ref, text in enumerate([other, TINY.submission] if is_newer else [TINY.submission, other], 7):
        send_by_hand(server, text, ref)
    if is_newer:
        server.trouble("DownloadSubmission", "none", times=1)
    server.trouble("DownloadSubmission", "status", status, times=1)
    code, output = machine.run("submit", "--run", "a")
    assert code == 0 and len(server.submissions) == 2 and "This version" not in output
    assert read_row(machine)["public"] and server.calls.count("DownloadSubmission") == downloads


def test_other_file_that_was_sent_by_hand_is_downloaded_once(machine, server, can_download):
    send_by_hand(server, TINY.submission.replace("0.500000", "0.250000"))
    assert machine.run("submit", "--run", "a")[0] == 0 and len(server.submissions) == 2
    assert {one.ref for one in read_ledger(machine)} == {"7", "1002"}
    machine.put_submission("a", TINY.submission.replace("0.500000", "0.125000"))
    assert machine.run("submit", "--run", "a")[0] == 0 and server.calls.count("DownloadSubmission") == 1


def test_submission_that_later_ones_pushed_off_the_list_is_found_by_its_ref(machine, server, can_download):
    machine.run("submit", "--run", "a", "--wait-minutes", "0")
    for number in range(200):
        server.submissions.append(server.submissions[0] | {"ref": 5000 + number, "description": "another", "fileName": "x.csv"})
    assert machine.run("submit", "--run", "a", "--wait-minutes", "0.02")[0] == 0
    assert read_ledger(machine)[0].public and len(server.submissions) == 201


# ---- The ledger. -----------------------------------------------------------------------------------------------------------

def test_every_submission_is_in_the_ledger_with_its_score(machine, server):
    assert machine.run("history")[0] == 0 and read_ledger(machine) == []
    machine.run("submit", "--run", "a", "--message", "first try")
    one, = read_ledger(machine)
    scores, sent = score(server.submissions[0]["blob"], TINY.solution), server.submissions[0]
    assert (one.run, one.file, one.ref, one.message) == ("a", TAG, str(sent["ref"]), sent["description"])
    assert (one.public, one.private) == (scores["Public"], scores["Private"]) and int(one.seconds) < 60
    code, output = machine.run("history")
    assert code == 0 and scores["Public"] in output and "first try" in output and "4 of 5" in output


def test_score_that_comes_later_is_added_to_the_ledger(machine, server):
    machine.run("submit", "--run", "a", "--wait-minutes", "0")
    assert not read_ledger(machine)[0].is_scored and "no score yet" in machine.run("history")[1]
    before = (machine.submissions / "submissions.csv").read_text()
    assert machine.run("submit", "--run", "a")[0] == 0
    one, = read_ledger(machine)
    assert one.public and one.seconds == "" and (machine.submissions / "submissions.csv").read_text().startswith(before)


def test_submission_that_kaggle_could_not_score_is_in_the_ledger(machine, server):
    server.error = "Row 7 has no value"
    machine.run("submit", "--run", "a")
    assert read_ledger(machine)[0].failure == "Row 7 has no value" and "failed: Row 7" in machine.run("history")[1]


def test_submission_of_another_machine_is_added_to_the_ledger_once(machine, server):
    add_earlier_submission(server, f"a {TAG} from the other machine")
    for _ in range(2):
        machine.run("submit", "--run", "a", "--wait-minutes", "0")
    one, = read_ledger(machine)
    assert (one.time, one.ref) == ("2026-11-20 12:00:00", "7") and "other machine" in one.message


def test_submission_whose_answer_was_lost_is_in_the_ledger_once(machine, server):
    server.trouble("CreateSubmission", "lose")
    machine.run("submit", "--run", "a")
    machine.run("submit", "--run", "a")
    assert [one.ref for one in read_ledger(machine)] == ["1001"]


def test_second_sending_of_a_file_is_a_row_of_its_own(machine, server):
    for flags in (("--wait-minutes", "0"), ("--resubmit",)):
        machine.run("submit", "--run", "a", *flags)
    first, second = read_ledger(machine)
    assert not first.is_scored and second.ref == "1002" and second.public


def test_score_that_nobody_waited_for_comes_with_the_next_submission(machine, server):
    server.pending_looks = 1
    machine.run("submit", "--run", "a", "--wait-minutes", "0")
    server.pending_looks = server.submissions[0]["looks"] = 0
    machine.put_submission("b", OTHER)
    assert machine.run("submit", "--run", "b")[0] == 0
    scores = score(server.submissions[0]["blob"], TINY.solution)
    assert [one.public for one in read_ledger(machine)] == [scores["Public"], read_row(machine, "b")["public"]]
    assert (read_row(machine)["public"], read_row(machine)["kaggle"]) == (scores["Public"], "complete")
    assert len(ledger.read_events(machine.submissions / "submissions.csv")) == 4


def test_failure_that_nobody_waited_for_comes_with_the_next_submission(machine, server):
    machine.run("submit", "--run", "a", "--wait-minutes", "0")
    server.submissions[0]["failure"] = "Row 7 has no value"
    machine.put_submission("b", OTHER)
    for flags, code in (([], 0), (["--dry-run"], 1)):   # the second one is refused, and has nothing to record
        assert machine.run("submit", "--run", "b", *flags)[0] == code
    first, second = read_ledger(machine)
    assert first.failure == "Row 7 has no value" and second.public and not second.failure
    assert read_row(machine)["kaggle"] == "error: Row 7 has no value" and read_row(machine, "b")["kaggle"] == "complete"
    assert len(ledger.read_events(machine.submissions / "submissions.csv")) == 4


def test_private_score_that_is_published_later_is_added(machine, server):
    show = server.shown
    server.shown = lambda one: show(one) | {"privateScore": ""}
    assert machine.run("submit", "--run", "a")[0] == 0 and read_row(machine)["private"] == ""
    server.shown = show
    code, output = machine.run("submit", "--run", "a")
    private = score(server.submissions[0]["blob"], TINY.solution)["Private"]
    assert code == 1 and private in output and private in machine.run("history")[1] and read_row(machine)["private"] == private
    assert len(server.submissions) == 1


def test_message_of_several_lines_is_one_line_and_the_ledger_stays_readable(machine, server):
    assert machine.run("submit", "--run", "a", "--message", "first\rsecond\r\nthird")[0] == 0
    assert server.submissions[0]["description"] == f"a {TAG} first second third" == read_ledger(machine)[0].message


def test_message_that_is_not_utf8_is_refused_before_anything_is_sent(machine, server):
    code, output = machine.run("submit", "--run", "a", "--message", "caf\udce9")
    assert code == 2 and "--message" in output and server.calls == []


def test_damaged_ledger_stops_before_anything_is_sent(machine, server):
    path = machine.submissions / "submissions.csv"
    path.write_text("time,event\nhalf a row")
    for command in ("submit", "history"):
        code, output = machine.run(command, *(["--run", "a"] if command == "submit" else []))
        assert code == 1 and str(path) in output and len(output.splitlines()) == 1
    assert server.calls == [] and path.read_text() == "time,event\nhalf a row"


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
