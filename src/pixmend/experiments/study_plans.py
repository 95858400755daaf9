"""What each study compares: its rows, the knobs that these set, and what it needs; `python -m pixmend study NAME`."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field

from pixmend import competitions, models
from pixmend.config import SETTINGS, apply_defaults, flag, usual_learning_rate
from pixmend.errors import FlagError, UserError
from pixmend.experiments import search_space

LAMBDAS = (100.0, 200.0, 400.0, 800.0, 1000.0, 1200.0)
LEVELS = (4, 5, 6, 7, 8, 9, 10)   # as the published tuning tried
UNPAIRED = {"run": "each run is named after its flags", "seed": "each row has the seeds of --seeds",
            "force": "runs that are done are used again; delete their folders to train them anew",
            "folds": "rows are compared on one holdout; train the best one with it"}


@dataclass(frozen=True)
class Row:
    """One line of a study: a name to choose it by, its title, what it sets, and why it has no run where it has none."""

    name: str
    title: str
    values: dict
    left_out: str = ""
    once: bool = False   # nothing is learnt, so that one seed tells all
    fill: bool = False


@dataclass(frozen=True)
class Plan:
    """A study: `rows(settings, ready)`, the knobs that its rows set, and what is drawn and told of it besides the RMSE."""

    what: str
    varies: tuple
    rows: Callable
    usual: dict = field(default_factory=dict)   # taken where no flag is given
    over: str = ""         # the number on the drawing's axis
    curves: bool = False   # of training
    sized: bool = False    # parameters and bytes
    timed: bool = False    # seconds a picture


def make_optimizer_rows(settings, ready):
    return make_rows("optimizer", {"adam": "Adam", "sgd": "SGD", "rmsprop": "RMSprop", "adagrad": "Adagrad"})


def make_loss_rows(settings, ready):
    return make_rows("loss", {"l2": "l2 (MSE)", "l1": "l1", "poisson": "Poisson", "kl": "KL", "cross_entropy": "cross entropy"})


def make_rows(knob, titles):
    return [Row(name, title, {knob: name}) for name, title in titles.items()]


def make_augmentation_rows(settings, ready):
    unturned = {"augment": "none", "fresh_masks": False}
    return [Row("none", "no variants", unturned), Row("5x", "5x", unturned | {"augment": "5x"}),
            Row("8x", "8x", unturned | {"augment": "8x"}), Row("fresh", "fresh damage", unturned | {"fresh_masks": True})]


def make_lambda_rows(settings, ready):
    if not apply_defaults(settings, models.default_settings(settings.model)).adversarial:
        raise FlagError(f"LAMBDA weighs nothing in --model {settings.model} alone: add --adversarial, or study --model pix2pix.")
    return [Row(f"{value:g}", f"LAMBDA {value:g}", {"LAMBDA": value}) for value in parse_numbers(settings, "LAMBDA", LAMBDAS)]


def make_level_rows(settings, ready):
    """A number of levels for which the pictures are too small gives the network of fewer: such a row is left out."""
    rows, first = [], {}
    for value in parse_numbers(settings, "levels", LEVELS):
        like = first.setdefault(list_weight_shapes(dataclasses.replace(settings, levels=value, given=settings.given | {"levels"})), value)
        height, width = settings.input_shape[:2]
        why = f"at {width}x{height} this is the network of {like} levels again; it takes a larger --size" if like != value else ""
        rows.append(Row(str(value), f"{value} levels", {"levels": value}, why))
    return rows


def list_weight_shapes(settings):
    """Of all weights of the network: what tells it from others."""
    from pixmend import backend

    backend.start_keras()
    from pixmend.training import setup

    settings = apply_defaults(settings, models.default_settings(settings.model) | usual_learning_rate(settings))
    return tuple(tuple(variable.shape) for variable in setup.build_network(setup.resolve_precision(settings)).variables)


def make_model_rows(settings, ready):
    """All that fit the contest, with as many steps each; a model that cannot take these pictures says so when it is built."""
    return [Row(name, name, {"model": name, "steps": settings.steps}, explain_unfit(name, settings, ready),
                once=not models.is_trainable(name), fill=models.is_fill(name))
            for name in models.list_models() if not models.finds_masks(name)]


def explain_unfit(name, settings, ready):
    if models.predicts_blocks_only(name) and not has_block_holes_only(ready):
        return "it paints the middle 2x2 pixels of each 8x8 block alone, and the holes here reach beyond"
    if models.is_fill(name) or models.is_trainable(name):
        return ""
    try:
        models.get_pipeline(name).check(settings)
    except UserError:
        return "its environment is not here; see --diffusion-env"
    return ""


def has_block_holes_only(ready):
    """Whether holes lie where such models paint, and nowhere else."""
    from pixmend.competitions import missing_pixels
    from pixmend.data.damage import count_block_holes

    middle = count_block_holes(ready.counts.shape[1:], missing_pixels.BLOCK, missing_pixels.MISSING) > 0
    return all((middle | (ready.hole(row) == 0)).all() for row in ready.split("holdout"))


PLANS = {
    "optimizers": Plan("Optimizers, each with its usual learning rate where none is given", ("optimizer",), make_optimizer_rows,
                       {"model": "unet"}, curves=True),
    "losses": Plan("Losses", ("loss",), make_loss_rows, {"model": "unet"}, curves=True),
    "models": Plan("All models that fit the contest", ("model",), make_model_rows, sized=True, timed=True),
    "lambda": Plan("LAMBDA, the weight of the reconstruction", ("LAMBDA",), make_lambda_rows, over="LAMBDA"),
    "augmentation": Plan("Variants of the training pictures, or new damage each time", ("augment", "fresh_masks"), make_augmentation_rows),
    "levels": Plan("Steps down and up", ("levels",), make_level_rows, over="levels", sized=True),
}


def take_study_name(words):
    """The name that comes first, and the flags after it."""
    if not words or words[0].startswith("-"):
        raise FlagError(f"Say what to study: `python -m pixmend study NAME [flags]` with one of {', '.join(PLANS)}.")
    if words[0] not in PLANS:
        raise FlagError(f"There is no study {words[0]!r}; there are: {', '.join(PLANS)}.")
    return words[0], words[1:]


def check_study(settings, plan):
    """What a study cannot be asked for, before anything starts."""
    for name, values in settings.swept:
        raise FlagError(f"{flag(name)} {values}: a study takes one value of each flag"
                        + (f"; its rows are chosen by --rows {values}." if name in plan.varies else "; `sweep` tries several."))
    for name in plan.varies:
        if name in settings.given:
            raise FlagError(f"{flag(name)} is what the study {settings.about} varies; choose among its rows with --rows.")
    for name, why in UNPAIRED.items():
        if name in settings.given and getattr(settings, name) != SETTINGS[name].default:
            raise FlagError(f"{flag(name)} is not for a study: {why}.")
    if "model" not in plan.varies and not models.is_trainable(settings.model):
        raise FlagError(f"--model {settings.model} has nothing to learn, so there is no study of its {settings.about}.")
    if settings.snapshots:
        raise FlagError("--snapshots is not for a study, which compares the best weights of each run.")


def apply_study_defaults(settings, plan):
    """The settings that all rows share."""
    usual = {name: value for name, value in plan.usual.items() if name not in settings.given}
    return search_space.make_trial_settings(settings, usual, competitions.get_default_settings(settings))


def parse_seeds(settings):
    found = []
    for text in settings.seeds.split(","):
        try:
            found.append(search_space.parse_value("seed", text.strip()))
        except FlagError as error:
            raise FlagError(f"--seeds {settings.seeds}: each is a seed, with commas between. {error}") from None
    return list(dict.fromkeys(found))


def parse_numbers(settings, knob, usual):
    """The values of a row each, from the lowest on."""
    return sorted({search_space.parse_value(knob, text) for text in split_names(settings)}) or usual


def split_names(settings):
    return [text.strip() for text in settings.rows.split(",")] if settings.rows else []


def select_rows(settings, plan, ready):
    """The rows of the plan that are asked for."""
    found = plan.rows(settings, ready)
    wanted = split_names(settings) if settings.rows and not plan.over else [row.name for row in found]
    for name in wanted:
        if name not in [row.name for row in found]:
            raise FlagError(f"--rows {settings.rows}: the study {settings.about} has no row {name!r}; "
                            f"it has {', '.join(row.name for row in found)}.")
    return [row for row in found if row.name in wanted]


def make_run_settings(settings, row, seed):
    """The settings of a run, named and valued as its own command would be."""
    return search_space.make_trial_settings(settings, row.values | {"seed": seed}, competitions.get_default_settings(settings))


def plan_runs(settings, rows, seeds):
    """(row, seed, settings) of each run: all rows with the first seed, then with the next."""
    return [(row, seed, make_run_settings(settings, row, seed)) for seed in seeds for row in rows
            if not row.left_out and (seed == seeds[0] or not row.once)]
