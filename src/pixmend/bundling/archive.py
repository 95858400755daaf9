"""The winners' archive of a run: all its files collected and written as one zip file, the same bytes for the same contents."""

import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

from pixmend import files
from pixmend.bundling import entry_points, figures, model_files, pdf, readme, source, summary, unpacked
from pixmend.bundling.document import format_markdown
from pixmend.bundling.facts import Facts, collect_facts
from pixmend.config import Settings

DATE = (2023, 4, 15, 0, 0, 0)   # of every file in the archive
MODE = 0o644
STORED = {".npz", ".png", ".jpg", ".pdf"}   # compressed already, or hardly smaller
STRUCTURE = "directory_structure.txt"
Contents = dict[str, Path | bytes]


def get_bundle_path(settings: Settings) -> Path:
    return Path(settings.home) / "bundles" / settings.dataset_name / f"{settings.run}.zip"


def bundle_run(settings: Settings) -> Path:
    """Write the archive of a run, which appears when all of it is there; return its path."""
    runs = model_files.list_runs(settings)
    with files.try_lock(settings.run_folder):
        contents = collect_contents(collect_facts(settings, runs))
        path = get_bundle_path(settings)
        write_archive(path, contents)
    return path


def collect_contents(facts: Facts) -> Contents:
    """Return every file of the archive by its name: bytes, or where they are."""
    pictures = figures.make_figures(facts)
    blocks = summary.write_summary(facts, pictures)
    contents: Contents = source.list_source_files() | model_files.list_model_files(list(facts.runs))
    contents |= {picture.path: picture.data for picture in pictures}
    texts = {"README.md": readme.format_readme(facts), "summary.md": format_markdown(blocks),
             source.LOCK: source.format_requirements(facts.record, needs_pretrained=facts.needs_pretrained),
             "entry_points.md": entry_points.format_entry_points(facts.runs),
             unpacked.SETTINGS_FILE: json.dumps(entry_points.list_folders(facts.runs), indent=1) + "\n",
             **entry_points.write_scripts(facts.runs)}
    contents |= {name: text.encode() for name, text in texts.items()}
    contents["summary.pdf"] = pdf.render_pdf(f"Model summary: {facts.settings.run}", blocks)
    contents[STRUCTURE] = format_structure([*contents, STRUCTURE]).encode()
    return contents


def format_structure(names: list[str]) -> str:
    """Return all folders, and the files outside the package's own source."""
    folders = {f"{parent.as_posix()}/" for name in names for parent in Path(name).parents if parent.name}
    shown = {name for name in names if not name.startswith(f"{source.SOURCE_FOLDER}/")}
    return "\n".join(["./", *(f"./{name}" for name in sorted(folders | shown))]) + "\n"


def write_archive(path: Path, contents: Mapping[str, Path | bytes]) -> None:
    with files.atomic_write(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name in sorted(contents):
            add_file(archive, name, contents[name])


def add_file(archive: zipfile.ZipFile, name: str, data: Path | bytes) -> None:
    """Add a file with a fixed date; a large one is copied in pieces."""
    member = zipfile.ZipInfo(name, DATE)
    member.external_attr = MODE << 16
    member.compress_type = zipfile.ZIP_STORED if Path(name).suffix in STORED else zipfile.ZIP_DEFLATED
    if isinstance(data, bytes):
        archive.writestr(member, data)
        return
    member.file_size = data.stat().st_size
    with open(data, "rb") as file, archive.open(member, "w") as inside:
        shutil.copyfileobj(file, inside, files.CHUNK)
