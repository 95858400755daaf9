"""Write the one file that Kaggle runs: the package's source packed into a script, always the same bytes, with its metadata."""

import base64
import hashlib
import importlib.metadata
import io
import json
import os
import re
import zipfile
from pathlib import Path
from typing import Any

from pixmend import competitions, models
from pixmend.competitions.synthetic import add_file
from pixmend.config import PACKAGE, Settings
from pixmend.data import archive_manifest
from pixmend.errors import UserError
from pixmend.files import write_json, write_text
from pixmend.kaggle.kernel_sessions import Session
from pixmend.setting_values import format_flag

LEFT_OUT = {"__pycache__", "photographs"}  # folders; the photographs are those of the demo, which does not run at Kaggle
MAX_BYTES = 1_000_000  # Kaggle accepts no larger source of a kernel
IMPORT_NAMES = {"opencv-python-headless": "cv2", "scikit-learn": "sklearn", "scikit-image": "skimage"}
# The backend is added by its name.
NOT_IN_A_SESSION = {"tensorflow", "kaggle", "six", "rich", "matplotlib", "Jinja2", "optuna", "SQLAlchemy"}
PHOTO_PACKAGES = {"scikit-learn", "scikit-image"}
TEMPLATE = '''\
# {title}, written by `pixmend kernel`. The archive below contains the package pixmend as it was on your machine.
# push {tag}
import base64, io, json, os, sys, zipfile
from pathlib import Path

ORDER = json.loads({order!r})
ARCHIVE = """
{archive}"""

working = Path(os.environ.get("KAGGLE_WORKING_DIR", "/kaggle/working"))
code = working.parent / "temp" / "code"
zipfile.ZipFile(io.BytesIO(base64.b64decode(ARCHIVE))).extractall(code)
os.chdir(code)
sys.path.insert(0, str(code))
from pixmend.kaggle import kernel_main

kernel_main.run_session(ORDER, working)
'''


def write_kernel(folder: Path, ref: str, settings: Settings, flags: dict[str, Any], before: Session | None) -> str:
    """Write a session's kernel, which continues from the session `before`; return the tag of its push."""
    competition, backend = competitions.get_competition(settings.competition), os.environ.get("KERAS_BACKEND", "tensorflow")
    is_synthetic, slug = competition.is_synthetic, competition.slug
    manifest = archive_manifest.read_archive_manifest(settings.competition_folder)
    known = {name: manifest[name] for name in ("sha256", "count", "bytes")} if manifest and not is_synthetic else None
    order = {
        "competition": settings.competition, "dataset": settings.dataset_name, "run": settings.run, "slug": slug,
        "is_synthetic": is_synthetic, "archive": known, "kernel": ref, "previous": before.tag if before else "",
        "flags": [word for name, value in flags.items() for word in format_flag(name, value)],
        "hours": settings.kernel_hours, "internet": settings.internet, "wheels": settings.wheels, "backend": backend,
        "packages": list_packages(settings, backend)}
    metadata = {
        "id": ref, "title": ref.split("/")[1],   # a title equal to the name keeps Kaggle from renaming the kernel
        "language": "python", "kernel_type": "script", "is_private": True, "enable_gpu": True, "enable_tpu": False,
        "enable_internet": settings.internet, "model_sources": [],
        "dataset_sources": [settings.wheels] if settings.wheels else [],
        "competition_sources": [] if is_synthetic else [slug], "kernel_sources": [before.ref] if before else []}
    return write_script(folder, order, metadata | ({"machine_shape": settings.accelerator} if settings.accelerator else {}))


def write_script(folder: Path, order: dict[str, Any], metadata: dict[str, Any]) -> str:
    """Write kernel.py and kernel-metadata.json; return the push's tag, which is the same for the same session."""
    archive = _pack_source()
    tag = hashlib.sha256(json.dumps(order, sort_keys=True).encode() + archive).hexdigest()[:16]
    text = TEMPLATE.format(title=metadata["title"], tag=tag, order=json.dumps(order | {"tag": tag}, sort_keys=True),
                           archive=base64.encodebytes(archive).decode())
    if len(text) > MAX_BYTES:
        raise UserError(f"The kernel's script has {len(text) / 1e6:.1f} MB, and Kaggle accepts {MAX_BYTES / 1e6:g} MB. "
                        f"Move files that are not part of the package out of {PACKAGE}.")
    write_text(folder / "kernel.py", text)
    write_json(folder / "kernel-metadata.json", metadata | {"code_file": "kernel.py"})
    return tag


def _pack_source() -> bytes:
    """Return the package's files, without the photographs, as a zip archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path in sorted(PACKAGE.rglob("*")):
            name = path.relative_to(PACKAGE.parent)
            if path.is_file() and not LEFT_OUT & set(name.parts) and not path.name.startswith("."):
                add_file(archive, name.as_posix(), path.read_bytes(), zipfile.ZIP_DEFLATED)
    return out.getvalue()


def list_requirements() -> list[str]:
    """Return the names of the packages that this one needs, without those of extras."""
    requirements = [text for text in importlib.metadata.requires("pixmend") or [] if "extra ==" not in text]
    return [re.split(r"[^\w.-]", text, maxsplit=1)[0] for text in requirements]


def list_packages(settings: Settings, backend: str) -> dict[str, str]:
    """Return what a session needs, as installed here: {"keras==3.15.1": "keras"}, each requirement with its name in imports."""
    is_synthetic = competitions.get_competition(settings.competition).is_synthetic
    excluded = NOT_IN_A_SESSION if is_synthetic else NOT_IN_A_SESSION | PHOTO_PACKAGES
    further = [backend, *([models.ENCODER_PACKAGE] if models.needs_encoder_package(vars(settings)) else [])]
    packages = {}
    for name in [*(name for name in list_requirements() if name not in excluded), *further]:
        try:
            requirement = f"{name}=={importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            requirement = name
        packages[requirement] = IMPORT_NAMES.get(name, name.replace("-", "_"))
    return packages
