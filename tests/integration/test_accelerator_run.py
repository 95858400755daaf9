"""The whole accelerator run at toy size on the CPU: it stores the results of every part, and its canvases are aligned.

Python sees only the packages that a bare machine is brought: no TensorFlow, pandas, kaggle or optuna.
"""

import json
import os
import re
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import cv2
import numpy as np
import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
BROUGHT = ("jax", "keras", "opencv-python-headless", "scipy", "simplejpeg")   # and what these need
BOXES = np.array([[10, 20], [60, 70]])
TOY = ("--minutes", "25", "--longest", "3", "--cores", "1", "--width", "16", "--levels", "1", "--batch", "4", "--steps", "2",
       "--rate", "0.01", "--pix2pix-width", "1", "--batches", "1")
ON_JAX = {"KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"}


def make_image(number):
    rng = np.random.default_rng(number)
    rough = cv2.GaussianBlur(rng.random((256, 256, 3), np.float32), (0, 0), 12)
    return np.uint8(255 * (rough - rough.min()) / np.ptp(rough))


def encode_jpeg(image):
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def damage_image(image):
    image = image.copy()
    for row, column in BOXES:
        image[row:row + 75, column:column + 75] = 0
    return image


@pytest.fixture
def data(tmp_path):
    """A folder as build.py writes it, of six training images in each of two classes and two test images."""
    (tmp_path / "truth").mkdir()
    with zipfile.ZipFile(tmp_path / "photo-reconstruction.zip", "w") as archive:
        for kind, numbers in (("Cat", range(6)), ("Dog", range(6, 12))):
            folder = f"Dataset/Training_Data/{kind}"
            for number in numbers:
                archive.writestr(f"{folder}/Unmasked_Train/{number}.jpeg", encode_jpeg(make_image(number)))
                archive.writestr(f"{folder}/Masked_Train/{number}.jpeg", encode_jpeg(damage_image(make_image(number))))
            archive.writestr(f"{folder}/Masked_Train/masked_info.csv", format_table(numbers))
        for number in (30, 31):
            archive.writestr(f"Dataset/Testing_Data/{number}.jpeg", encode_jpeg(damage_image(make_image(number))))
            cv2.imwrite(str(tmp_path / "truth" / f"{number}.png"), make_image(number))
        archive.writestr("Dataset/Testing_Data/masked_info.csv", format_table((30, 31)))
    return tmp_path


def format_table(numbers):
    corners = ",".join(map(str, BOXES.ravel()))
    return "\n".join([",filename,box1_row,box1_col,box2_row,box2_col", *(f"0,{n}.jpeg,{corners}" for n in numbers), ""])


def list_packages(names):
    """Return the installed packages of these names, and those that they need."""
    found, wanted = {}, list(names)
    while wanted:
        name = re.sub(r"[-_.]+", "-", wanted.pop()).lower()
        if name not in found:
            found[name] = metadata.distribution(name)
            needed = [line for line in found[name].requires or [] if ";" not in line]
            wanted += [re.match(r"[\w.-]+", line)[0] for line in needed]
    return found.values()


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A folder with links to the packages that are brought, and to nothing else that is installed."""
    folder = tmp_path_factory.mktemp("packages")
    for package in list_packages(BROUGHT):
        for top in {file.parts[0] for file in package.files if file.parts[0] not in ("..", "__pycache__")}:
            (folder / top).symlink_to(package.locate_file(top))
    return folder


@pytest.fixture
def run_on_jax(packages):
    path = os.pathsep.join(map(str, (packages, ROOT / "src", ROOT)))

    def run(*words):   # -S: without the folder of installed packages
        return subprocess.run([sys.executable, "-S", *map(str, words)], cwd=ROOT, env=os.environ | ON_JAX | {"PYTHONPATH": path},
                              capture_output=True, text=True, check=False)
    return run


def test_python_sees_only_what_is_brought(run_on_jax):
    code = "import importlib.util as u; print([n for n in ('jax', 'keras', 'tensorflow', 'pandas', 'optuna') if u.find_spec(n)])"
    assert run_on_jax("-c", code).stdout.strip() == "['jax', 'keras']"


def test_a_run_stores_the_results_of_every_part(data, run_on_jax):
    out = data / "out"
    result = run_on_jax("-m", "benchmarks", "accelerator", "--data", data, "--out", out, *TOY)
    assert result.returncode == 0, result.stderr[-2000:]
    assert "failed" not in result.stdout, result.stdout
    results = json.loads((out / "results.json").read_text())
    assert set(results["fills"]) == {"harmonic", "smooth"}
    assert set(results["networks"]) == {"canvas transformer", "Pix2Pix, good recipe", "Pix2Pix, as published"}
    good = results["networks"]["Pix2Pix, good recipe"]["test"]["rmse"]
    assert good == pytest.approx(results["fills"]["smooth"]["test"]["rmse"], rel=0.1)   # a few steps from that fill
    for network in results["networks"].values():
        assert 0 < network["test"]["rmse"] < 1 and "relative_to_harmonic_interval" in network["test"]
    assert all(speed["flops_per_step"] > 0 and speed["samples_per_s"] > 0 for speed in results["speed"].values())
    cells = results["networks"]["canvas transformer"]["cells"]
    assert cells["step"] > 0 and cells["train"] != cells["fill_train"]
    assert (out / "weights-0.npz").stat().st_size < 16e6
    assert (out / "table.md").read_text().count("\n| ") == 9


ALIGNED = """
import numpy as np, jax.numpy as jnp
from benchmarks.accelerator import canvas
rows, columns = np.mgrid[:256, :256] / 256
ramp = jnp.float32(np.stack([rows, columns, rows * 0], -1)[None])
box = jnp.array([[90.0, 80, 75, 75]])
shrink = [canvas.make_shrinking_matrix(box[:, axis], box[:, 2 + axis], 256) for axis in (0, 1)]
grow = [canvas.make_enlarging_matrix(box[:, axis], box[:, 2 + axis], 256) for axis in (0, 1)]
back = jnp.einsum("npi,nijc,nqj->npqc", grow[0], canvas.shrink_to_cells(ramp, *shrink), grow[1])
print(float(abs(back - ramp)[0, 90:165, 80:155].max()))
"""


def test_a_ramp_comes_back_from_the_cells_where_it_was(run_on_jax):
    assert float(run_on_jax("-c", ALIGNED).stdout) < 1e-3   # half a pixel would be 2e-3


BLED = """
import cv2, numpy as np, jax.numpy as jnp
from benchmarks.accelerator import canvas
image = cv2.GaussianBlur(np.random.default_rng(1).random((256, 256, 3), np.float32), (0, 0), 4)
image = np.uint8(255 * (image - image.min()) / np.ptp(image))
known = np.ones((256, 256), np.uint8)
known[91:166, 80:155] = 0
near = (cv2.dilate(1 - known, np.ones((3, 3))) > 0) & (known > 0)
data = cv2.imencode(".jpg", np.ascontiguousarray((image * known[..., None])[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
given = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) / 255
made = np.asarray(canvas.simulate_jpeg(jnp.float32(image[None]) / 255, jnp.float32(known[None])))[0]
print(*(float(np.sqrt(np.square(given - other)[near].mean())) for other in (image / 255, made)))
"""


def test_colour_bleeds_beside_a_box_as_in_a_jpeg(run_on_jax):
    clean, bled = map(float, run_on_jax("-c", BLED).stdout.split())
    assert bled < clean / 3
