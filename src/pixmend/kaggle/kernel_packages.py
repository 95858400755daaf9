"""The packages that a session needs: Kaggle's own where they import, the missing ones by pip at our versions.

Only the standard library is imported here: this runs before anything else is known to be there.
"""

import re
import subprocess
import sys
from pathlib import Path

LISTED = Path(__file__).parent.parent.parent / "requirements.txt"
IMPORTED_AS = {"opencv-python-headless": "cv2", "scikit-learn": "sklearn", "scikit-image": "skimage"}
NOT_IN_A_SESSION = {"kaggle", "six", "rich", "pandas", "matplotlib", "Jinja2",  # of submit, of terminals, of the report,
                    "optuna", "SQLAlchemy"}                                     # and of sweeps
PHOTOS_OF_THE_DEMO = {"scikit-learn", "scikit-image"}
TRY = """
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except Exception as error:
        print("missing:", name, "|", error)
"""


def provide(order, inputs):
    """Install what is missing, from the net or from attached wheels, or end with a sentence that says what it is."""
    wanted = needed(order)
    lacking = missing(wanted)
    if not lacking:
        print("Kaggle's own packages suffice.", flush=True)
        return
    said = install([pin for pin in wanted if wanted[pin] in lacking], order["internet"], inputs)
    if lacking := missing(wanted):
        pins = ", ".join(pin for pin in wanted if wanted[pin] in lacking)
        way = "pip could not install it" if order["internet"] else \
            "internet is off: send it with --internet, or attach a dataset with their wheels (--wheels owner/name)"
        raise SystemExit(f"This session lacks {pins}, and {way}. {said} {'; '.join(lacking.values())}")


def needed(order):
    """Each pin of requirements.txt that a session needs, and the module it is imported as."""
    pins = re.findall(r"^([\w.-]+)(==[\w.]+)", LISTED.read_text(encoding="utf-8"), re.MULTILINE)
    without = NOT_IN_A_SESSION | (set() if order["made_here"] else PHOTOS_OF_THE_DEMO) | {"tensorflow"}
    wanted = {name + version: IMPORTED_AS.get(name, name.replace("-", "_")) for name, version in pins if name not in without}
    backend = dict(pins).get(order["backend"], "")
    return wanted | {order["backend"] + backend: order["backend"]}


def missing(wanted):
    """The modules that do not import, and why; asked in a process of its own, since a failed import leaves its traces."""
    asked = subprocess.run([sys.executable, "-c", TRY, *wanted.values()], capture_output=True, text=True)
    if asked.returncode:
        raise SystemExit(f"Python could not import {', '.join(wanted.values())}: {asked.stderr.strip()[-300:]}")
    return dict(re.findall(r"^missing: (\w+) \| (.*)", asked.stdout, re.MULTILINE))


def install(pins, internet, inputs):
    """Run pip once; the last line that it said where it failed."""
    folders = sorted({str(wheel.parent) for depth in ("*", "*/*", "*/*/*") for wheel in inputs.glob(f"{depth}/*.whl")})
    print(f"Installing {', '.join(pins)} ({'with internet' if internet else 'from attached wheels'}).", flush=True)
    found = [word for folder in folders for word in ("--find-links", folder)]
    ended = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                            *([] if internet else ["--no-index"]), *found, *pins], capture_output=True, text=True)
    return ended.stderr.strip().splitlines()[-1] if ended.returncode and ended.stderr.strip() else ""
