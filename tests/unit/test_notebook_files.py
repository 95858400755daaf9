"""The notebooks as they are stored: valid, without outputs, each cell valid Python, with one cell of parameters."""

import os
import subprocess
import sys

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from support.stages import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=nbformat.NO_CONVERT)


def list_code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_are_notebooks():
    assert len(NOTEBOOKS) >= 3


def test_format_is_valid_and_cells_have_ids(notebook):
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)


def test_no_outputs_are_stored(notebook):
    for cell in list_code_cells(notebook):
        assert cell.outputs == [] and cell.execution_count is None, cell.id
    assert set(notebook.metadata) == {"kernelspec", "language_info"}


def test_every_cell_compiles(notebook):
    for cell in list_code_cells(notebook):
        compile(TransformerManager().transform_cell(cell.source), cell.id, "exec")


def test_the_first_code_cell_has_the_parameters(notebook):
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    assert tagged == list_code_cells(notebook)[:1]


def test_a_folder_named_pixmend_is_not_taken_for_the_package(notebook, tmp_path):
    (tmp_path / "pixmend").mkdir()
    cell = next(cell for cell in list_code_cells(notebook) if "find_spec" in cell.source)
    program = "PIXMEND = ''\n" + "\n".join(line for line in cell.source.splitlines() if "%pip" not in line)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run([sys.executable, "-S", "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "AssertionError" in ended.stderr   # PIXMEND, from which it is installed, is empty
