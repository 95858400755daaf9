"""Write every setting of a run into its run.toml and print the path, so that later stages need only the run."""

from pixmend import models, run_file
from pixmend.config import Settings
from pixmend.training import run


def main(settings: Settings) -> None:
    """Write checkpoints/<competition>/<run>/run.toml, unless the run was trained with other settings."""
    settings = models.apply_model_defaults(settings)
    run.check_same_kind(settings)
    if models.is_trainable(settings.model) and not settings.force:
        run.check_same_settings(settings)
    print(run_file.save_run(settings))
