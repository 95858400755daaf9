"""The packages that a session needs: Kaggle's own where they can be imported, the others installed by pip at our versions.

`list_packages` runs on the user's machine. The rest runs in the session before any package is known to be there, so only the
standard library is imported here.
"""

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

IMPORT_NAMES = {"opencv-python-headless": "cv2", "scikit-learn": "sklearn", "scikit-image": "skimage"}
NOT_IN_A_SESSION = {"tensorflow", "kaggle", "six", "rich", "matplotlib", "Jinja2", "optuna", "SQLAlchemy"}  # the backend is added by name
DEMO_PHOTOS = {"scikit-learn", "scikit-image"}
IMPORT_PROGRAM = """
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except Exception as error:
        print("missing:", name, "|", error)
"""


def list_packages(backend: str, *, is_synthetic: bool) -> dict[str, str]:
    """Return what a session needs, as installed here: {"keras==3.15.1": "keras"}, each requirement with the name it is imported by."""
    requirements = [text for text in importlib.metadata.requires("pixmend") or [] if "extra ==" not in text]
    names = [re.split(r"[^\w.-]", text, maxsplit=1)[0] for text in requirements]
    excluded = NOT_IN_A_SESSION if is_synthetic else NOT_IN_A_SESSION | DEMO_PHOTOS
    packages = {}
    for name in [*(name for name in names if name not in excluded), backend]:
        try:
            requirement = f"{name}=={importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            requirement = name
        packages[requirement] = IMPORT_NAMES.get(name, name.replace("-", "_"))
    return packages


def install_missing(order: dict[str, Any], inputs: Path) -> None:
    """Install what is missing, from the internet or from attached wheels, or exit with a message that says what it is."""
    packages = order["packages"]
    if not (missing := find_missing(packages)):
        print("All packages are installed already.", flush=True)
        return
    error = _install([requirement for requirement in packages if packages[requirement] in missing], order["internet"], inputs)
    if missing := find_missing(packages):
        requirements = ", ".join(requirement for requirement in packages if packages[requirement] in missing)
        reason = "pip could not install it" if order["internet"] else \
            "internet is off: send it with --internet, or attach a dataset with its wheels (--wheels owner/name)"
        raise SystemExit(f"This session lacks {requirements}, and {reason}. {error} {'; '.join(missing.values())}")


def find_missing(packages: dict[str, str]) -> dict[str, str]:
    """Return the modules that cannot be imported, and why; a process of its own tries it, since a failed import leaves traces."""
    ended = subprocess.run([sys.executable, "-c", IMPORT_PROGRAM, *packages.values()], capture_output=True, text=True)
    if ended.returncode:
        raise SystemExit(f"Python could not import {', '.join(packages.values())}: {ended.stderr.strip()[-300:]}")
    return dict(re.findall(r"^missing: (\w+) \| (.*)", ended.stdout, re.MULTILINE))


def _install(requirements: list[str], internet: bool, inputs: Path) -> str:
    """Run pip once, and return the last line of its errors where it failed."""
    folders = sorted({str(wheel.parent) for depth in ("*", "*/*", "*/*/*") for wheel in inputs.glob(f"{depth}/*.whl")})
    print(f"Installing {', '.join(requirements)} ({'with internet' if internet else 'from attached wheels'}).", flush=True)
    links = [word for folder in folders for word in ("--find-links", folder)]
    ended = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                            *([] if internet else ["--no-index"]), *links, *requirements], capture_output=True, text=True)
    return ended.stderr.strip().splitlines()[-1] if ended.returncode and ended.stderr.strip() else ""
