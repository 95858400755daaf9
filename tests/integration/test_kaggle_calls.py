"""Each call of the kaggle command whose answer is read: what is read from it, and from which version on it exists.

Another version than the installed one is tested with PIXMEND_TEST_KAGGLE=PATH, the `kaggle` of an environment of its own.
"""

import os
import sys
import time
import zipfile
from dataclasses import dataclass
from io import BytesIO
from unittest import mock

import pytest
from support.kaggle_home import SLUG, Machine, make_tiny_competition
from support.kaggle_kernels import Kernel, KernelServer
from support.kaggle_server import DATE

from pixmend.evaluation import leaderboard
from pixmend.kaggle import client, kernel_client, kernel_log, submission_client
from pixmend.kaggle.submission_client import Limits, Submission

TINY = make_tiny_competition()
REF = "someone/kernel-1"
SENT = "2026-11-20 12:00:00"


def zipped(text):
    out = BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a.csv", text)
    return out.getvalue()


@pytest.fixture
def server():
    """A Kaggle with two submissions of the user, the second of which could not be scored, a kernel, and three other teams."""
    with KernelServer(SLUG, TINY.archive, TINY.solution) as server:
        for ref, description in ((1001, "a 0123456789ab"), (1002, "b")):
            server.submissions.append({"ref": ref, "date": DATE, "description": description, "fileName": "a.csv.zip",
                                       "blob": zipped(TINY.submission), "looks": 0})
        server.submissions[1] |= {"failure": "Row 7 has no value.\nRow 8 has none either."}
        server.kernels[REF] = Kernel()
        server.lines = ["step 1", "step 2"]
        yield server
        assert "CONNECT" not in server.calls


@pytest.fixture
def asking(tmp_path, server):
    """The environment of a user's machine for calls in this process."""
    machine = Machine(tmp_path, server)
    with (mock.patch.dict(os.environ, machine.environment(), clear=True),
          mock.patch.object(sys, "executable", str(machine.python))):
        yield machine


def get_version():
    return tuple(int(part) for part in client.get_version().split("."))


@dataclass
class Call:
    """A call: since when it exists, what is asked, what is read, and what is read from an older version."""

    words: str
    since: tuple
    ask: object
    expected: object
    otherwise: object = None


def ask_log():
    follower = kernel_log.LogFollower(REF, SLUG)
    follower.follow(time.monotonic() + 60)
    return follower.printed


def ask_list():
    found = submission_client.list_submissions(SLUG, timeout=60)
    return [(one.ref, one.date[:19].replace("T", " "), one.description, one.status, one.file_name) for one in found]


def ask_one(ref):
    found = submission_client.read_submission(ref, SLUG, timeout=60)
    return found and (found.ref, found.status, found.error)


def ask_leaderboard():
    return client.read_pages(["competitions", "leaderboard", "-c", SLUG, "--show"], SLUG, timeout=60)


CALLS = [
    Call("competitions submissions --format json", (2, 2, 4), ask_list,
         [("1002", SENT, "b", "ERROR", "a.csv.zip"), ("1001", SENT, "a 0123456789ab", "COMPLETE", "a.csv.zip")]),
    Call("competitions submission-limits --json", (2, 2, 4), lambda: submission_client.read_limits(SLUG, timeout=60),
         Limits(2, 2, 3)),
    Call("competitions leaderboard --show, of several pages", (2, 2, 4), lambda: [row["teamId"] for row in ask_leaderboard()],
         ["1", "2", "3", "77"]),
    Call("competitions team-submissions", (2, 2, 4), lambda: submission_client._list_refs("77", SLUG, 60), {"1001"}),
    Call("quota", (2, 2, 4), lambda: kernel_client.read_quota("", SLUG, timeout=60),
         kernel_client.Quota("GPU", 12.5, 30.0, "2026-12-05 00:00")),
    Call("quota, of TPUs", (2, 2, 4), lambda: kernel_client.read_quota("TpuV5E8", SLUG, timeout=60),
         kernel_client.Quota("TPU", 30.0, 30.0, "2026-12-05 00:00")),
    Call("kernels logs --follow", (2, 2, 4), ask_log, 2),
    Call("competitions submission, not scored", (2, 2, 5), lambda: ask_one("1002")[:2] if ask_one("1002") else None,
         ("1002", "ERROR")),
    Call("competitions submission, unknown and known", (2, 2, 5), lambda: [ask_one("7"), ask_one("1001")],
         [None, ("1001", "COMPLETE", "")], [None, None]),
    Call("the reason of a failure", (2, 2, 5), lambda: submission_client.get_failure_reason("1002", SLUG, timeout=60),
         "Row 7 has no value. Row 8 has none either.", "Row 7 has no value. Row 8 has none either."),
    Call("competitions submission-download", (2, 2, 5), lambda: submission_client.download_tag("1001", SLUG, timeout=60), "TAG"),
]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.words)
def test_call(asking, server, tmp_path, call):
    server.other_teams, server.gpu_hours = ["0.01", "0.02", "0.03"], 12.5
    (tmp_path / "a.csv").write_text(TINY.submission)
    expected = leaderboard.make_file_tag(tmp_path / "a.csv") if call.expected == "TAG" else call.expected
    found = call.ask()
    found = " ".join(found.split()) if isinstance(found, str) else found
    assert found == (expected if get_version() >= call.since else call.otherwise)


def test_empty_lists(asking, server):
    server.submissions.clear()
    assert submission_client.list_submissions(SLUG, timeout=60) == []
    assert ask_leaderboard() == []
    assert client.read_rows(["competitions", "team-submissions", "77"], SLUG, timeout=60) == []


def make_submission(ref, public):
    return Submission(ref, DATE, "", "COMPLETE", public, "")


def test_rank_is_the_place_of_the_best_own_score(asking, server):
    server.submissions.pop()
    best = server.best()[0]
    own = [make_submission("1001", best), make_submission("1000", "0.99")]
    for others, place in (([], 1), (["0.01", "0.02", "0.03", "0.9"], 4), ([best, "0.01", best], 4), ([best] * 9, None)):
        server.other_teams = others
        assert submission_client.find_rank(SLUG, own, timeout=60) == place


def test_place_of_another_team_with_the_same_score_is_no_rank(asking, server):
    """The user's team is not on the leaderboard, or not with this submission."""
    best = server.best()[0]
    server.submissions.clear()
    server.other_teams = ["0.01", best]
    assert submission_client.find_rank(SLUG, [make_submission("1001", best)], timeout=60) is None
    assert server.calls.count("ListTeamPublicSubmissions") == 1


def test_without_an_own_score_there_is_no_rank(asking, server):
    assert submission_client.find_rank(SLUG, [make_submission("1", "")], timeout=60) is None and server.calls == []
    server.trouble("GetLeaderboard", "status", 403)
    assert submission_client.find_rank(SLUG, [make_submission("1", "0.1")], timeout=60) is None


@pytest.mark.parametrize(("status", "kind"), [(403, "forbidden"), (404, "missing"), (429, "busy"), (500, "server")])
def test_hints_that_kaggle_adds_do_not_hide_the_error(asking, server, monkeypatch, status, kind):
    monkeypatch.setattr(client, "RETRY_DELAYS", ())
    server.trouble("ListSubmissions", "status", status)
    with pytest.raises(client.KaggleError) as raised:
        submission_client.list_submissions(SLUG, timeout=60)
    assert raised.value.kind == kind and "debug" not in str(raised.value)


def test_refusal_of_a_proxy_is_a_failure_of_the_network(monkeypatch):
    monkeypatch.setattr(client, "RETRY_DELAYS", ())
    text = "(Caused by ProxyError('Unable to connect to proxy', OSError('Tunnel connection failed: 403 Forbidden')))"
    with pytest.raises(client.KaggleError) as raised:
        client.run_query([], SLUG, timeout=60, program=[sys.executable, "-c", f"raise SystemExit({text!r})"])
    assert raised.value.kind == "network" and "HTTPS_PROXY" in str(raised.value) and "rules" not in str(raised.value)
