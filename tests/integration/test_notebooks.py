"""Every notebook, executed in a kernel of this environment with small values for its parameters."""

import csv
import io
import re
import zipfile

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient
from PIL import Image
from support.journeys import row
from support.kaggle_home import CONTEST, SIZE, SLUG, make_tiny_competition
from support.stages import ROOT, SMALL, clean_environment, done, stage

import pixmend

pytestmark = pytest.mark.long
FLAGS = (f"--size {SIZE} --width 4 --work-size 16 --steps 2 --batch-size 2 --evaluate-every 1 --evaluation-images 4 "
         "--masks-per-image 0")


def execute(name, folder, **values):
    """Execute a notebook in a folder, with other values of its parameters; return its code cells by id."""
    notebook = nbformat.read(ROOT / "notebooks" / name, as_version=4)
    [place] = [number for number, cell in enumerate(notebook.cells) if "parameters" in cell.metadata.get("tags", [])]
    assert all(re.search(rf"^{value} = ", notebook.cells[place].source, re.M) for value in values)
    source = "\n".join(f"{value} = {values[value]!r}" for value in values)
    notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(source, id="values"))
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}})
    with client.setup_kernel(env=clean_environment() | {"IPYTHONDIR": str(folder / ".ipython")}):
        for number, cell in enumerate(notebook.cells):
            client.execute_cell(cell, number)
    cells = {cell.id: cell for cell in notebook.cells if cell.cell_type == "code"}
    for cell in cells.values():
        for output in cell.outputs:
            assert output.output_type != "error" and output.get("name") != "stderr", output
    return cells


def read_text(cell):
    """Return all that a cell printed, and the text of its result."""
    return "".join(output.get("text", "") or output.data.get("text/plain", "") for output in cell.outputs)


def count_images(cell):
    return sum("image/png" in output.get("data", {}) for output in cell.outputs)


def read_ids(path):
    with open(path, newline="", encoding="utf-8") as file:
        return [row[0] for row in csv.reader(file)]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "notebook").mkdir()
    return tmp_path / "notebook"


def check_entry(cells, out, home, competition):
    """Check the submission, the scores beside the baselines, and the pictures of the notebook that enters the competition."""
    assert read_ids(out / "submission.csv") == read_ids(home / "competition" / competition / "files/sample_submission.csv")
    values = pd.read_csv(out / "submission.csv")["value"]
    assert values.between(0, 1).all() and values.nunique() > 100
    scores = row(home, competition, "small")
    assert scores["holdout_rmse"] in read_text(cells["score"]) and scores["harmonic_rmse"] in read_text(cells["score"])
    assert (out / "report.html").stat().st_size > 10_000
    assert [count_images(cells[name]) for name in ("preview", "curve", "pictures")] == [1, 1, 1]
    assert f"{len(values):,}" in read_text(cells["submission"])


def test_entry_outside_kaggle_uses_the_demo(folder):
    cells = execute("enter-on-kaggle.ipynb", folder, FLAGS=FLAGS, RUN="small", KAGGLE=str(folder / "none"))
    check_entry(cells, folder, folder / "pixmend", "demo")


def test_entry_at_kaggle_uses_the_attached_competition_where_it_is(tmp_path):
    kaggle, attached = tmp_path / "kaggle", tmp_path / "kaggle/input/competitions" / SLUG
    (kaggle / "working").mkdir(parents=True)
    with zipfile.ZipFile(io.BytesIO(make_tiny_competition().archive)) as archive:
        archive.extractall(attached)
        names = {name for name in archive.namelist() if not name.endswith("/")}
    cells = execute("enter-on-kaggle.ipynb", kaggle / "working", FLAGS=FLAGS, RUN="small", MINUTES=1, KAGGLE=str(kaggle))
    check_entry(cells, kaggle / "working", kaggle / "temp", CONTEST)
    files = kaggle / "temp/competition" / CONTEST / "files"
    assert files.is_symlink() and files.resolve() == attached
    assert {str(path.relative_to(attached)) for path in attached.rglob("*") if path.is_file()} == names
    kept = {str(path.relative_to(kaggle / "working")) for path in (kaggle / "working").glob("[!.]*")}
    assert kept == {"checkpoints", "report.html", "submission.csv"}
    assert (kaggle / "working/checkpoints" / CONTEST / "small/best.npz").exists()


def test_lambdas_are_compared_on_one_holdout(folder):
    cells = execute("tune-lambda.ipynb", folder, LAMBDAS=[1, 10, 100, 1000], STEPS=4, EVALUATE_EVERY=2, SIZE=SIZE, WIDTH=4)
    table = read_text(cells["table"])
    for run in ("lambda-1", "lambda-10", "lambda-100", "lambda-1000", "not-adversarial"):
        history = pd.read_csv(folder / "pixmend/checkpoints/demo" / run / "history.csv")
        assert list(history["step"]) == [0, 2, 4] and ("discriminator" in history) == run.startswith("lambda")
        assert f"{history['holdout_rmse'].iloc[-1]:.4f}" in table and f"{history['holdout_rmse'].min():.4f}" in table
    assert count_images(cells["curves"]) == count_images(cells["pictures"]) == 1


@pytest.fixture
def picture(tmp_path):
    """A picture with a transparent square."""
    pixels = np.random.default_rng(1).integers(0, 256, (40, 50, 4), np.uint8)
    pixels[..., 3] = 255
    pixels[10:20, 10:20, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


def test_pictures_are_mended_by_fills_and_by_a_run(folder, home, picture):
    done(stage("train", home, *SMALL, "--steps", "2", "--run", "tiny"))
    cells = execute("mend-your-own-pictures.ipynb", folder, RUN="tiny", HOME=str(home), PICTURE=str(picture))
    before, after = (np.asarray(Image.open(path)) for path in (picture, folder / "mended.png"))
    missing = before[..., 3] == 0
    expected = pixmend.mend(before, missing, pixmend.load_run("tiny", home=str(home)))
    assert np.array_equal(after, expected) and np.array_equal(after[~missing], before[~missing])
    rmse = dict(re.findall(r"^(\w+) +(0\.\d+)", read_text(cells["score"]), re.M))
    assert rmse.keys() == {"mean", "telea", "smooth", "photos", "tiny"}
    assert 0 < float(rmse["smooth"]) < float(rmse["mean"])
    assert [count_images(cells[name]) for name in ("mask", "fills", "detail", "own")] == [1, 1, 1, 1]


def test_pictures_are_mended_with_a_mask_and_without_a_run(folder, picture, tmp_path):
    mask = np.zeros((40, 50), np.uint8)
    mask[30:35, 5:45] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    execute("mend-your-own-pictures.ipynb", folder, PICTURE=str(picture), MASK=str(tmp_path / "mask.png"))
    pixels = np.asarray(Image.open(picture))
    assert np.array_equal(np.asarray(Image.open(folder / "mended.png")), pixmend.fill(pixels, mask))


def test_known_pixels_of_a_deep_grey_picture_and_its_profile_stay(folder, tmp_path):
    pixels, mask = np.linspace(0, 65535, 2000).reshape(40, 50).astype(np.uint16), np.zeros((40, 50), np.uint8)
    mask[20:25, 5:45] = 255
    Image.fromarray(pixels).save(tmp_path / "deep.png", icc_profile=b"profile")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    execute("mend-your-own-pictures.ipynb", folder, PICTURE=str(tmp_path / "deep.png"), MASK=str(tmp_path / "mask.png"))
    mended = Image.open(folder / "mended.png")
    assert mended.mode == "I;16" and np.array_equal(np.asarray(mended)[mask == 0], pixels[mask == 0])
    assert mended.info["icc_profile"] == b"profile"
