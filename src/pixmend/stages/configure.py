"""Write every setting of a run into its run.toml and print the path, so that later stages need only the run."""

from pixmend import models, run_file
from pixmend.config import Settings, flag
from pixmend.errors import FlagError
from pixmend.training import run

NOT_STORED = {"processes": "train", "process": "train", "submission": "score", "solution": "score"}   # and whose flags they are


def main(settings: Settings) -> None:
    """Write checkpoints/<competition>/<run>/run.toml, unless the run was trained with other settings."""
    check_stored(settings)
    settings = models.apply_model_defaults(settings)
    run.check_same_kind(settings)
    if models.is_trainable(settings.model) and not settings.force:
        run.check_same_settings(settings)
    print(run_file.save_run(settings))


def check_stored(settings: Settings) -> None:
    """Refuse flags that are not kept in run.toml, and that a later stage would miss."""
    for name, stage in NOT_STORED.items():
        if name in settings.given:
            raise FlagError(f"{flag(name)} is not stored with a run. Give it to the command that uses it: pixmend {stage} "
                            f"--run NAME {flag(name)} {getattr(settings, name)}")
