"""Every call of Kaggle fails in every way, once or always: a message, no second submission or session, and all is well later."""

import itertools

import pytest
from support.kaggle_home import CONTEST, SLUG, Machine, make_tiny_competition, shorten_delays
from support.kaggle_kernels import KernelServer

from pixmend.kaggle import attempts

TINY = make_tiny_competition()
CALLS = {"download": ("DownloadDataFiles", "archive"),
         "submit": ("ListSubmissions", "GetSubmissionLimits", "StartSubmissionUpload", "PUT", "CreateSubmission"),
         "kernel": ("SaveKernel", "GetKernel", "GetKernelSessionStatus")}
STATUSES = (400, 401, 403, 404, 409, 413, 429, 500, 502, 503)
FAULTS = [*(("status", {"status": status}) for status in STATUSES),
          *(("status", {"status": status, "message": "Something is wrong."}) for status in (400, 403, 429, 500)),
          *(("junk", {"message": text}) for text in ("", "[]", "<html>busy</html>", '{"a": ', "[" * 100_000)),
          ("drop", {}), ("lose", {})]
CASES = [(command, call, kind, options, times) for command, calls in CALLS.items() for call in calls
         for (kind, options), times in itertools.product(FAULTS, (1, 10**9))
         if (call, kind) != ("PUT", "junk")]   # an upload that is answered with 200 has arrived, whatever the text
FLAGS = {"download": (), "submit": ("--run", "a", "--wait-minutes", "0"),
         "kernel": ("--size", "32", "--steps", "8", "--run", "a", "--follow-minutes", "0")}
TRIES = 4


@pytest.mark.parametrize("command", CALLS)
def test_kaggle_fails(command, tmp_path, monkeypatch, counts):
    counts.update(faults=0, failed=0, survived=0, sent_twice=0)
    shorten_delays(monkeypatch)
    monkeypatch.setattr(attempts, "SETTLING_SECONDS", 1)
    for number, (_, call, kind, options, times) in enumerate(case for case in CASES if case[0] == command):
        with KernelServer(SLUG, TINY.archive, TINY.solution) as server:
            server.states = ["RUNNING"]
            machine = Machine(tmp_path / str(number), server)
            if command == "submit":
                machine.put_entry(TINY)
            server.trouble(call, kind, times=times, **options)
            code, output = machine.run(command, *FLAGS[command])
            counts["faults"] += 1
            counts["failed" if code else "survived"] += 1
            assert code in (0, 1) and output.strip(), (call, kind, options, output)
            server.heal()
            codes = [code, *itertools.takewhile(bool, (machine.run(command, *FLAGS[command])[0] for _ in range(TRIES)))]
            assert len(codes) <= TRIES, (call, kind, options, codes)
            counts["sent_twice"] += max(len(server.submissions), len(server.pushes)) > 1
            check_done(command, machine, server, (call, kind, options, times))


def check_done(command, machine, server, case):
    """What the command is for has happened once."""
    if command == "download":
        assert (machine.competition / f"{SLUG}.zip").read_bytes() == TINY.archive, case
    if command == "submit":
        assert len(server.submissions) == 1, case
    if command == "kernel":
        assert len(server.pushes) == 1 and (machine.home / "checkpoints" / CONTEST / "a").is_dir(), case
