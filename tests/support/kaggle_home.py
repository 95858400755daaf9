"""A user's machine for tests: a home, a token or none, a tiny competition, and the stages in this process or as processes."""

import contextlib
import functools
import io
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import cv2
import numpy as np

from pixmend import run_file
from pixmend.config import Settings
from pixmend.kaggle import attempts, client, kernel_runner, submit
from support import stages
from support.kaggle_server import KEY, TOKEN, USER

ROOT = Path(__file__).resolve().parents[2]
CONTEST, SLUG = "photo_reconstruction", "photo-reconstruction"
CLASSES = ("Cat", "Dog", "Elephant", "Tiger")
KAGGLE = os.environ.get("PIXMEND_TEST_KAGGLE", "")  # a kaggle command of another version, in an environment of its own
SIZE = 32
BOX = round(75 * SIZE / 256)


def shorten_delays(monkeypatch):
    """Let stages in this process poll Kaggle at once and often."""
    monkeypatch.setattr(client, "RETRY_DELAYS", (0.05, 0.1))
    monkeypatch.setattr(attempts, "POLL_DELAYS", (0.05,))
    monkeypatch.setattr(attempts, "SECOND_POLL", 0.05)
    monkeypatch.setattr(submit, "SCORE_DELAYS", (0.05,))
    monkeypatch.setattr(kernel_runner, "STATUS_DELAYS", (0.05,))


@dataclass
class Machine:
    """What one user has: `home` with the data folders, and the token in `private/.kaggle`."""

    folder: Path
    server: object = None
    token: bool = True
    python: Path = Path(sys.executable)
    backend: str = "tensorflow"

    def __post_init__(self):
        if KAGGLE:
            self.use_command(f"import os; os.environ.pop('PYTHONPATH'); os.execv({KAGGLE!r}, [{KAGGLE!r}, *os.sys.argv[1:]])")
        self.home, self.private = self.folder / "project", self.folder / "private"
        (self.private / ".kaggle").mkdir(parents=True)
        if self.token:
            self.write_token(TOKEN)

    def write_token(self, text):
        path = self.private / ".kaggle" / "access_token"
        path.write_text(text)
        path.chmod(0o600)

    @property
    def competition(self):
        return self.home / "competition" / CONTEST

    @property
    def submissions(self):
        return self.home / "submissions" / CONTEST

    def use_key(self):
        """The older kind of login, in a file that others can read: kaggle prints a warning into every answer."""
        (self.private / ".kaggle" / "access_token").unlink()
        path = self.private / ".kaggle" / "kaggle.json"
        path.write_text(json.dumps({"username": USER, "key": KEY}))
        path.chmod(0o644)

    def use_command(self, script):
        """A `kaggle` of another make beside this machine's Python; without a script there is none."""
        tools = self.folder / "bin"
        tools.mkdir(parents=True, exist_ok=True)
        (tools / "kaggle").unlink(missing_ok=True)
        self.python = tools / "python"
        if not self.python.exists():
            self.python.symlink_to(sys.executable)
        if script:
            (tools / "kaggle").write_text(f"#!{sys.executable}\n{script}")
            (tools / "kaggle").chmod(0o755)

    def environment(self):
        kept = {name: value for name, value in os.environ.items() if not name.startswith("KAGGLE_")}
        modules = os.pathsep.join(path for path in sys.path if path.endswith("site-packages"))
        mine = {"HOME": str(self.private), "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), modules]), "PATH": "/usr/bin:/bin",
                "KERAS_BACKEND": self.backend}
        return {**kept, **(self.server.environment() if self.server else {}), **mine}

    def command(self, stage, *flags, competition=CONTEST):
        competition_flags = ["--competition", competition] if competition else []
        return [str(self.python), "-m", "pixmend", stage, "--home", str(self.home), *competition_flags, *flags]

    def start(self, stage, *flags, competition=CONTEST):
        return subprocess.Popen(self.command(stage, *flags, competition=competition), cwd=ROOT, env=self.environment(),
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, stage, *flags, competition=CONTEST):
        """Run a stage in this process; return its exit code and all that the user reads. Only `kaggle` is a process."""
        with mock.patch.object(sys, "executable", str(self.python)):
            competition_flags = ["--competition", competition] if competition else []
            ended = stages.stage(stage, self.home, *competition_flags, *flags, environment=self.environment())
        return ended.returncode, check_output(ended.stdout + ended.stderr)

    def run_process(self, stage, *flags, competition=CONTEST):
        """The same in a process of its own."""
        process = self.start(stage, *flags, competition=competition)
        out, err = process.communicate(timeout=600)
        return process.returncode, check_output(out + err)

    def left_running(self):
        """Processes of this machine that nobody ended; one that was killed may take a moment to go."""
        for _ in range(1000):
            commands = [text for path in Path("/proc").glob("[0-9]*/cmdline") if (text := command_of(path))]
            if not (found := [command for command in commands if str(self.folder).encode() in command]):
                break
            os.sched_yield()
        return found

    def unpacked(self):
        """Names of the files that later stages would see."""
        folder = self.competition / "files"
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())

    def put_archive(self, data):
        self.competition.mkdir(parents=True, exist_ok=True)
        (self.competition / f"{SLUG}.zip").write_bytes(data)

    def put_entry(self, tiny):
        """Unpack a tiny competition, and write run `a` with its submission."""
        zipfile.ZipFile(io.BytesIO(tiny.archive)).extractall(self.competition / "files")
        self.put_submission("a", tiny.submission)

    def put_submission(self, run, text):
        """Write a run's file to submit, and the run itself."""
        run_file.save_run(Settings(home=str(self.home), competition=CONTEST, run=run, size=SIZE))
        self.submissions.mkdir(parents=True, exist_ok=True)
        (self.submissions / f"{run}.csv").write_text(text)


def check_output(text):
    """Return what a user reads; it never contains a traceback or a secret."""
    assert not any(word in text for word in ("Traceback", TOKEN, KEY)), text
    return text


def command_of(path):
    with contextlib.suppress(OSError):
        return path.read_bytes()


@dataclass(frozen=True)
class TinyCompetition:
    """A competition with the real layout and few small images: its archive, its solution, and a valid submission."""

    archive: bytes
    solution: str
    submission: str
    tested: tuple  # (name, boxes, whole image as OpenCV has it) of each test image

    def make_solution(self, order, scale):
        """The solution where channel 0 is this colour, and values are scaled so."""
        values = []
        for _, boxes, whole in self.tested:
            pixels = whole[..., ::-1] if order == "rgb" else whole
            if scale == "minmax":
                planes = [cv2.normalize(np.float64(plane), None, 0, 1, cv2.NORM_MINMAX) for plane in cv2.split(pixels.copy())]
                pixels = 255 * cv2.merge(planes)
            values += [pixels[r:r + BOX, c:c + BOX].ravel() / 255 for r, c in boxes]
        return solution([id for name, boxes, _ in self.tested for id in row_ids(name, boxes)], np.concatenate(values))


@functools.cache
def make_tiny_competition(seed=0, low=0, high=256):
    """A tiny competition whose images are drawn from these grey levels."""
    rng = np.random.default_rng(seed)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for kind in CLASSES:
            folder, rows = f"Dataset/Training_Data/{kind}", []
            for number in (1, 2):
                name, whole, boxes = f"{kind}-Train ({number}).jpeg", draw_image(rng, low, high), draw_boxes(rng)
                archive.writestr(f"{folder}/Unmasked_Train/{name}", jpeg(whole))
                archive.writestr(f"{folder}/Masked_Train/{name}", jpeg(damage(whole, boxes)))
                rows.append((name, boxes))
            archive.writestr(f"{folder}/Masked_Train/masked_info.csv", table(rows))
        tested = [(f"{kind} (1).jpeg", draw_boxes(rng), draw_image(rng, low, high)) for kind in CLASSES]
        for name, boxes, whole in tested:
            archive.writestr(f"Dataset/Testing_Data/{name}", jpeg(damage(whole, boxes)))
        archive.writestr("Dataset/Testing_Data/masked_info.csv", table([row[:2] for row in tested]))
        ids = [one for name, boxes, _ in tested for one in row_ids(name, boxes)]
        archive.writestr("sample_submission.csv", submission(ids, np.zeros(len(ids))))
    truth = np.concatenate([whole[r:r + BOX, c:c + BOX].ravel() for _, boxes, whole in tested for r, c in boxes]) / 255
    return TinyCompetition(out.getvalue(), solution(ids, truth), submission(ids, np.full(len(ids), 0.5)),
                           tuple(tested))


def submission(ids, values):
    return "filename_box_pixel,value\n" + "".join(f"{one},{value:.6f}\n" for one, value in zip(ids, values, strict=True))


def solution(ids, values):
    usage = ["Public" if one.startswith(CLASSES[:2]) else "Private" for one in ids]
    rows = zip(ids, values, usage, strict=True)
    return "filename_box_pixel,value,Usage\n" + "".join(f"{one},{value:.6f},{part}\n" for one, value, part in rows)


def draw_image(rng, low=0, high=256):
    coarse = rng.integers(low, high, (4, 4, 3), dtype=np.uint8)
    return cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)


def draw_boxes(rng):
    return rng.integers(0, SIZE - BOX + 1, (2, 2)).tolist()


def damage(whole, boxes):
    damaged = whole.copy()
    for row, column in boxes:
        damaged[row:row + BOX, column:column + BOX] = 0
    return damaged


def jpeg(pixels):
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def table(rows):
    lines = [",filename,box1_row,box1_col,box2_row,box2_col"]
    lines += [",".join(map(str, (i, name, *boxes[0], *boxes[1]))) for i, (name, boxes) in enumerate(rows)]
    return "\n".join(lines) + "\n"


def row_ids(name, boxes):
    return [f"{name}_box{number}_{r}_{c}_{channel}" for number, (row, column) in enumerate(boxes, 1)
            for r in range(row, row + BOX) for c in range(column, column + BOX) for channel in range(3)]
