"""The README and the documentation: every flag, file and link exists, and every command is accepted by the command line."""

import re

import pytest
from support.documentation import find_commands
from support.stages import ROOT

from pixmend import config, models
from pixmend.cli import read_settings
from pixmend.commands import COMMANDS
from pixmend.fills import FILLS
from pixmend.networks.registry import NETWORKS

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = {page.name: page.read_text(encoding="utf-8") for page in PAGES}
TO_FOLLOW = [name for name in TEXTS if not name.startswith("add-a-")]   # those make files first; tests of their own follow them
OTHERS_FLAGS = {"--help", "--compare", "--logdir", "--backend-store-uri", "--config", "--upgrade", "--data", "--out",
                 "--signal", "--nodes"}


@pytest.mark.parametrize("name", TO_FOLLOW)
def test_command_line_accepts_every_command(name, tmp_path):
    for words in find_commands(TEXTS[name]):
        stage, flags = ("configure", words[1:]) if words[0] == "./run_pipeline.sh" else (words[1], words[2:])
        assert stage in COMMANDS, words
        if flags and "--help" not in flags and not {"--run", "--config"} & set(flags) and stage != "completion":
            read_settings(stage, [*flags, "--home", str(tmp_path)])


def test_pages_have_commands():
    assert len(find_commands(TEXTS["README.md"])) >= 3 and len(find_commands("".join(TEXTS.values()))) >= 20


@pytest.mark.parametrize("name", TEXTS)
def test_every_flag_exists(name):
    text = re.sub(r"(docker|uv|pip|pytest|git|python3?) [^`\n]*", "", TEXTS[name])
    flags = set(re.findall(r"(?<![\w=-])--[a-z][a-z0-9-]*", text))
    known = {config.flag(setting) for setting in config.SETTINGS}
    assert flags <= known | {flag.replace("--", "--no-", 1) for flag in known} | OTHERS_FLAGS


@pytest.mark.parametrize("name", TEXTS)
def test_every_link_and_image_exists(name):
    folder = next(page for page in PAGES if page.name == name).parent
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", TEXTS[name]):
        if not target.startswith("http"):
            assert (folder / target).exists(), target


@pytest.mark.parametrize("name", TO_FOLLOW)
def test_every_file_of_the_project_exists(name):
    for path in re.findall(r"`((?:src|tests|benchmarks|docs)/[\w/.-]+)`", TEXTS[name]):
        assert (ROOT / path).exists(), path


def test_the_tables_of_models_name_every_network_and_fill():
    tables = re.findall(r"^\| `--model` \|.*\n(?:\|.*\n)+", TEXTS["models.md"], re.MULTILINE)
    cells = [line.split("|")[1] for table in tables for line in table.splitlines()[2:]]
    assert {name for cell in cells for name in re.findall("`(.+?)`", cell)} == {*NETWORKS, *FILLS}
    assert f"{len(NETWORKS)} networks and {len(FILLS)} fills" in TEXTS["README.md"]


def test_the_table_of_defaults_is_that_of_the_registry():
    table = re.search(r"^\| flag \|.*\n(?:\|.*\n)+", TEXTS["models.md"], re.MULTILINE)[0].splitlines()
    names = re.findall("`(.+?)`", table[0])
    for line in table[2:]:
        flag, *cells = (cell.strip(" `") for cell in line.strip("|").split("|"))
        spec = next(spec for spec in config.SETTINGS.values() if config.flag(spec.name) == flag)
        usual = [models.default_settings(name).get(spec.name, spec.default) for name in names]
        assert [type(spec.default)(cell) for cell in cells] == usual, flag
