"""What the page offers: fills, trained runs that can mend pictures, and photographs as examples."""

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path

from pixmend import models, run_file
from pixmend.config import Settings
from pixmend.data.photos import Photo, list_demo_photos
from pixmend.errors import UserError
from pixmend.mending.restorers import FillRestorer, Restorer, RunRestorer

FILLS = ("photos", "smooth", "harmonic", "biharmonic", "telea", "navier_stokes")   # the best one first


@dataclass(frozen=True)
class Choice:
    """A fill, or a run by the name of its competition and its own."""

    name: str
    run: Settings | None = None

    def open(self) -> Restorer:
        """Return what mends pictures, ready to begin."""
        if self.run is None:
            return FillRestorer(self.name)
        restorer = RunRestorer(self.run)
        restorer.build_networks()
        return restorer


def list_choices(home: Path) -> dict[str, Choice]:
    """Return the runs of a home that can mend pictures, then the fills."""
    found = []
    for path in sorted(home.glob(f"checkpoints/*/*/{run_file.RUN_FILE}")):
        with contextlib.suppress(UserError):   # a run that is not trained, or cannot mend pictures, is not offered
            run = replace(run_file.load_run(path), home=str(home), run=path.parent.name)
            if not models.is_fill(run.model):
                RunRestorer(run)
                found.append(Choice(f"{run.dataset_name}/{run.run}", run))
    return {choice.name: choice for choice in [*found, *map(Choice, FILLS)]}


def list_examples() -> dict[str, Photo]:
    """Return the photographs of the demo's test images, which no run of the demo was trained on."""
    return {photo.name: photo for photo in list_demo_photos() if photo.split == "test"}
