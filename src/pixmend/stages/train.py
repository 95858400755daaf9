"""Train a run's network, or continue exactly where it stopped; the weights with the lowest holdout RMSE are saved."""

import contextlib

from pixmend import files, models, progress
from pixmend.config import Settings
from pixmend.training import distributed, run


def main(settings: Settings) -> int | None:
    """Train the run in checkpoints/<competition>/<run>; of a model that is not trained, only store the settings."""
    settings = distributed.resolve_processes(models.apply_model_defaults(settings))
    progress.quiet |= bool(settings.cluster and settings.process)   # task 0 alone prints
    run.check_run(settings)
    if distributed.is_launcher(settings):
        return distributed.run_in_child(settings)
    with files.try_lock(settings.run_folder) if settings.process == 0 else contextlib.nullcontext():
        if models.is_trainable(settings.model):
            with distributed.exit_if_process_lost(settings):
                run.train_run(settings)
        elif settings.process == 0:
            run.check_same_kind(settings)
            run.save_run_settings(settings)
            kind = "a fill" if models.is_fill(settings.model) else "pretrained"
            progress.print_message(f"train: {settings.model} is {kind}; nothing is trained.")
    return None
