"""Find the commands of a page of the documentation; follow a page literally in a copy of the package."""

import re
import shlex
import shutil
import subprocess
import sys

from support.stages import ROOT, clean_environment

RUN_ALL = "import sys; from pixmend.__main__ import main\nfor line in sys.stdin:\n    assert main(line.split()) == 0, line"


def read_page(name):
    return (ROOT / "docs" / name).read_text()


def find_commands(text: str) -> list[list[str]]:
    """Return the project's commands of a page, from blocks and from inline code, without those that hold placeholders."""
    blocks = re.findall(r"^ *```\n(.*?)^ *```", text, re.M | re.S)
    lines = [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    inline = [code.replace("\n", " ") for code in re.findall(r"(?<!`)`([^`\n]+)`", text)]
    found = [shlex.split(line, comments=True) for line in [*lines, *inline]
             if re.match(r"(\./run_pipeline\.sh|pixmend [a-z])", line)]
    return [words for words in found if not any(re.fullmatch(r"[A-Z.]+", word) for word in words)]


def follow_page(page, registry, folder):
    """Save the page's file, add its entry to the registry of that name, run all its commands, and return the folder."""
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    file, entry = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    (folder / re.search(r"Save this as `(.*)`", page)[1]).write_text(file)
    path = folder / re.search(rf"Add it to `{registry}` in `(.*)`", page)[1]
    text = path.read_text()
    start = re.search(rf"^{registry}\b.*\{{\n", text, re.M).end()
    path.write_text(text[:start] + entry + text[start:])
    commands = re.findall(r"^pixmend (.*)$", page, re.M)
    result = subprocess.run([sys.executable, "-c", RUN_ALL], cwd=folder, capture_output=True, text=True,
                            input="".join(f"{command} --home {shlex.quote(str(folder))} --quiet\n" for command in commands),
                            env=clean_environment() | {"PYTHONPATH": str(folder / "src")})
    assert result.returncode == 0, result.stdout + result.stderr
    return folder
