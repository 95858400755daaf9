"""All networks by name: where each is built, what it predicts, and the settings that it reads.

To add a network, write a file with a build function and add an entry to NETWORKS (docs/add-a-model.md).
Nothing is imported before it is used.
"""

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from pixmend.config import SETTINGS
from pixmend.errors import FlagError

if TYPE_CHECKING:
    import keras

ON_BLOCKS: dict[str, Any] = {
    "copies_known_pixels": True, "blocks_only": True,
    "defaults": {"batch_size": 1, "learning_rate": 1e-3, "beta_1": 0.9, "start": "none", "loss": "l2", "loss_region": "hole"}}
DEEPIX_DEFAULTS = {"batch_size": 64, "learning_rate": 1e-3, "beta_1": 0.9, "width": 32, "start": "none", "loss": "l2"}
UNET_DEFAULTS = {"batch_size": 32, "learning_rate": 1e-3, "beta_1": 0.9, "levels": 3, "start": "none", "loss": "l2"}
WINDOW_DEFAULTS = {"levels": 2, "batch_size": 512, "learning_rate": 1e-3, "beta_1": 0.9, "beta_2": 0.99, "weight_decay": 0.05,
                   "clip_norm": 0.01, "schedule": "cosine", "warmup_steps": 300, "ema_decay": 0.999, "loss": "l2",
                   "loss_region": "hole", "evaluate_every": 200, "evaluation_images": 550}


class Output(Enum):
    """What the last layer of a network that restores images returns."""

    UNIT = "an image in 0..1, as a sigmoid gives"
    SYMMETRIC = "an image in -1..1, as a tanh gives"
    LINEAR = "an image without bounds, as a layer without activation gives"
    RESIDUAL = "what to add to the input, whatever --start is"
    IMAGE_PLUS_RESIDUAL = "the input plus a residual"


@dataclass(frozen=True)
class NetworkSpec:
    """A network that is trained."""

    build: str     # "module:function"; it takes (input_shape, settings) and returns keras.Model([image, mask], output)
    summary: str   # one line for --help and the documentation
    defaults: Mapping[str, Any] = field(default_factory=dict)   # settings that replace the general defaults without a flag
    reads: tuple[str, ...] = ()         # settings that shape the network, of those that not every network has a use for
    finds_masks: bool = False           # the output is no image, but the probability of each pixel to be missing
    reads_square: bool = False          # of a whole image, it reads a square of --work-size pixels around the missing ones
    output: Output | None = None        # if None, one run of the network shows it (see residual.py)
    copies_known_pixels: bool = False   # the output counts where pixels are missing; known pixels are those of the input
    blocks_only: bool = False           # the output counts in the middle 2x2 pixels of each 8x8 block

    def __post_init__(self) -> None:
        unknown = {*self.defaults, *self.reads} - SETTINGS.keys()
        if unknown:
            raise ValueError(f"{self.build}: there is no setting {', '.join(sorted(unknown))}.")

    def load(self) -> "Callable[[tuple[int, int, int], Any], keras.Model]":
        """Import the build function."""
        module, _, name = self.build.partition(":")
        try:
            return getattr(importlib.import_module(module), name)
        except AttributeError:
            raise ValueError(f"{module} has no function {name!r}, which the registry names ({self.build}).") from None


@dataclass(frozen=True)
class PipelineSpec:
    """A pretrained pipeline, which predicts without training."""

    module: str   # it has the functions predict_images and find_python, as in stable_diffusion.py
    summary: str

    def load(self) -> Any:
        return importlib.import_module(self.module)


def get_network(name: str) -> NetworkSpec:
    if name not in NETWORKS:
        raise FlagError(f"There is no network {name!r}; there are: {', '.join(sorted(NETWORKS))}.")
    return NETWORKS[name]


def register_network(name: str, spec: NetworkSpec) -> None:
    """Add a network from outside the package, for example in a notebook; from then on --model finds it."""
    if name in NETWORKS:
        raise ValueError(f"There is already a network {name!r} ({NETWORKS[name].build}).")
    NETWORKS[name] = spec


NETWORKS: dict[str, NetworkSpec] = {
    "cnn": NetworkSpec(
        build="pixmend.networks.block_networks:build_cnn", output=Output.LINEAR, **ON_BLOCKS,
        summary="Small convolutional network for a 2x2 hole in every 8x8 block (23,748 parameters)."),
    "deepix": NetworkSpec(
        build="pixmend.networks.deepix:build_deepix",
        summary="DeePixV1 for pixelated areas: six blocks of convolutions at full size (2,415,107 parameters).",
        defaults=DEEPIX_DEFAULTS, reads=("width",), output=Output.UNIT, copies_known_pixels=True),
    "deepix_small": NetworkSpec(
        build="pixmend.networks.deepix:build_deepix_small", summary="DeePixV1 with three blocks (479,427 parameters).",
        defaults=DEEPIX_DEFAULTS, reads=("width",), output=Output.UNIT, copies_known_pixels=True),
    "edsr": NetworkSpec(
        build="pixmend.networks.edsr:build_edsr",
        summary="EDSR residual blocks at half size, in a square around the missing pixels.",
        defaults={"masks_per_image": 8, "start": "tile_smooth", "width": 96, "levels": 8, "work_size": 1024, "batch_size": 32,
                  "learning_rate": 1e-3, "beta_1": 0.9, "beta_2": 0.99, "weight_decay": 0.01, "clip_norm": 0.05,
                  "schedule": "cosine", "warmup_steps": 200, "ema_decay": 0.999, "loss": "l2", "loss_region": "hole",
                  "evaluate_every": 1000, "evaluation_images": 550},
        reads=("width", "levels", "work_size"), reads_square=True, output=Output.RESIDUAL, copies_known_pixels=True),
    "encoder_decoder": NetworkSpec(
        build="pixmend.networks.unet:build_encoder_decoder",
        summary="Encoder and decoder without skip connections, for masks of any shape (744,387 parameters).",
        defaults=UNET_DEFAULTS, reads=("width", "levels"), output=Output.SYMMETRIC),
    "lattice_mlp": NetworkSpec(
        build="pixmend.networks.lattice_mlp:build_lattice_mlp",
        summary="Dense layers on a window around the 2x2 hole of every 8x8 block.",
        defaults={"start": "biharmonic", "width": 192, "levels": 2, "batch_size": 4, "learning_rate": 2e-3, "beta_1": 0.9,
                  "beta_2": 0.99, "schedule": "cosine", "warmup_steps": 50, "ema_decay": 0.995, "loss": "l2",
                  "loss_region": "hole", "contrast_weighting": True},
        reads=("width", "levels"), output=Output.RESIDUAL, copies_known_pixels=True, blocks_only=True),
    "locate": NetworkSpec(
        build="pixmend.networks.locate:build_locate",
        summary="Small U-Net that finds missing pixels from the traces that damage leaves.",
        defaults={"start": "none", "loss": "cross_entropy", "batch_size": 4, "learning_rate": 1e-3, "beta_1": 0.9, "width": 24,
                  "levels": 3, "schedule": "cosine", "warmup_steps": 50, "clip_norm": 1.0, "fresh_masks": True, "steps": 1500,
                  "evaluate_every": 250, "unknown_masks": True}, reads=("width", "levels"), finds_masks=True),
    "mlp": NetworkSpec(
        build="pixmend.networks.block_networks:build_mlp", output=Output.UNIT, **ON_BLOCKS,
        summary="Perceptron for a 2x2 hole in every 8x8 block (14,824 parameters)."),
    "mlp_large": NetworkSpec(
        build="pixmend.networks.block_networks:build_mlp_large", output=Output.UNIT, **ON_BLOCKS,
        summary="Larger perceptron for a 2x2 hole in every 8x8 block (73,540 parameters)."),
    "mobilenet_v2": NetworkSpec(
        build="pixmend.networks.block_networks:build_mobilenet_v2", output=Output.UNIT, **ON_BLOCKS,
        summary="MobileNetV2 for a 2x2 hole in every 8x8 block (2,262,532 parameters)."),
    "pconv_unet": NetworkSpec(
        build="pixmend.networks.pconv_unet:build_pconv_unet",
        summary="U-Net of partial convolutions, which read known pixels only (25,255,508 parameters).",
        defaults={"batch_size": 4, "learning_rate": 5e-4, "beta_1": 0.9, "levels": 7, "start": "none", "loss": "l2"},
        reads=("width", "levels"), output=Output.LINEAR),
    "pix2pix": NetworkSpec(
        build="pixmend.networks.pix2pix:build_pix2pix",
        summary="Pix2Pix on a window around each box, from a fill: a U-Net trained against a PatchGAN discriminator.",
        defaults={"adversarial": True, "window": 2.0, "work_size": 64, "masks_per_image": 4, "start": "smooth",
                  "mask_channel": True, "batch_size": 32, "learning_rate": 4e-4, "schedule": "cosine", "warmup_steps": 100,
                  "ema_decay": 0.999, "LAMBDA": 20000.0, "loss": "l2", "loss_region": "hole"},
        reads=("width", "levels", "mask_channel"), output=Output.SYMMETRIC),
    "pix2pix_published": NetworkSpec(
        build="pixmend.networks.pix2pix:build_pix2pix",
        summary="Pix2Pix as published, on whole images (54,414,979 parameters).",
        defaults={"adversarial": True, "start": "none", "batch_size": 1, "predict_mode": "training"},
        reads=("width", "levels", "mask_channel"), output=Output.SYMMETRIC),
    "pretrained_unet": NetworkSpec(
        build="pixmend.networks.pretrained_unet:build_pretrained_unet",
        summary="U-Net whose encoder is a network with ImageNet weights.",
        defaults={"batch_size": 32, "learning_rate": 5e-4, "beta_1": 0.9, "width": 32, "work_size": 128, "start": "smooth",
                  "loss": "l2", "loss_region": "hole", "schedule": "cosine", "ema_decay": 0.998, "clip_norm": 1.0},
        reads=("width", "work_size", "encoder", "encoder_weights", "freeze_encoder"), output=Output.RESIDUAL,
        copies_known_pixels=True),
    "residual_unet": NetworkSpec(
        build="pixmend.networks.residual_unet:build_residual_unet",
        summary="U-Net with attention on the image scaled to --work-size.",
        defaults={"batch_size": 32, "learning_rate": 1e-3, "beta_1": 0.9, "width": 48, "levels": 4, "start": "smooth",
                  "loss": "l2", "loss_region": "hole", "schedule": "cosine", "warmup_steps": 100, "ema_decay": 0.998,
                  "clip_norm": 1.0}, reads=("width", "levels", "work_size"), output=Output.RESIDUAL, copies_known_pixels=True),
    "tile_mlp": NetworkSpec(
        build="pixmend.networks.window_mlp:build_tile_mlp", summary="window_mlp for one tile of a pixelated area.",
        defaults={**WINDOW_DEFAULTS, "window": 3.0, "work_size": 30, "masks_per_image": 1, "start": "tile_smooth", "width": 768,
                  "steps": 2000}, reads=("width", "levels"), output=Output.RESIDUAL),
    "unet": NetworkSpec(
        build="pixmend.networks.unet:build_unet",
        summary="U-Net without batch normalization, for masks of any shape (2,662,659 parameters).",
        defaults=UNET_DEFAULTS, reads=("width", "levels"), output=Output.SYMMETRIC),
    "window_mlp": NetworkSpec(
        build="pixmend.networks.window_mlp:build_window_mlp",
        summary="Dense layers on a window around each box; many windows a second, and less is learned from each.",
        defaults={**WINDOW_DEFAULTS, "window": 2.0, "work_size": 32, "masks_per_image": 16, "start": "harmonic",
                  "width": 1024}, reads=("width", "levels"), output=Output.RESIDUAL),
    "window_transformer": NetworkSpec(
        build="pixmend.networks.window_transformer:build_window_transformer",
        summary="Vision transformer on a window around each box, for accelerators (25 million parameters).",
        defaults={**WINDOW_DEFAULTS, "window": 3.0, "work_size": 96, "masks_per_image": 4, "start": "smooth", "width": 512,
                  "levels": 8, "learning_rate": 5e-4, "weight_decay": 0.1},
        reads=("width", "levels"), output=Output.RESIDUAL),
    "window_unet": NetworkSpec(
        build="pixmend.networks.window_unet:build_window_unet",
        summary="U-Net on a window around each box; the lowest RMSE on a CPU.",
        defaults={"init_from": "photos", "window": 2.0, "work_size": 64, "masks_per_image": 4, "start": "smooth", "width": 24,
                  "levels": 5, "batch_size": 32, "learning_rate": 1e-3, "beta_1": 0.9, "beta_2": 0.99, "clip_norm": 0.01,
                  "schedule": "cosine", "warmup_steps": 300, "ema_decay": 0.998, "loss": "l2", "loss_region": "hole",
                  "evaluate_every": 1000, "evaluation_images": 550, "tta": 8},
        reads=("width", "levels"), output=Output.RESIDUAL),
}

PIPELINES: dict[str, PipelineSpec] = {
    "stable_diffusion": PipelineSpec(
        module="pixmend.networks.stable_diffusion",
        summary="Pretrained Stable Diffusion inpainting, in an environment of its own."),
}
