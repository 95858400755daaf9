"""Export a trained run for other programs and people: .keras, ONNX, safetensors with settings, and a model card."""

from pixmend.config import Settings
from pixmend.progress import format_size
from pixmend.scoring.outdated import read_current_score
from pixmend.sharing.export import export_run


def main(settings: Settings) -> None:
    folder = export_run(settings, read_current_score(settings))
    for path in sorted(folder.iterdir()):
        print(f"{path.name}  {format_size(path.stat().st_size)}")
    print(f"exported: {folder}")
