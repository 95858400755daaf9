"""Publish an exported run: as a model at the Hugging Face hub or at Kaggle. Without --send it says only what would be sent."""

from pathlib import Path

from pixmend import files
from pixmend.config import Settings
from pixmend.errors import FlagError, UserError
from pixmend.progress import format_size
from pixmend.setting_values import format_run_command
from pixmend.sharing import exported_files
from pixmend.sharing.export import get_export_folder
from pixmend.sharing.packages import import_quietly
from pixmend.sharing.shared_run import describe_error

KINDS = {"hub": "hub:OWNER/NAME", "kaggle": "kaggle:OWNER/MODEL/FRAMEWORK/VARIATION"}


def publish_run(settings: Settings) -> list[str]:
    """Send the files of an exported run, or only list them; return what was done, line by line."""
    kind, place = parse_target(settings.to)
    folder = get_export_folder(settings)
    check_complete(folder, settings)
    lines = [f"{path.name}  {format_size(path.stat().st_size)}" for path in sorted(folder.iterdir())]
    if not settings.send or settings.dry_run:
        return [*lines, f"Nothing was sent. To send these files to {settings.to}, add --send."]
    return [*lines, f"Sent to {SEND[kind](place, folder, settings)}"]


def parse_target(target: str) -> tuple[str, str]:
    kind, _, place = target.partition(":")
    parts = KINDS.get(kind, "").partition(":")[2].split("/")
    if not place or len(place.split("/")) != len(parts) or not all(place.split("/")):
        raise FlagError(f"--to {target!r}: name the place as {' or '.join(KINDS.values())}.")
    return kind, place


def check_complete(folder: Path, settings: Settings) -> None:
    """Raise an error unless every file is there as it was exported."""
    command = format_run_command("export", settings.run, settings)
    found = exported_files.read_description(folder) if folder.exists() else {"files": {}}
    if not found["files"]:
        raise UserError(f"{folder} is missing. Export the run first: {command}")
    for name, sha256 in found["files"].items():
        if not (folder / name).is_file() or files.hash_file(folder / name) != sha256:
            raise UserError(f"{folder / name} is missing or was changed. Export it again: {command}")


def send_to_hub(place: str, folder: Path, settings: Settings) -> str:
    """Upload the folder in one commit; the repository is made if there is none. Return its address."""
    with import_quietly():
        from httpx import HTTPError
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HFValidationError
    try:
        client = HfApi()
        client.create_repo(place, exist_ok=True)
        client.upload_folder(repo_id=place, folder_path=folder, commit_message=f"pixmend run {settings.run}")
    except (HTTPError, HFValidationError, OSError) as error:
        raise UserError(f"hub:{place} was not published: {describe_error(error)} A login is made with: hf auth login") from None
    return f"{client.endpoint}/{place}"


def send_to_kaggle(place: str, folder: Path, settings: Settings) -> str:
    """Upload the folder as a new version of the model, which is made, private, if there is none. Return its name."""
    with import_quietly():
        import kagglehub
        from kagglehub.exceptions import BackendError, KaggleApiHTTPError
    try:
        kagglehub.model_upload(place, str(folder), version_notes=f"pixmend run {settings.run}")
    except (BackendError, KaggleApiHTTPError, ValueError, OSError) as error:
        raise UserError(f"kaggle:{place} was not published: {describe_error(error)}") from None
    return f"kaggle:{place}"


SEND = {"hub": send_to_hub, "kaggle": send_to_kaggle}
