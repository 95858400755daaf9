"""Write every setting of a run into its run.toml and print the path, so that later stages need only the run."""

from pixmend import models, run_file
from pixmend.config import Settings


def main(settings: Settings) -> None:
    """Write checkpoints/<competition>/<run>/run.toml."""
    print(run_file.save_run(models.apply_model_defaults(settings)))
