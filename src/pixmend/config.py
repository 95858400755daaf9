"""All settings, grouped by who reads them, each with its default, range and help in one line; LAMBDA has its default here.

A function that needs one group takes that group: every Settings object is an object of every group.
"""

import dataclasses
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pixmend.fills import FILLS

PACKAGE = Path(__file__).resolve().parent
CHECKOUT = PACKAGE.parents[1]
IN_CHECKOUT = (CHECKOUT / "run_pipeline.sh").exists()
ROOT = CHECKOUT if IN_CHECKOUT else Path.cwd()   # where data folders are without --home

AUTO = "auto"   # how 0 is written where a value can be found automatically
# Names of settings in the first edition: its run folders are still read, and its flags still work, with a warning.
RENAMED = {"contest": "competition", "begin": "init_from", "even": "contrast_weighting", "damages": "masks_per_image",
           "fresh_damage": "fresh_masks", "check_every": "evaluate_every", "check_pictures": "evaluation_images",
           "pictures": "photos", "average": "ema_decay", "decay": "weight_decay", "clip": "clip_norm", "warm_up": "warmup_steps",
           "hide_mask": "unknown_masks", "located": "mask_run", "filling": "hole_colour", "group": "steps_per_call",
           "again": "resubmit", "patience": "kaggle_timeout", "study": "sweep_name", "broken": "broken_images",
           "wait": "wait_minutes"}
UNLIMITED_STEPS = 10**8


def setting(default: Any, help: str, **limits: Any) -> Any:
    """Define a setting: its default, what it does, which values it may take, and what older runs did (see SettingSpec)."""
    return field(default=default, metadata={"help": help, "earlier": default, **limits})


@dataclass(frozen=True)
class CommonSettings:
    competition: str = setting("demo", "name of the competition")
    run: str = setting("", "name of the run; by default the model and the flags that differ from the defaults")
    home: str = setting(os.path.expanduser(os.environ.get("PIXMEND_HOME") or str(ROOT)), "folder with competition/, augment/, checkpoints/ and submissions/ (also: PIXMEND_HOME)", is_path=True)
    seed: int = setting(1, "seed of initial weights, of the order of images and of what is drawn during training", low=0, high=2**31 - 1)
    force: bool = setting(False, "do again what is still valid")
    quiet: bool = setting(False, "print only results and errors")


@dataclass(frozen=True)
class DownloadSettings:
    size: int = setting(256, "side of the images in pixels", low=32, high=1024)
    photos: str = setting("", "folder of your own JPEG and PNG photos, for competitions that are made from photos", is_path=True)
    from_folder: str = setting("", "folder with the competition's files, unpacked already, as a Kaggle notebook has them; nothing is downloaded", is_path=True)
    hole_colour: str = setting("black", "colour of the missing regions in landscapes", choices=("black", "white"))
    broken_images: str = setting("stop", "what to do with a training image that cannot be decoded", choices=("stop", "skip"))


@dataclass(frozen=True)
class AugmentSettings:
    holdout: float = setting(0.1, "share of the training images to hold out, by whole source", low=0.01, high=0.5)
    folds: int = setting(1, "number of holdouts, with one training each, that together are all training images; 1: one holdout", low=1, high=100)
    split_seed: int = setting(1, "seed of the holdout and of --masks-per-image, independent of --seed", low=0, high=2**31 - 1)
    augment: str = setting("5x", "flips and rotations of each training image", choices=("none", "5x", "8x"))
    materialize: bool = setting(False, "also write the augmented images as PNG files, for other tools")
    damage: str = setting("", "damage training and holdout images as this other competition does")
    extra_pictures: str = setting("", "folder of further photos, for training only; those that show a holdout or test image are left out", is_path=True)
    unknown_masks: bool = setting(False, "give networks only the masks that the run --mask-run found; also score the whole image")


@dataclass(frozen=True)
class NetworkSettings:
    model: str = setting("window_unet", "what predicts the missing pixels: a network, a fill or a pretrained pipeline", earlier="pix2pix")
    width: int = setting(64, "channels of the first layer", low=1, high=8192)
    levels: int = setting(8, "steps down and up of a U-Net (fewer where images are smaller than 2^levels), or layers in a row", low=2, high=10)
    work_size: int = setting(64, "side at which residual_unet and pretrained_unet work, of resized windows, and of the square that edsr reads", low=16, high=1024)
    window: float = setting(0.0, "give the network a square around each box, of this many box sides; 0: the whole image", low=0, high=8)
    mask_channel: bool = setting(False, "give the mask to the network as one more channel")
    start: str = setting("harmonic", "fill that the network's output is added to; given: the damaged pixels; none: the output is the image", choices=("none", "given", *FILLS))
    encoder: str = setting("EfficientNetV2B0", "encoder of pretrained_unet: EfficientNetLite0 comes in a package, the others from keras.applications", choices=("EfficientNetV2B0", "ConvNeXtTiny", "MobileNetV3Small", "EfficientNetLite0"))
    encoder_weights: str = setting("imagenet", "initial weights of the encoder: imagenet (downloaded once, or in the package), none, or a file", is_path=True)
    freeze_encoder: bool = setting(False, "do not train the encoder")
    precision: str = setting("auto", "arithmetic of the network", choices=("auto", "float32", "bfloat16"))


@dataclass(frozen=True)
class TrainingSettings:
    adversarial: bool = setting(False, "train against a PatchGAN discriminator")
    LAMBDA: float = setting(1000.0, "weight of the reconstruction loss beside the adversarial loss; without --model it chooses pix2pix", low=0, high=1e6)
    disc_lambda: float = setting(1.0, "weight of the fake images in the discriminator's loss", low=0, high=1e6)
    loss: str = setting("l1", "reconstruction loss", choices=("l1", "l2", "huber", "poisson", "kl", "cross_entropy"))
    loss_region: str = setting("all", "pixels that the reconstruction loss counts", choices=("all", "hole"))
    contrast_weighting: bool = setting(False, "divide the loss at each pixel by the contrast around it")
    steps: int = setting(20000, "training steps in all; --minutes alone sets no limit to them", low=1, high=UNLIMITED_STEPS)
    minutes: float = setting(0.0, "train for this many minutes, or for --steps if that is less; 0: no limit", low=0, high=10**6)
    batch_size: int = setting(4, "images a step, over all devices; auto: the largest power of two up to 512 that fits", low=1, high=4096, auto=True)
    optimizer: str = setting("adam", "optimizer; those other than adam have a usual learning rate of their own", choices=("adam", "sgd", "rmsprop", "adagrad"))
    learning_rate: float = setting(2e-4, "learning rate", low=1e-8, high=1)
    beta_1: float = setting(0.5, "first momentum of Adam, momentum of SGD", low=0, high=0.9999)
    beta_2: float = setting(0.999, "second momentum of Adam", low=0, high=0.999999)
    weight_decay: float = setting(0.0, "weight decay a step, multiplied by the learning rate", low=0, high=1)
    schedule: str = setting("constant", "learning rate over the run", choices=("constant", "cosine"))
    warmup_steps: int = setting(0, "steps over which the learning rate rises at the beginning", low=0, high=10**6)
    ema_decay: float = setting(0.0, "decay of the averaged weights; 0: no averaging", low=0, high=0.99999)
    clip_norm: float = setting(0.0, "largest norm of the gradients; 0: no limit", low=0, high=1e6)
    init_from: str = setting("", "finished run of the same network whose weights are the initial ones; photos: those that come with pixmend")
    masks_per_image: int = setting(0, "new masks that are drawn and filled for each image before training", low=0, high=100)
    fresh_masks: bool = setting(False, "draw a new mask each time an image is used")
    jitter: int = setting(0, "resize images to this side, then crop at random (286 for 256); 0: off", low=0, high=2048)
    noise: float = setting(0.0, "standard deviation of noise on the input pixels, in 0..1", low=0, high=1)
    evaluate_every: int = setting(500, "steps between two evaluations on the holdout", low=1, high=10**8)
    early_stopping: int = setting(0, "end after so many evaluations in a row without better weights; 0: off", low=0, high=10**6)
    evaluation_images: int = setting(64, "holdout images of an evaluation", low=1, high=10**6)
    snapshots: int = setting(0, "number of snapshots in the last half of the training, RUN@1 and so on", low=0, high=99)
    save_minutes: float = setting(5.0, "minutes between two saved states", low=0, high=600)
    log: str = setting("", "libraries that log the training, separated by commas: tensorboard, wandb, mlflow, trackio")
    steps_per_call: int = setting(0, "steps sent to the device together; auto: 16 on an accelerator with JAX, otherwise 1", low=1, high=1024, auto=True)


@dataclass(frozen=True)
class DistributedSettings:
    processes: str = setting("", "host:port of each process that trains this run, separated by commas (JAX only)")
    process: int = setting(0, "number of this process; process 0 writes the files", low=0, high=4095)


@dataclass(frozen=True)
class PlanSettings:
    devices: int = setting(8, "largest number of devices in a plan", low=1, high=4096)
    bandwidth: float = setting(100.0, "Gbit/s between the devices of a plan", low=0.001, high=1e6)


@dataclass(frozen=True)
class PredictionSettings:
    predict_mode: str = setting("inference", "batch norm and dropout as in inference or as in training", choices=("inference", "training"))
    tta: int = setting(1, "flips and rotations to average predictions over", choices=(1, 8))
    mask_run: str = setting("locate", "with --unknown-masks: run that found the masks")


@dataclass(frozen=True)
class TestSetSettings:
    test_folder: str = setting("", "folder with a new test set in the competition's format; only it is predicted, and no training image is needed", is_path=True)


@dataclass(frozen=True)
class DiffusionSettings:
    diffusion_model: str = setting("stabilityai/stable-diffusion-2-inpainting", "inpainting pipeline: a name for diffusers, or a folder")
    prompt: str = setting("picture of a {class}", "prompt for an image of a known class")
    prompt_without_class: str = setting("animal", "prompt for other images")
    diffusion_size: int = setting(512, "side of the images for the pipeline, a multiple of 8", low=64, high=1024)
    diffusion_steps: int = setting(50, "denoising steps", low=1, high=1000)


@dataclass(frozen=True)
class DiffusionEnvironmentSettings:
    diffusion_env: str = setting("", "environment made from requirements-diffusion.txt; by default .diffusion", is_path=True)


@dataclass(frozen=True)
class EnsembleSettings:
    members: str = setting("", "runs to mix into --run, separated by commas; file:THEIRS.csv is a file of others, with THEIRS.holdout.csv beside it")
    convert_files: bool = setting(False, "convert files in --members whose order of channels, or scale, clearly is another one")


@dataclass(frozen=True)
class SubmissionSettings:
    channel_order: str = setting("bgr", "which colour is channel 0 in the submission", choices=("bgr", "rgb"))
    value_scale: str = setting("unit", "value/255, or each channel stretched to 0..1 over the image", choices=("unit", "minmax"))


@dataclass(frozen=True)
class ScoringSettings:
    submission: str = setting("", "submission file to score", is_path=True)
    solution: str = setting("", "solution to score it against (id, value, Usage)", is_path=True)


@dataclass(frozen=True)
class SubmitSettings:
    submit: bool = setting(False, "let run_pipeline.sh submit to Kaggle")
    if_asked: bool = setting(False, "submit only if the run was configured with --submit")
    dry_run: bool = setting(False, "do everything except sending")
    resubmit: bool = setting(False, "submit a file that was submitted before")
    message: str = setting("", "note for Kaggle's list, after the run's name and the file's hash")
    wait_minutes: float = setting(10.0, "minutes to wait for the score", low=0, high=1440)


@dataclass(frozen=True)
class KaggleSettings:
    kaggle_timeout: float = setting(120.0, "seconds without output after which the kaggle command is stopped", low=1, high=86400)


@dataclass(frozen=True)
class KernelSettings:
    kernel_hours: float = setting(8.0, "hours of training in a session; Kaggle ends sessions after 9 or 12 and keeps nothing", low=0.01, high=12)
    follow_minutes: float = setting(1440.0, "minutes to follow the session; it runs on at Kaggle afterwards", low=0, high=1440)
    internet: bool = setting(True, "let the session install missing packages from the network")
    wheels: str = setting("", "Kaggle dataset (owner/name) of wheels, for a session without network")
    accelerator: str = setting("", "kind of Kaggle's machine, such as NvidiaTeslaT4")
    save_only: bool = setting(False, "save the kernel at Kaggle without running it, which costs no session (kaggle 2.2.5 or newer)")


@dataclass(frozen=True)
class SweepSettings:
    sampler: str = setting("auto", "how trials are chosen; auto: grid if all values are listed, otherwise tpe", choices=("auto", "grid", "random", "tpe"))
    trials: int = setting(20, "number of trials; a grid tries all its points", low=1, high=10**5)
    sweep_name: str = setting("", "name of the sweep; by default the swept values")
    storage: str = setting("", "what several machines share: the URL of a database, or journal:FOLDER; by default SQLite in checkpoints/")
    prune: bool = setting(True, "stop a trial early that is in the worst quarter at an evaluation")


@dataclass(frozen=True)
class StudySettings:
    seeds: str = setting("1,2,3", "seeds of each row, separated by commas")
    rows: str = setting("", "rows of the study, separated by commas; by default all")


@dataclass(frozen=True)
class MendSettings:
    picture: str = setting("", "picture, or folder of pictures, to mend; also without the flag's name: pixmend mend PICTURE", is_path=True)
    mask: str = setting("", "which pixels are missing: a picture that is white there, a folder of such, alpha (what is transparent) or auto (what --mask-run finds)", is_path=True)
    out: str = setting("mended", "folder for the mended pictures", is_path=True)
    truth: str = setting("", "original, or folder of originals, to print the RMSE", is_path=True)
    compare: str = setting("", "runs and fills that mend the pictures, too, separated by commas")
    keep_metadata: bool = setting(False, "copy the EXIF data of the pictures")
    split: str = setting("", "write the images that --run has predicted instead: holdout or test", choices=("", "holdout", "test"))


@dataclass(frozen=True)
class ServeSettings:
    host: str = setting("127.0.0.1", "address at which the page is served; other machines see it only if it is not this one")
    port: int = setting(7860, "port of the page; 0: any that is free", low=0, high=65535)


@dataclass(frozen=True)
class PublishSettings:
    to: str = setting("", "where a run is published: hub:OWNER/NAME or kaggle:OWNER/MODEL/FRAMEWORK/VARIATION")


@dataclass(frozen=True)
class SendSettings:
    send: bool = setting(False, "send the files; without it they are only listed")


@dataclass(frozen=True)
class CleanSettings:
    delete: str = setting("", "kinds of files to delete, separated by commas; without it nothing is deleted")


@dataclass(frozen=True)
class Settings(CommonSettings, DownloadSettings, AugmentSettings, NetworkSettings, TrainingSettings, DiffusionSettings,
               DistributedSettings, PlanSettings, PredictionSettings, TestSetSettings, DiffusionEnvironmentSettings, EnsembleSettings,
               SubmissionSettings, ScoringSettings, SubmitSettings, KaggleSettings, KernelSettings, SweepSettings, StudySettings,
               MendSettings, ServeSettings, CleanSettings, PublishSettings, SendSettings):
    """Every setting of a run and of the command, and the folders that follow from them."""

    of_processes: int = 1              # how many processes train this run together
    cluster: str = ""                  # what started them, if JAX finds their addresses in its environment variables
    channels: int = 3                  # of the competition's images: 1 where they are grey
    given: frozenset = frozenset()     # names of the settings that were given as flags
    typed: frozenset = frozenset()     # those of them that were flags of this command
    stored: bool = False               # whether the values come from a run.toml, so that no default replaces them
    swept: tuple = ()                  # pairs of a setting and the values that a sweep tries
    about: str = ""                    # what a study compares

    @property
    def dataset_name(self) -> str:
        """Return the name of the data folders; runs with another damage have folders of their own."""
        return f"{self.competition}+{self.damage}" if self.damage else self.competition

    @property
    def competition_folder(self) -> Path:
        return Path(self.home) / "competition" / self.competition

    @property
    def augment_folder(self) -> Path:
        return Path(self.home) / "augment" / self.dataset_name

    @property
    def run_folder(self) -> Path:
        return Path(self.home) / "checkpoints" / self.dataset_name / self.run

    @property
    def snapshot(self) -> str:
        """Return the number of the snapshot that the run's name means, as 2 in `pix2pix@2`; empty for other runs."""
        return self.run.partition("@")[2]

    @property
    def trained_folder(self) -> Path:
        """Return the folder of the weights: those of `pix2pix@2` are in the folder of `pix2pix`."""
        return self.run_folder.with_name(self.run.partition("@")[0])

    @property
    def submissions_folder(self) -> Path:
        return Path(self.home) / "submissions" / self.dataset_name

    @property
    def shape(self) -> tuple[int, int, int]:
        return (self.size, self.size, self.channels)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Return the shape of a network's input: an image or a window."""
        return (self.work_size, self.work_size, self.channels) if self.window else self.shape


@dataclass(frozen=True)
class SettingSpec:
    """What is known of a setting besides its value."""

    name: str
    group: str
    default: Any
    help: str
    earlier: Any         # what runs did whose files do not have the setting: today's default, where it never changed
    low: float | None = None
    high: float | None = None
    choices: tuple | None = None
    auto: bool = False   # whether `auto` lets the program find a value, which is stored as 0
    is_path: bool = False   # whether it names a file or folder of this machine, whose place is no part of a name or a document


# The groups by name, in the order of --help; DiffusionEnvironmentSettings is "diffusion environment".
GROUPS = {re.sub("(?<=[a-z])(?=[A-Z])", " ", group.__name__.removesuffix("Settings")).lower(): group
          for group in Settings.__bases__}
SETTINGS = {f.name: SettingSpec(f.name, group, f.default, **f.metadata)
            for group, settings in GROUPS.items() for f in dataclasses.fields(settings)}
PATHS = {name for name, spec in SETTINGS.items() if spec.is_path}
TRAIN_GROUPS = ("network", "training")


def flag(name: str) -> str:
    return "--" + name.lower().replace("_", "-")


def group_values(settings: Settings, group: str) -> dict[str, Any]:
    """Return the settings of a group by name."""
    return {name: getattr(settings, name) for name, spec in SETTINGS.items() if spec.group == group}
