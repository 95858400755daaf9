"""What each study compares: its rows, the settings that they change, and what the study needs."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pixmend import backend, flags, models
from pixmend.config import Settings, flag
from pixmend.data.damage import count_block_holes
from pixmend.errors import FlagError, UserError
from pixmend.experiments import runner, search_space
from pixmend.networks.registry import NETWORKS, PIPELINES
from pixmend.training.loggers.registry import check_packages

LAMBDAS = (100.0, 200.0, 400.0, 800.0, 1000.0, 1200.0, 20000.0)
NOT_FOR_STUDIES = {"run": "each run is named after its flags", "seed": "each row has the seeds of --seeds",
                   "force": "finished runs are used again; delete their folders to train them anew",
                   "folds": "rows are compared on one holdout; train the best one with --folds",
                   "snapshots": "it compares the best weights of each run"}


@dataclass(frozen=True)
class Row:
    """A row of a study: the name for --rows, its title, the settings that it changes, and why it is left out, if it is."""

    name: str
    title: str
    values: Mapping[str, Any]
    left_out: str = ""
    once: bool = False   # nothing is trained, so one seed is enough
    fill: bool = False


@dataclass(frozen=True)
class Plan:
    """A study: a function to its rows, the settings that they change, and what is shown besides the RMSE."""

    what: str
    varies: tuple[str, ...]
    rows: Callable[[Settings, Any], list[Row]]
    defaults: Mapping[str, Any] = field(default_factory=dict)   # where no flag is given
    over: str = ""         # the number on the chart's axis
    curves: bool = False   # of training
    sized: bool = False    # with parameters and bytes
    timed: bool = False    # with seconds an image


def make_rows(name: str, titles: Mapping[str, str]) -> Callable[[Settings, Any], list[Row]]:
    """Return a function that returns a row for each of these values of a setting."""
    return lambda settings, dataset: [Row(value, title, {name: value}) for value, title in titles.items()]


def make_augmentation_rows(settings: Settings, dataset: Any) -> list[Row]:
    upright = {"augment": "none", "fresh_masks": False}
    return [Row("none", "no transforms", upright), Row("5x", "5x", upright | {"augment": "5x"}),
            Row("8x", "8x", upright | {"augment": "8x"}), Row("fresh", "new masks at each step", upright | {"fresh_masks": True})]


def make_lambda_rows(settings: Settings, dataset: Any) -> list[Row]:
    if not models.apply_model_defaults(settings).adversarial:
        raise FlagError(f"LAMBDA has no effect on --model {settings.model} alone: add --adversarial, or study --model pix2pix.")
    return [Row(f"{value:g}", f"LAMBDA {value:g}", {"LAMBDA": value}) for value in parse_numbers(settings, "LAMBDA", LAMBDAS)]


def make_level_rows(settings: Settings, dataset: Any) -> list[Row]:
    """Return a row for each number of levels; if images are too small for more levels, the row is left out."""
    backend.start_keras()
    from pixmend.training import setup

    rows, first = [], dict[Any, int]()   # the first number of levels with each list of weights
    height, width = settings.input_shape[:2]
    for value in parse_numbers(settings, "levels", range(4, 11)):
        chosen = dataclasses.replace(settings, levels=value, given=settings.given | {"levels"})
        network = setup.build_network(setup.resolve_precision(models.apply_model_defaults(chosen)))
        same = first.setdefault(tuple(tuple(variable.shape) for variable in network.variables), value)
        why = f"at {width}x{height} this is the same network as with {same} levels; it needs a larger --size"
        rows.append(Row(str(value), f"{value} levels", {"levels": value}, why if same != value else ""))
    return rows


def make_model_rows(settings: Settings, dataset: Any) -> list[Row]:
    """Return a row for each model that fits the competition, all with the same number of steps."""
    return [Row(name, name, {"model": name, "steps": settings.steps}, explain_unfit(name, settings, dataset),
                once=not models.is_trainable(name), fill=models.is_fill(name))
            for name in list_image_models()]


def list_image_models() -> list[str]:
    return [name for name in models.list_models() if not models.finds_masks(name)]


def explain_unfit(name: str, settings: Settings, dataset: Any) -> str:
    """Return why a model cannot be used here; empty if it can."""
    if models.is_trainable(name) and NETWORKS[name].blocks_only:
        from pixmend.competitions import missing_pixels

        middle = count_block_holes(dataset.counts.shape[1:], missing_pixels.BLOCK, missing_pixels.MISSING) > 0
        if not all((middle | (dataset.read_counts(row) == 0)).all() for row in dataset.split("holdout")):
            return "it predicts only the middle 2x2 pixels of each 8x8 block, and more is missing here"
    if not models.is_fill(name) and not models.is_trainable(name):
        try:
            PIPELINES[name].load().find_python(settings)
        except UserError:
            return "its environment is not installed; see --diffusion-env"
    return ""


OPTIMIZERS = {"adam": "Adam", "sgd": "SGD", "rmsprop": "RMSprop", "adagrad": "Adagrad"}
LOSSES = {"l2": "l2 (MSE)", "l1": "l1", "poisson": "Poisson", "kl": "KL", "cross_entropy": "cross entropy"}
PLANS = {
    "optimizers": Plan("Optimizers, each with its usual learning rate where none is given", ("optimizer",),
                       make_rows("optimizer", OPTIMIZERS), {"model": "unet"}, curves=True),
    "losses": Plan("Losses", ("loss",), make_rows("loss", LOSSES), {"model": "unet"}, curves=True),
    "models": Plan("All models that fit the competition", ("model",), make_model_rows, sized=True, timed=True),
    "lambda": Plan("LAMBDA, the weight of the reconstruction loss", ("LAMBDA",), make_lambda_rows, {"model": "pix2pix"},
                   over="LAMBDA"),
    "augmentation": Plan("Transforms of the training images, or new masks at each step", ("augment", "fresh_masks"),
                         make_augmentation_rows, {"model": "pix2pix_published"}),
    "levels": Plan("Steps down and up", ("levels",), make_level_rows, {"model": "pix2pix_published"}, over="levels", sized=True),
}


def take_study_name(words: list[str]) -> tuple[str, list[str]]:
    """Return the name of the study, which may stand before, between or after the flags, and the other words."""
    found = flags.find_words(words)
    if not found:
        raise FlagError(f"Name the study: pixmend study NAME [flags], with one of {', '.join(PLANS)}.")
    place = next((place for place in found if words[place] in PLANS), found[0])
    if words[place] not in PLANS:
        raise FlagError(f"There is no study {words[place]!r}. There are: {', '.join(PLANS)}.")
    return words[place], words[:place] + words[place + 1:]


def check_study(settings: Settings, plan: Plan) -> None:
    """Raise an error for settings that a study cannot have, before anything starts."""
    for name, values in settings.swept:
        advice = f"choose its rows with --rows {values}" if name in plan.varies else "`pixmend sweep` tries several"
        raise FlagError(f"{flag(name)} {values}: a study takes one value of each flag; {advice}.")
    for name in settings.given.intersection(plan.varies):
        raise FlagError(f"{flag(name)} is what the study {settings.about} compares; choose its rows with --rows.")
    runner.refuse_flags(settings, "study", NOT_FOR_STUDIES)
    if "model" not in plan.varies and not models.is_trainable(settings.model):
        raise FlagError(f"--model {settings.model} is not trained, so there is no study of its {settings.about}.")
    check_packages(settings)
    check_row_names(settings, plan)


def check_row_names(settings: Settings, plan: Plan) -> None:
    """Refuse --rows that the study does not have; of the studies, only that of models looks at the images to list its rows."""
    if plan.over:   # --rows of a number makes the rows themselves
        parse_numbers(settings, plan.varies[0], ())
        return
    names = list_image_models() if plan.rows is make_model_rows else [row.name for row in plan.rows(settings, None)]
    if wrong := [name for name in split_names(settings) if name not in names]:
        raise FlagError(f"--rows {settings.rows}: the study {settings.about} has no row {wrong[0]!r}. It has {', '.join(names)}.")


def apply_study_defaults(settings: Settings, plan: Plan) -> Settings:
    """Return the settings that all rows share."""
    return runner.make_run_settings(settings, {name: plan.defaults[name] for name in plan.defaults if name not in settings.given})


def parse_seeds(settings: Settings) -> list[int]:
    try:
        return list(dict.fromkeys(search_space.parse_value("seed", text.strip()) for text in settings.seeds.split(",")))
    except FlagError as error:
        raise FlagError(f"--seeds {settings.seeds}: give seeds separated by commas. {error}") from None


def parse_numbers(settings: Settings, name: str, defaults: Iterable[float]) -> list[Any]:
    """Return the values for one row each, in ascending order."""
    return sorted({search_space.parse_value(name, text) for text in split_names(settings)}) or list(defaults)


def split_names(settings: Settings) -> list[str]:
    return [text.strip() for text in settings.rows.split(",")] if settings.rows else []


def select_rows(settings: Settings, plan: Plan, dataset: Any) -> list[Row]:
    """Return the rows of the plan that --rows names, or all."""
    rows = {row.name: row for row in plan.rows(settings, dataset)}
    wanted = list(rows) if plan.over else split_names(settings) or list(rows)   # --rows of a number makes the rows themselves
    return [row for name, row in rows.items() if name in wanted]


class PlannedRun(NamedTuple):
    """A run of a study, whether it is made already or not."""

    row: Row
    seed: int
    settings: Settings


def plan_runs(settings: Settings, rows: list[Row], seeds: list[int]) -> list[PlannedRun]:
    """Return the runs of a study: all rows with the first seed, then with the next."""
    return [PlannedRun(row, seed, runner.make_run_settings(settings, {**row.values, "seed": seed}))
            for seed in seeds for row in rows if not row.left_out and (seed == seeds[0] or not row.once)]
