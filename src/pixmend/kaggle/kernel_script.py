"""The one file that Kaggle runs: this checkout's source packed into a script, the same bytes each time, with its metadata."""

import base64
import hashlib
import io
import json
import zipfile

from pixmend.config import ROOT
from pixmend.errors import UserError
from pixmend.files import write_json, write_text

MOST_BYTES = 1_000_000  # Kaggle takes no larger source of a kernel
MOMENT = (1980, 1, 1, 0, 0, 0)
LINE = 120
TEMPLATE = '''\
# {title}, made by `python -m pixmend kernel`. The project's source is the archive below; unpacked it is src/, as on your machine.
# push {tag}
import base64, io, json, os, sys, zipfile
from pathlib import Path

ORDER = json.loads({order!r})
ARCHIVE = """
{archive}
"""

working = Path(os.environ.get("KAGGLE_WORKING_DIR", "/kaggle/working"))
code = working.parent / "temp" / "code"
zipfile.ZipFile(io.BytesIO(base64.b64decode(ARCHIVE))).extractall(code)
os.chdir(code)
sys.path.insert(0, str(code / "src"))
from pixmend.kaggle import kernel_main

kernel_main.run(ORDER, working)
'''


def write(folder, order, metadata):
    """Write kernel.py and kernel-metadata.json into a folder; return the push's tag, the same for the same session."""
    archive = packed()
    tag = hashlib.sha256(json.dumps(order, sort_keys=True).encode() + archive).hexdigest()[:16]
    order = json.dumps(order | {"tag": tag}, sort_keys=True)
    encoded = base64.b64encode(archive).decode()
    lines = "\n".join(encoded[start:start + LINE] for start in range(0, len(encoded), LINE))
    text = TEMPLATE.format(title=metadata["title"], tag=tag, order=order, archive=lines)
    if len(text) > MOST_BYTES:
        raise UserError(f"The kernel would have {len(text) / 1e6:.1f} MB and Kaggle takes {MOST_BYTES / 1e6:g} MB of source; "
                        f"move what does not belong there out of {ROOT / 'src'}.")
    write_text(folder / "kernel.py", text)
    write_json(folder / "kernel-metadata.json", metadata | {"code_file": "kernel.py"})
    return tag


def packed():
    """src/ and requirements.txt as a zip archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path in sorted([*(ROOT / "src").rglob("*"), ROOT / "requirements.txt"]):
            name = path.relative_to(ROOT)
            if path.is_file() and "__pycache__" not in name.parts and not path.name.startswith("."):
                member = zipfile.ZipInfo(name.as_posix(), MOMENT)
                member.compress_type, member.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                archive.writestr(member, path.read_bytes())
    return out.getvalue()


def metadata(ref, settings, *, competition, former):
    """What Kaggle wants to know of a kernel; a title equal to the name in `ref` keeps Kaggle from renaming it."""
    told = {"id": ref, "title": ref.split("/")[1], "language": "python", "kernel_type": "script", "is_private": True,
            "enable_gpu": True, "enable_tpu": False, "enable_internet": settings.internet, "model_sources": [],
            "dataset_sources": [settings.wheels] if settings.wheels else [],
            "competition_sources": [competition] if competition else [], "kernel_sources": [former] if former else []}
    return told | ({"machine_shape": settings.accelerator} if settings.accelerator else {})
