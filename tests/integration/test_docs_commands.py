"""Every command of the documentation's pages, run in the order of its page, only smaller."""

import re
import shutil

import numpy as np
import pytest
from support.documentation import find_commands, read_page
from support.kaggle_home import SIZE
from support.stages import ROOT

from pixmend.cli import read_settings
from pixmend.commands import COMMANDS
from pixmend.data.encode import encode_png

PAGES = [path.name for path in sorted((ROOT / "docs").glob("*.md")) if not path.name.startswith("add-a-")]
SMALLER = ("--size", str(SIZE), "--width", "4", "--levels", "2", "--work-size", "32", "--steps", "2", "--batch-size", "2",
           "--evaluate-every", "1", "--evaluation-images", "4", "--masks-per-image", "0")
UNNAMED = ("sweep", "study", "kernel", "doctor", "completion", "mend", "contests",
           "clean", "history")   # commands whose runs have names of their own
STAGES = re.findall(r"^pixmend (\w+)\s+--config", (ROOT / "run_pipeline.sh").read_text(), re.M)

pytestmark = pytest.mark.long


def run_pipeline(machine, flags):
    """Run what run_pipeline.sh runs, with the run's file between the stages."""
    code, output = machine.run("configure", *flags, competition=None)
    run = output.strip().splitlines()[-1]
    for stage in STAGES if code == 0 else ():
        code, output = machine.run(stage, "--config", run, *(["--if-asked"] if stage == "submit" else []), competition=None)
        assert code == 0, (stage, output)
    return code, output


def find_block_commands(name):
    """Return the commands in the blocks of a page; those inside its sentences have flags that the page leaves open."""
    blocks = re.findall(r"^ *```\n.*?^ *```", read_page(name), re.M | re.S)
    commands = find_commands("\n".join(blocks))
    return [words for words in commands if "--submission" not in words]   # such a file is one that the reader has already


def make_pictures(folder):
    """Write the pictures, masks and originals that commands of the pages mend."""
    mask = np.zeros((40, 50, 3), np.uint8)
    mask[10:20, 10:20] = 255
    picture = np.random.default_rng(1).integers(0, 255, mask.shape, np.uint8)
    for name, pixels in (("photo", picture), ("mask", mask), ("original", picture), ("photos/a", picture), ("masks/a", mask),
                         ("originals/a", picture)):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / f"{name}.png").write_bytes(encode_png(pixels))


def make_smaller(machine, stage, flags):
    """Return the flags of a command for a small run, with the name that the run has on the page."""
    flags = [str(machine.home / word) if word.startswith(("submissions/", "competition/")) else word for word in flags]
    if "--extra-pictures" in flags:
        place = flags.index("--extra-pictures") + 1
        flags[place] = str(machine.home / flags[place])
    flags = [word.replace("file:", f"file:{machine.home}/") for word in flags]
    if "--out" in flags:
        place = flags.index("--out") + 1
        flags[place] = str(machine.home / flags[place])
    if stage == "mend":
        return [*(str(machine.home / word) if (machine.home / word).exists() else word for word in flags),
                *([] if "--out" in flags else ["--out", str(machine.home / "mended")])]
    if "--run" in flags and COMMANDS[stage].needs_run:
        return flags
    name = read_settings(stage, flags).run
    return [*flags, *SMALLER, *([] if stage in UNNAMED or "--run" in flags else ["--run", name])]


@pytest.mark.parametrize("name", [name for name in PAGES if find_block_commands(name)])
def test_commands_of_a_page_work_in_its_order(name, machine, prepared_home):
    shutil.copytree(prepared_home, machine.home)
    make_pictures(machine.home)
    for command, *words in find_block_commands(name):
        if command == "./run_pipeline.sh":
            code, output = run_pipeline(machine, make_smaller(machine, "configure", words))
        else:
            code, output = machine.run(words[0], *make_smaller(machine, words[0], words[1:]), competition=None)
        assert code == 0, (command, words, output)
