"""Every knob of the pipeline, its default, its range and what it does, one line each; LAMBDA has its number here."""

import argparse
import dataclasses
import difflib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from pixmend.errors import FlagError
from pixmend.fills import FILLS

ROOT = Path(__file__).resolve().parents[2]

AUTO = "auto"   # typed for the number 0 of a knob that can be found out by itself


def knob(default, what, *, of, low=None, high=None, choices=None, auto=False):
    """One setting: its default, what it does, the stage it belongs to, and which values it may take."""
    return field(default=default, metadata={"what": what, "of": of, "low": low, "high": high, "choices": choices, "auto": auto})


@dataclass(frozen=True)
class Settings:
    competition: str = knob("demo", "which contest: a file of src/contests", of="every stage")
    run: str = knob("", "name of the run; without it, the model and the flags that differ from the defaults", of="every stage")
    home: str = knob(str(ROOT), "folder that holds competition/, augment/, checkpoints/ and submissions/", of="every stage")
    seed: int = knob(1, "seed of the first weights, of the order and of every draw", of="every stage", low=0, high=2**31 - 1)
    force: bool = knob(False, "do again what is still valid", of="every stage")
    quiet: bool = knob(False, "no progress, only results and errors", of="every stage")

    size: int = knob(256, "side of the pictures in pixels", of="download", low=32, high=1024)
    photos: str = knob("", "a folder of your own JPEG and PNG photos, of which a contest that is made of photos is made", of="download")
    hole_colour: str = knob("black", "what landscapes pastes over its pictures", of="download", choices=("black", "white"))

    holdout: float = knob(0.1, "share of the training pictures kept apart, whole sources at a time", of="augment", low=0.01, high=0.5)
    folds: int = knob(1, "holdouts in turn, a run each, which together are all training pictures; --steps and --minutes are each run's; 1: one holdout", of="augment", low=1, high=100)
    split_seed: int = knob(1, "seed of what is kept apart, whatever --seed is", of="augment", low=0, high=2**31 - 1)
    augment: str = knob("5x", "variants of each training picture", of="augment", choices=("none", "5x", "8x"))
    materialize: bool = knob(False, "also write the variants as PNG files, for other tools", of="augment")
    damage: str = knob("", "train and score with the damage of this other contest", of="augment")
    unknown_masks: bool = knob(False, "tell a painter nothing of the masks but what the run --mask-run found; score the whole picture, too", of="augment")
    broken_images: str = knob("stop", "at a training picture that cannot be decoded: stop, or leave it out", of="augment", choices=("stop", "skip"))

    model: str = knob("pix2pix", "what fills the holes, or finds them: a file of src/models", of="train")
    init_from: str = knob("", "a finished run of the same network, whose weights are the first ones of this run", of="train")
    adversarial: bool = knob(False, "judge the painted pictures by a PatchGAN, too", of="train")
    LAMBDA: float = knob(1000.0, "weight of the reconstruction beside the adversarial term", of="train", low=0, high=1e6)
    disc_lambda: float = knob(1.0, "weight of the fake term in the discriminator's loss", of="train", low=0, high=1e6)
    steps: int = knob(20000, "optimizer steps in all", of="train", low=1, high=10**8)
    minutes: float = knob(0.0, "stop after so many minutes of training; 0: no limit", of="train", low=0, high=10**6)
    batch_size: int = knob(4, "pictures a step, over all devices; auto: the largest power of two that fits", of="train", low=0, high=4096, auto=True)
    optimizer: str = knob("adam", "what moves the weights; others than adam bring a usual learning rate of their own", of="train", choices=("adam", "sgd", "rmsprop", "adagrad"))
    learning_rate: float = knob(2e-4, "the optimizer's learning rate", of="train", low=1e-8, high=1)
    beta_1: float = knob(0.5, "Adam's first momentum, and SGD's", of="train", low=0, high=0.9999)
    beta_2: float = knob(0.999, "Adam's second momentum", of="train", low=0, high=0.999999)
    weight_decay: float = knob(0.0, "weight decay a step, in learning rates", of="train", low=0, high=1)
    schedule: str = knob("constant", "learning rate over the run", of="train", choices=("constant", "cosine"))
    warmup_steps: int = knob(0, "steps over which the learning rate rises to its height", of="train", low=0, high=10**6)
    width: int = knob(64, "channels of the first layer", of="train", low=1, high=8192)
    levels: int = knob(8, "steps down (pictures need 2^levels pixels a side; fewer are taken where they are smaller), or layers in a row", of="train", low=2, high=10)
    work_size: int = knob(64, "side at which residual_unet and pretrained_unet work, to which windows are shrunk, and of the square that edsr sees", of="train", low=16, high=1024)
    encoder: str = knob("EfficientNetV2B0", "what pretrained_unet sees with, of keras.applications", of="train", choices=("EfficientNetV2B0", "ConvNeXtTiny", "MobileNetV3Small"))
    encoder_weights: str = knob("imagenet", "what that encoder begins with: imagenet (fetched once), none, or a file of its weights", of="train")
    window: float = knob(0.0, "show the network a square around each box, of so many box sides; 0: whole pictures", of="train", low=0, high=8)
    masks_per_image: int = knob(0, "how often each picture is damaged anew, and filled, before training", of="train", low=0, high=100)
    mask_channel: bool = knob(False, "show the mask to the network as one more channel", of="train")
    start: str = knob("harmonic", "what the network sees in the hole and adds its output to; none: as given, nothing is added to", of="train", choices=("none", "given", *FILLS))
    loss: str = knob("l1", "distance to the whole picture", of="train", choices=("l1", "l2", "huber", "poisson", "kl", "cross_entropy"))
    loss_region: str = knob("all", "where that distance counts", of="train", choices=("all", "hole"))
    contrast_weighting: bool = knob(False, "weigh that distance by one over the contrast around a pixel, so that busy places do not teach alone", of="train")
    fresh_masks: bool = knob(False, "new damage each time a picture is seen", of="train")
    jitter: int = knob(0, "resize to this side, then crop at random (286 for 256); 0: off", of="train", low=0, high=2048)
    noise: float = knob(0.0, "random noise on the pixels shown, standard deviation in 0..1", of="train", low=0, high=1)
    ema_decay: float = knob(0.0, "averaged weights: share of the past kept a step; 0: off", of="train", low=0, high=0.99999)
    clip_norm: float = knob(0.0, "gradients' norm is clipped here; 0: off", of="train", low=0, high=1e6)
    precision: str = knob("auto", "arithmetic of the network", of="train", choices=("auto", "float32", "bfloat16"))
    evaluate_every: int = knob(500, "steps between two looks at the holdout", of="train", low=1, high=10**8)
    evaluation_images: int = knob(64, "holdout pictures for such a look", of="train", low=1, high=10**6)
    snapshots: int = knob(0, "weights kept along the last half of the budget, for mixes: RUN@1 the first, and so on", of="train", low=0, high=99)
    save_minutes: float = knob(5.0, "minutes between two saved states", of="train", low=0, high=600)
    steps_per_call: int = knob(0, "steps given to the device before their losses are looked at; auto: 16 on an accelerator, 1 on a CPU", of="train", low=0, high=1024, auto=True)

    processes: str = knob("", "host:port of each process that trains this run together, with commas between (on JAX)", of="several machines")
    process: int = knob(0, "which of them this one is; 0 writes the files", of="several machines", low=0, high=4095)

    diffusion_model: str = knob("stabilityai/stable-diffusion-2-inpainting", "inpainting pipeline: a name that diffusers finds, or a folder", of="stable_diffusion")
    prompt: str = knob("picture of a {class}", "what a picture is said to show", of="stable_diffusion")
    prompt_without_class: str = knob("animal", "the same where its class is unknown", of="stable_diffusion")
    diffusion_size: int = knob(512, "side at which it paints, a multiple of 8", of="stable_diffusion", low=64, high=1024)
    diffusion_steps: int = knob(50, "steps from noise to a picture", of="stable_diffusion", low=1, high=1000)

    diffusion_env: str = knob("", "environment made from requirements-diffusion.txt; without it, .diffusion beside .venv", of="predict")
    predict_mode: str = knob("inference", "batch norm and dropout as at inference, or as in training", of="predict", choices=("inference", "training"))
    mask_run: str = knob("locate", "with --unknown-masks: the run of a model that finds masks, in whose masks to paint", of="predict")
    tta: int = knob(1, "flips and turns of each picture painted and averaged", of="predict", choices=(1, 8))

    members: str = knob("", "runs to mix into --run, with commas between", of="ensemble")

    channel_order: str = knob("bgr", "which colour is channel 0 in the submission", of="serialize", choices=("bgr", "rgb"))
    value_scale: str = knob("unit", "value/255, or each channel stretched to 0..1 over the picture", of="serialize", choices=("unit", "minmax"))

    sampler: str = knob("auto", "how trials are picked; auto: grid where all values are listed, else tpe", of="sweep", choices=("auto", "grid", "random", "tpe"))
    trials: int = knob(20, "trials in all; a grid tries all its points", of="sweep", low=1, high=10**5)
    sweep_name: str = knob("", "name of the sweep; without it, what it sweeps", of="sweep")
    storage: str = knob("", "URL of the study's database, for several machines; without it, SQLite in checkpoints/", of="sweep")
    prune: bool = knob(True, "stop a trial early that is in the worst quarter at a look at the holdout", of="sweep")

    seeds: str = knob("1,2,3", "seeds of each row of a study, the same in all, with commas between", of="study")
    rows: str = knob("", "rows of a study, with commas between; without it, all that it has", of="study")

    submission: str = knob("", "a submission file to score", of="score")
    solution: str = knob("", "the solution to score it against (id, value, Usage)", of="score")

    submit: bool = knob(False, "let run_pipeline.sh submit to Kaggle", of="submit")
    dry_run: bool = knob(False, "do all but the upload", of="submit")
    resubmit: bool = knob(False, "submit a file that was submitted before", of="submit")
    message: str = knob("", "a note for Kaggle's list, after the run's name and the file's hash", of="submit")
    wait_minutes: float = knob(10.0, "minutes to wait for the score; for a kernel's end, where the flag is given (else until it ends)", of="submit", low=0, high=1440)
    kaggle_timeout: float = knob(120.0, "seconds without a sign of life after which kaggle is stopped", of="kaggle", low=1, high=86400)

    kernel_hours: float = knob(8.0, "hours after which a kernel stops training: Kaggle ends sessions after 9 or 12, with nothing kept", of="kernel", low=0.01, high=12)
    internet: bool = knob(True, "let the kernel install from the net what Kaggle lacks", of="kernel")
    wheels: str = knob("", "a Kaggle dataset (owner/name) with wheels for a kernel without internet", of="kernel")
    accelerator: str = knob("", "one of Kaggle's machines, as NvidiaTeslaT4; without it, Kaggle's usual GPU", of="kernel")

    of_processes: int = 1   # how many train this run together
    channels: int = 3   # the contest's: 1 where pictures are grey
    given: frozenset = frozenset()
    swept: tuple = ()  # pairs of a knob and the values that a sweep tries of it
    about: str = ""    # what a study compares

    @property
    def place(self):
        """Names the folders of what is prepared, trained and scored; under another damage nothing compares with the contest's own."""
        return f"{self.competition}+{self.damage}" if self.damage else self.competition

    @property
    def competition_folder(self):
        return Path(self.home) / "competition" / self.competition

    @property
    def augment_folder(self):
        return Path(self.home) / "augment" / self.place

    @property
    def run_folder(self):
        return Path(self.home) / "checkpoints" / self.place / self.run

    @property
    def snapshot(self):
        """The number in the name of a run that is a snapshot of another, as 2 in `pix2pix@2`; else an empty text."""
        return self.run.partition("@")[2]

    @property
    def trained_folder(self):
        """Where the run's weights are: those of `pix2pix@2` in the folder of `pix2pix`."""
        return self.run_folder.with_name(self.run.partition("@")[0])

    @property
    def submissions_folder(self):
        return Path(self.home) / "submissions" / self.place

    @property
    def shape(self):
        return (self.size, self.size, self.channels)

    @property
    def seen_shape(self):
        """What a network sees at once: a picture, or a window."""
        return (self.work_size, self.work_size, self.shape[2]) if self.window else self.shape


RUN = re.compile(r"(?!\.{1,2}(@|$))[\w.+=-]+(@[1-9]\d*)?")
STUDY = re.compile(r"(?!\.{1,2}$)[\w.+=-]+")
KNOBS = {f.name: f for f in dataclasses.fields(Settings) if f.metadata}
# What decides a run's weights: these are written beside them, and a run is not continued under others.
OF_A_RUN = [name for name, f in KNOBS.items() if f.metadata["of"] in ("download", "augment", "train", "stable_diffusion")] + ["seed"]
WITHOUT_EFFECT_ON_WEIGHTS = {"materialize", "save_minutes", "broken_images", "snapshots", "steps_per_call"}
NOT_IN_A_NAME = {"model", "damage", "evaluate_every", "evaluation_images"}
OF_RUNS = {"run", "init_from", "mask_run", "members"}   # whose values name runs
PATHS = {"photos", "encoder_weights"}   # in a run's name without their folders
# Learning rates that optimizers are usually given: SGD with momentum, RMSprop and Adagrad as in Keras and PyTorch.
USUAL_RATES = {"sgd": 1e-2, "rmsprop": 1e-3, "adagrad": 1e-2}


def of_the_run(settings):
    return {name: getattr(settings, name) for name in OF_A_RUN if name not in WITHOUT_EFFECT_ON_WEIGHTS}


def as_stored(stored):
    """A run's stored settings; what came after it was made stands as it was then: a default, and one seed for all."""
    known = {name: KNOBS[name].default for name in OF_A_RUN if name not in WITHOUT_EFFECT_ON_WEIGHTS}
    return known | {"split_seed": stored.get("seed", KNOBS["seed"].default)} | stored


def of_group(settings, group):
    return {name: getattr(settings, name) for name, f in KNOBS.items() if f.metadata["of"] == group}


def complete(settings, contest_defaults, defaults_of_model=lambda model: {}):
    """Settings with the contest's own defaults where no flag was given, and the run's name where none was.

    The name has what differs from the defaults, and a flag that is a default but beats another one of the model's or optimizer's.
    """
    contest_defaults = contest_defaults | in_every_stage(with_defaults(settings, contest_defaults), defaults_of_model)
    settings = with_defaults(settings, contest_defaults)
    settings = dataclasses.replace(settings, damage="") if settings.damage == settings.competition else settings
    usual = {name: f.default for name, f in KNOBS.items()} | contest_defaults
    own = defaults_of_model(settings.model) | usual_rate(settings)
    beaten = {name: value for name, value in own.items() if name in settings.given}
    changed = [name for name, value in of_the_run(settings).items()
               if name not in NOT_IN_A_NAME and (value != usual[name] or value != beaten.get(name, value))]
    words = [_word(name, getattr(settings, name)) for name in changed]
    return dataclasses.replace(settings, run=settings.run or "-".join([settings.model, *words]))


def in_every_stage(settings, defaults_of_model):
    """Of a model's own defaults those that other stages than training must know."""
    return {name: value for name, value in defaults_of_model(settings.model).items() if KNOBS[name].metadata["of"] != "train"}


def _word(name, value):
    word = flag(name).removeprefix("--")
    if isinstance(value, bool):
        return word if value else f"no-{word}"
    if isinstance(value, str):
        return "-".join([word, *re.findall(r"[\w.+=]+", Path(value).name if name in PATHS else value)])
    if KNOBS[name].metadata["auto"] and value == 0:
        return f"{word}-{AUTO}"
    return f"{word}{value:g}"


def flag(name):
    return "--" + name.lower().replace("_", "-")


def refusing(name):
    """How a knob is said to be off."""
    return flag(name).replace("--", "--no-", 1) if isinstance(KNOBS[name].default, bool) else f"{flag(name)} 0"


def usual_rate(settings):
    """An optimizer's own learning rate; Adam's is the model's."""
    return {"learning_rate": USUAL_RATES[settings.optimizer]} if settings.optimizer in USUAL_RATES else {}


def with_defaults(settings, defaults):
    """The settings with a contest's or a model's own defaults where no flag was given."""
    return dataclasses.replace(settings, **{k: v for k, v in defaults.items() if k not in settings.given})


def parse(arguments, environment=os.environ):
    """Settings from the command line; LAMBDA may also come from the environment."""
    if "LAMBDA" in environment and not any(a.split("=")[0] == "--lambda" for a in arguments):
        arguments = ["--lambda", environment["LAMBDA"], *arguments]
    values = vars(build_parser().parse_args(arguments))
    for name, value in values.items():
        _check_range(name, value)
    if values.get("folds", 1) > 1 and "holdout" in values:
        raise FlagError("--holdout and --folds exclude each other: of K folds each keeps one picture in K apart.")
    return Settings(**values, given=frozenset(values))


def build_parser():
    parser = _Parser(usage=argparse.SUPPRESS, add_help=False, allow_abbrev=False,
                     argument_default=argparse.SUPPRESS)
    groups = {}
    for name, f in KNOBS.items():
        group = groups.setdefault(f.metadata["of"], parser.add_argument_group(f.metadata["of"]))
        options = {"dest": name, "help": _help(f)}
        if isinstance(f.default, bool):
            options["action"] = argparse.BooleanOptionalAction
        else:
            options.update(type=_type(f), metavar=_metavar(f), choices=f.metadata["choices"])
        group.add_argument(flag(name), **options)
    return parser


def _type(f):
    """What reads a typed value; `auto` is 0 where a knob may be found out by itself."""
    kind = type(f.default)

    def number_or_auto(text):
        return kind() if text == AUTO else kind(text)

    number_or_auto.__name__ = f"{kind.__name__} or {AUTO}"
    return number_or_auto if f.metadata["auto"] else kind


def _metavar(f):
    metavar = f"{type(f.default).__name__.upper()}|{AUTO}" if f.metadata["auto"] else type(f.default).__name__.upper()
    return "|".join(map(str, f.metadata["choices"])) if f.metadata["choices"] else metavar


def _help(f):
    low, high = f.metadata["low"], f.metadata["high"]
    span = f", {low:g} to {high:g}" if low is not None else ""
    usual = AUTO if f.metadata["auto"] and f.default == 0 else f.default
    default = "" if f.default in ("", str(ROOT)) else f" (default {usual}{span})"
    return f.metadata["what"].replace("%", "%%") + default


def _check_range(name, value):
    low, high = KNOBS[name].metadata["low"], KNOBS[name].metadata["high"]
    if low is not None and not low <= value <= high:
        raise FlagError(f"{flag(name)} {value:g} is out of range: {low:g} to {high:g}.")
    if name == "mask_run" and not value:
        raise FlagError("--mask-run names no run; give that of a model that finds masks, as locate does.")
    if name in OF_RUNS:
        _check_runs(name, [run.strip() for run in value.split(",")] if name == "members" else [value])
    if name == "sweep_name" and value and not STUDY.fullmatch(value):
        raise FlagError(f"--sweep-name {value!r} cannot name a file: letters, digits and - _ . + = only.")


def _check_runs(name, runs):
    for run in filter(None, runs):
        if not RUN.fullmatch(run):
            raise FlagError(f"{flag(name)} {run!r} cannot name a run's files: letters, digits and - _ . + = only, and @NUMBER "
                            f"after the name of a run for one of its snapshots.")


class _Parser(argparse.ArgumentParser):
    """argparse that raises one sentence instead of printing its usage."""

    def error(self, message):
        raise FlagError(f"{message[0].upper()}{message[1:]}. `python -m pixmend --help` lists the flags.")

    def parse_args(self, arguments):
        values, unknown = self.parse_known_args(arguments)
        if unknown:
            word = unknown[0].split("=")[0]
            near = difflib.get_close_matches(word, self._option_string_actions, 1)
            hint = f" Did you mean {near[0]}?" if near else ""
            raise FlagError(f"There is no flag {word}.{hint} `python -m pixmend --help` lists the flags.")
        return values
