"""Train the network, going on exactly where a stopped run stood; best weights by holdout RMSE are kept."""

from src import contests, files, models
from src.errors import UserError
from src.pictures import prepared
from src.progress import say
from src.settings import flag, of_the_run, with_defaults

MAY_GROW = {"steps", "minutes"}


def main(settings):
    folder = settings.run_folder
    with files.only_one(folder):
        if models.is_fill(settings.model):
            files.write_json(folder / "settings.json", of_the_run(settings) | {"contest": settings.contest})
            say(f"train: {settings.model} is a fill and has nothing to learn.")
            return
        train(settings, folder)


def train(settings, folder):
    from src.training import backend

    backend.start()
    from src.training import build, loop
    from src.training.batches import Batches

    settings = with_defaults(settings, models.named(settings.model).DEFAULTS)
    settings = build.with_precision(settings)
    ready = prepared.open_for(settings)
    if settings.force:
        forget(folder)
    continue_or_refuse(settings, folder)
    model = build.learner(settings)
    loop.compile_model(model, settings)
    build.write_settings(folder, settings)
    training = loop.Training(model, settings, ready, Batches(settings, ready, contests.named(settings.contest)), folder)
    if training.finished():
        say(f"train: {folder} has all its {training.step} steps; --force trains anew.")
        return
    training.run()
    say(f"train: step {training.step}, best holdout RMSE {training.best:.5f} on {len(training.looked_at)} pictures; {folder}")


def forget(folder):
    for path in [*folder.glob("state-*.npz"), *folder.glob("*.npz"), folder / "history.csv", folder / "settings.json"]:
        path.unlink(missing_ok=True)


def continue_or_refuse(settings, folder):
    """A run goes on under its own settings only; a larger budget is welcome while the learning rate does not depend on it."""
    stored = files.read_json(folder / "settings.json")
    if stored is None:
        return
    wanted = of_the_run(settings) | {"contest": settings.contest}
    changed = [name for name in sorted(wanted) if stored.get(name) != wanted[name]]
    if settings.schedule == "constant":
        changed = [name for name in changed if name not in MAY_GROW]
    if changed:
        told = ", ".join(f"{flag(name)} {stored.get(name)} (now {wanted[name]})" for name in changed)
        raise UserError(f"{folder} was trained with {told}; choose another --run, or --force to train it anew.")
