"""Write the winners' archive of a run, as Kaggle asks winners for it, and say what the person must add."""

from pixmend.bundling.archive import bundle_run
from pixmend.config import Settings
from pixmend.progress import format_size


def main(settings: Settings) -> None:
    path = bundle_run(settings)
    print(f"bundle: {path}  {format_size(path.stat().st_size)}")
    print("Before you send it, fill in what is marked in README.md and summary.md, and make summary.pdf of the latter again.")
