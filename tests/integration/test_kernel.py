"""Kernels through the real kaggle command: what Kaggle is sent and how often, what comes home, and what is never touched."""

import hashlib
import io
import json
import signal

import numpy as np
import pytest
from support.kaggle_home import CONTEST, SLUG, Machine, tiny_contest
from support.kaggle_kernels import KernelServer, order_of

from pixmend.errors import UserError
from pixmend.evaluation import leaderboard
from pixmend.kaggle import kernel_script

TINY = tiny_contest()
FLAGS = ("--size", "32", "--lambda", "100", "--steps", "8", "--run", "a")
MOMENT = 1_700_000_000_123_456_000
HOME = f"checkpoints/{CONTEST}/a"


@pytest.fixture
def server():
    with KernelServer(SLUG, TINY.archive, TINY.solution) as server:
        yield server
        assert "CONNECT" not in server.calls


@pytest.fixture
def machine(tmp_path, server):
    return Machine(tmp_path, server)


def npz(step):
    out = io.BytesIO()
    np.savez(out, facts=np.frombuffer(json.dumps({"step": step}).encode(), np.uint8), weights=np.full(1000, step))
    return out.getvalue()


def told(data):
    return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data), "mtime_ns": MOMENT}


def left_by_a_session(text, step=8, **differently):
    """The files of /kaggle/working as a session of this script leaves them, with its account of them."""
    settings = {"competition": CONTEST, "LAMBDA": 100.0, "steps": 8, "size": 32, "model": "pix2pix", **differently}
    digits = hashlib.sha256(npz(step)).hexdigest()[:12]
    left = {f"{HOME}/settings.json": json.dumps(settings).encode(), f"{HOME}/state-{step:09}-{digits}.npz": npz(step),
            f"{HOME}/best.npz": npz(step), f"{HOME}/holdout.npz": npz(1), f"{HOME}/test.npz": npz(2),
            f"{HOME}/history.csv": b"step,holdout_rmse,minutes\n8,0.1,0.5\n",
            f"submissions/{CONTEST}/a.csv": b"id,value\nx,0.5\n"}
    account = {"tag": order_of(text)["tag"], "step": step, "finished": step >= 8, "failed": "",
               "score": {"holdout_rmse": "0.12345"}, "files": {name: told(data) for name, data in left.items()}}
    return left | {"session.json": json.dumps(account).encode()}


def sent(machine, server, *flags):
    """A session that was sent and is still to be waited for; its kernel at Kaggle."""
    code, read = machine.run("kernel", *FLAGS, *flags, "--wait-minutes", "0")
    assert code == 0, read
    return list(server.kernels.values())[-1]


def ended(machine, server, **facts):
    kernel = sent(machine, server)
    kernel.files = left_by_a_session(kernel.versions[0]["text"], **facts)
    kernel.states = ["COMPLETE"]
    return kernel


def at_home(machine):
    """All that later stages could see of the run."""
    return {str(path.relative_to(machine.home)): path.read_bytes() for path in machine.home.rglob("*")
            if path.is_file() and ".kernel" not in path.parts and not path.name.startswith(".")
            and path.name not in ("kernels.json", "leaderboard.csv")}


def came_home(machine, kernel):
    expected = {name: data for name, data in kernel.files.items() if name != "session.json"}
    return at_home(machine) == expected


@pytest.fixture
def running(server):
    server.states = ["QUEUED", "RUNNING"]


def test_a_kernel_is_sent_followed_and_brought_home(machine, server, running):
    kernel = ended(machine, server)
    asked, = server.pushes
    wanted = {"isPrivate": True, "enableGpu": True, "enableInternet": True, "kernelType": "script", "language": "python",
              "competitionDataSources": [SLUG]}
    assert wanted.items() <= asked.items() and "kernelDataSources" not in asked
    assert order_of(asked["text"])["flags"] == ["--lambda", "100.0", "--size", "32", "--steps", "8"]
    kernel.states = ["RUNNING", "COMPLETE"]
    code, read = machine.run("kernel", *FLAGS)
    assert code == 0 and "0.12345" in read and came_home(machine, kernel)
    state = next((machine.home / HOME).glob("state-*.npz"))
    assert state.stat().st_mtime_ns == MOMENT
    assert leaderboard.read(machine.submissions / "leaderboard.csv")[0]["holdout_rmse"] == "0.12345"
    calls = len(server.calls)
    code, read = machine.run("kernel", *FLAGS)
    assert code == 0 and "has all its 8 steps" in read and len(server.calls) == calls and len(server.pushes) == 1


def test_a_training_that_is_half_done_is_not_submitted(machine, server, running):
    machine.put_archive(TINY.archive)
    assert machine.run("download", "--size", "32")[0] == 0
    ended(machine, server, step=4)
    code, read = machine.run("kernel", *FLAGS, "--submit")
    assert code == 0 and "--submit waits for the last step" in read and server.submissions == []


@pytest.mark.slow
def test_the_next_session_stands_on_the_one_before(machine, server, running):
    first = ended(machine, server, step=4)
    code, read = machine.run("kernel", *FLAGS)
    assert code == 0 and "Step 4 of 8: the same command goes on" in read
    sent(machine, server)
    old, new = server.pushes
    assert new["kernelDataSources"] == [old["slug"]] and new["slug"] != old["slug"]
    assert order_of(new["text"])["former"] == order_of(old["text"])["tag"]
    second = ended(machine, server)
    assert machine.run("kernel", *FLAGS)[0] == 0 and came_home(machine, second) and not came_home(machine, first)


@pytest.mark.parametrize("kind", ["lose", pytest.param("hang after", marks=pytest.mark.slow)])
def test_a_lost_answer_is_found_at_kaggle(machine, server, running, kind):
    server.trouble("SaveKernel", kind, times=1)
    code, read = machine.run("kernel", *FLAGS, "--wait-minutes", "0", "--kaggle-timeout", "15")
    assert code == 0 and "did not confirm it" in read and len(server.pushes) == 1


@pytest.mark.slow
def test_a_process_killed_while_it_sends_leaves_one_kernel(machine, server, running):
    server.trouble("SaveKernel", "hang after", times=1)
    process = machine.start("kernel", *FLAGS, "--wait-minutes", "0")
    server.wait_for("SaveKernel")
    process.kill()
    process.communicate(timeout=60)
    code, read = machine.run("kernel", *FLAGS, "--wait-minutes", "0")
    assert code == 0 and "nothing is sent" in read and len(server.pushes) == 1


@pytest.mark.slow
def test_a_push_that_did_not_arrive_is_sent_by_the_next_command(machine, server, running):
    server.trouble("SaveKernel", "drop")
    code, read = machine.run("kernel", *FLAGS, "--wait-minutes", "0")
    assert code == 1 and "no session was used up" in read and server.pushes == []
    server.heal()
    sent(machine, server)
    assert len(server.pushes) == 1


@pytest.mark.slow
def test_a_lost_folder_does_not_send_the_same_session_again(machine, server, running):
    kernel = ended(machine, server)
    (machine.home / HOME / "kernels.json").unlink()
    code, read = machine.run("kernel", *FLAGS)
    assert code == 0 and "nothing is sent" in read and len(server.pushes) == 1 and came_home(machine, kernel)


@pytest.mark.slow
def test_a_refused_push_says_why(machine, server):
    server.refusal = "Maximum weekly GPU quota of 30.00 hours has been exceeded."
    code, read = machine.run("kernel", *FLAGS)
    assert code == 1 and "quota of 30.00 hours has been exceeded." in read and server.pushes == []


@pytest.mark.slow
def test_files_that_kaggle_does_not_attach_are_told_at_once(machine, server):
    server.not_attached = [SLUG]
    code, read = machine.run("kernel", *FLAGS)
    assert code == 1 and "could not attach the competition source" in read and f"{SLUG}/rules" in read


def test_an_error_brings_the_end_of_the_log(machine, server, running):
    kernel = sent(machine, server)
    kernel.states, kernel.failure = ["ERROR"], ""
    kernel.log = json.dumps([{"stream_name": "stdout", "time": 1.5, "data": "train ...\n"},
                             {"stream_name": "stderr", "time": 2.5, "data": "the disk is "}, {"data": "full\n"}])
    code, read = machine.run("kernel", *FLAGS)
    assert code == 1 and "status error: train ... / the disk is full." in read and at_home(machine) == {}


@pytest.mark.slow
@pytest.mark.parametrize(("state", "words"), [("CANCEL_ACKNOWLEDGED", "was cancelled at Kaggle"),
                                              ("ERROR", "status error: Out of memory")])
def test_other_ends(machine, server, running, state, words):
    kernel = sent(machine, server)
    kernel.states, kernel.failure = [state], "Out of memory" if state == "ERROR" else ""
    code, read = machine.run("kernel", *FLAGS)
    assert code == 1 and words in read and "the same command sends a new session" in read and at_home(machine) == {}
    sent(machine, server)
    assert len(server.pushes) == len(server.kernels) == 2 and "kernelDataSources" not in server.pushes[1]


def test_a_process_killed_while_it_brings_home_goes_on(machine, server, running):
    kernel = ended(machine, server)
    server.trouble("output", "none", times=4)
    server.trouble("output", "hang")
    process = machine.start("kernel", *FLAGS)
    server.wait_for("output", times=5)
    process.kill()
    process.communicate(timeout=60)
    assert at_home(machine) == {} and not machine.left_running()
    server.heal()
    before = server.calls.count("output")
    assert machine.run("kernel", *FLAGS)[0] == 0 and came_home(machine, kernel) and len(server.pushes) == 1
    assert server.calls.count("output") - before == len(kernel.files) - 3  # three files lay here whole, the account is asked anew


@pytest.mark.slow
@pytest.mark.parametrize("times", [3, 10**9])
def test_bytes_that_changed_on_the_way_are_never_taken(machine, server, running, times):
    kernel = ended(machine, server)
    server.trouble("output", "none", times=1)
    server.trouble("output", "change", times=times)
    code, read = machine.run("kernel", *FLAGS)
    if times == 3:
        assert code == 0 and came_home(machine, kernel)
    else:
        assert code == 1 and "came damaged again and again" in read and at_home(machine) == {}
        server.heal()
        assert machine.run("kernel", *FLAGS)[0] == 0 and came_home(machine, kernel)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "status"), [("cut", 0), ("status", 503)])
def test_a_broken_download_is_gone_on_with(machine, server, running, kind, status):
    kernel = ended(machine, server)
    server.trouble("output", "none", times=3)
    server.trouble("output", kind, status, times=1)
    code, read = machine.run("kernel", *FLAGS)
    assert code == 0 and came_home(machine, kernel), read


@pytest.mark.parametrize("change", [{"LAMBDA": 200.0}, pytest.param({"competition": "demo"}, marks=pytest.mark.slow)])
def test_an_output_of_other_settings_is_not_taken(machine, server, running, change):
    ended(machine, server, **change)
    code, read = machine.run("kernel", *FLAGS)
    assert code == 1 and "differs from this command" in read and next(iter(change)) in read and at_home(machine) == {}
    sent(machine, server)
    assert len(server.pushes) == 2 and "kernelDataSources" not in server.pushes[1]


def test_another_training_flag_is_refused_before_a_session_is_spent_on_it(machine, server, running):
    """A budget may grow, and a default that is typed is no change."""
    ended(machine, server, step=4)
    assert machine.run("kernel", *FLAGS)[0] == 0
    code, read = machine.run("kernel", *FLAGS, "--width", "8", "--seed", "1")
    assert code == 1 and "was trained at Kaggle with --width 64 (now 8)" in read and "--force" in read and "--seed" not in read
    code, read = machine.run("kernel", *FLAGS, "--schedule", "cosine", "--steps", "9")
    assert code == 1 and "--schedule constant (now cosine), --steps 8 (now 9)" in read and len(server.pushes) == 1
    sent(machine, server, "--steps", "9", "--batch-size", "4", "--save-minutes", "2")
    assert len(server.pushes) == 2 and server.pushes[1]["kernelDataSources"] == [server.pushes[0]["slug"]]


def test_flags_that_a_training_does_not_keep_as_typed_are_no_reason_against_its_output(machine, server, running):
    flags = ("--batch-size", "auto", "--precision", "auto", "--save-minutes", "2")
    kernel = sent(machine, server, *flags)
    kernel.files = left_by_a_session(kernel.versions[0]["text"], batch_size=32, precision="bfloat16")
    kernel.states = ["COMPLETE"]
    code, read = machine.run("kernel", *FLAGS, *flags)
    assert code == 0 and came_home(machine, kernel), read


@pytest.mark.slow
def test_an_output_of_another_push_is_not_taken(machine, server, running):
    kernel = ended(machine, server)
    ours = order_of(kernel.versions[0]["text"])["tag"].encode()
    kernel.files["session.json"] = kernel.files["session.json"].replace(ours, b"0" * 16)
    code, read = machine.run("kernel", *FLAGS)
    assert code == 1 and "no whole output" in read and at_home(machine) == {}


@pytest.mark.slow
def test_an_array_that_cannot_be_read_is_not_taken(machine, server, running):
    kernel = ended(machine, server)
    account = json.loads(kernel.files["session.json"])
    kernel.files[f"{HOME}/best.npz"] = data = b"not an archive"
    account["files"][f"{HOME}/best.npz"] |= {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    kernel.files["session.json"] = json.dumps(account).encode()
    code, read = machine.run("kernel", *FLAGS)
    assert code == 1 and "best.npz of the kernel cannot be read" in read and at_home(machine) == {}


@pytest.mark.slow
def test_a_newer_checkpoint_here_is_not_overwritten(machine, server, running):
    kernel = ended(machine, server)
    ours = machine.home / HOME / "state-000000009-abcdefabcdef.npz"
    ours.write_bytes(b"trained here meanwhile")
    code, read = machine.run("kernel", *FLAGS)
    assert code == 1 and "come to step 9 here" in read and "--force" in read and list(at_home(machine)) == [f"{HOME}/{ours.name}"]
    code, read = machine.run("kernel", *FLAGS, "--force")
    assert code == 0 and came_home(machine, kernel) and len(server.pushes) == 1


@pytest.mark.slow
def test_a_run_that_was_trained_here_is_not_begun_anew_at_kaggle_unasked(machine, server, running):
    folder = machine.home / HOME
    folder.mkdir(parents=True)
    (folder / "state-000000009-abcdefabcdef.npz").write_bytes(b"trained here")
    code, read = machine.run("kernel", *FLAGS)
    assert code == 1 and "step 9, which no kernel has" in read and server.calls == []
    kernel = sent(machine, server, "--force")
    kernel.files, kernel.states = left_by_a_session(kernel.versions[0]["text"]), ["COMPLETE"]
    assert machine.run("kernel", *FLAGS)[0] == 0 and came_home(machine, kernel)


def test_ctrl_c_leaves_the_kernel_at_work_and_says_how_to_go_on(machine, server, running):
    process = machine.start("kernel", *FLAGS)
    server.wait_for("GetKernelSessionStatus")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "goes on at Kaggle" in out and "The same command follows it" in out
    assert not machine.left_running() and "Traceback" not in err and len(server.pushes) == 1


@pytest.mark.slow
def test_a_broken_connection_does_not_end_the_waiting(machine, server, running):
    kernel = ended(machine, server)
    server.trouble("GetKernelSessionStatus", "status", 503, times=4)
    assert machine.run("kernel", *FLAGS)[0] == 0 and came_home(machine, kernel)


@pytest.mark.slow
def test_without_a_token_nothing_is_built(tmp_path, server):
    code, read = Machine(tmp_path, server, token=False).run("kernel", *FLAGS)
    assert code == 1 and "settings/api" in read and server.pushes == []


@pytest.mark.parametrize(("flags", "words"), [(("--model", "smooth"), "needs no kernel"), (("--wheels", "mine"), "owner/name"),
                                              (("--folds", "5"), "--folds is for this machine"),
                                              (("--submit",), "python -m pixmend download")])
def test_what_cannot_work_is_said_before_anything_is_sent(machine, server, flags, words):
    code, read = machine.run("kernel", *FLAGS, *flags)
    assert code in (1, 2) and words in read and server.calls == []


def test_the_same_checkout_gives_the_same_script(tmp_path):
    machines = [Machine(tmp_path / name, token=False) for name in ("one", "two")]
    flags = ("--dry-run", "--no-internet", "--wheels", "me/wheels", "--accelerator", "NvidiaTeslaT4")
    for machine in machines:
        code, read = machine.run("kernel", *FLAGS, *flags)
        assert code == 0 and "nothing was sent" in read
    folders = [machine.home / HOME / ".kernel/1" for machine in machines]
    first, second = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    assert first == second and set(first) == {"kernel.py", "kernel-metadata.json"}
    metadata = json.loads(first["kernel-metadata.json"])
    assert metadata["enable_internet"] is False and metadata["dataset_sources"] == ["me/wheels"]
    assert metadata["machine_shape"] == "NvidiaTeslaT4"
    assert b"\r" not in first["kernel.py"] and first["kernel.py"].isascii()


def test_a_script_that_kaggle_would_not_take_is_refused(tmp_path):
    with pytest.raises(UserError, match="takes 1 MB"):
        kernel_script.write(tmp_path, {"note": "x" * 1_000_000}, {"title": "x"})
    assert list(tmp_path.iterdir()) == []
