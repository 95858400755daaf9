"""All fills by name: they restore missing pixels without training.

A fill is a function of an image (float32, height x width x channels, 0..1; 3 channels or 1) and a mask (bool, height x width,
True where pixels are missing). It returns a new image, in which known pixels are bit for bit those of the input. The image that
is passed in is never changed. Fills read known pixels only; the tile fills also read the damaged ones. Where no pixel is known,
missing pixels become 0.5.
"""

import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np

Fill: TypeAlias = "Callable[[np.ndarray, np.ndarray], np.ndarray]"
FillOfImages: TypeAlias = "Callable[[Sequence[np.ndarray], np.ndarray], list[np.ndarray]]"


@dataclass(frozen=True)
class FillSpec:
    """A fill: "module:function", imported when it is used, and one line for --help and the documentation."""

    function: str
    summary: str
    is_pretrained: bool = False   # it learned from photos, so it is no baseline that training is measured by
    for_images: str = ""   # "module:function" of (images, mask): fills images with one mask in less time than one by one

    def load(self) -> Fill:
        return pkgutil.resolve_name(self.function)

    def load_for_images(self) -> FillOfImages:
        return pkgutil.resolve_name(self.for_images)


def is_pretrained(name: str) -> bool:
    return name in FILLS and FILLS[name].is_pretrained


def describe_kind(name: str) -> str:
    """Return what a table calls a fill, or the damaged image itself: a baseline, unless it is pretrained."""
    return "pretrained" if is_pretrained(name) else "baseline"


FILLS: dict[str, FillSpec] = {
    "harmonic": FillSpec("pixmend.fills.harmonic:fill_harmonic", "Each pixel is the mean of its neighbours."),
    "smooth": FillSpec("pixmend.fills.smooth:fill_smooth", "Best linear prediction (kriging) from the surrounding pixels.",
                       for_images="pixmend.fills.smooth:fill_smooth_images"),
    "biharmonic": FillSpec("pixmend.fills.biharmonic:fill_biharmonic", "Thin plate, for holes of a few pixels."),
    "tile_harmonic": FillSpec("pixmend.fills.tiles:fill_tile_harmonic", "Harmonic fill that keeps the mean of every tile."),
    "tile_smooth": FillSpec("pixmend.fills.tiles:fill_tile_smooth", "Smoother fill that keeps the mean of every tile."),
    "mean": FillSpec("pixmend.fills.simple:fill_mean", "Mean colour of all known pixels."),
    "ring": FillSpec("pixmend.fills.simple:fill_ring", "Mean colour of the known pixels next to each hole."),
    "telea": FillSpec("pixmend.fills.simple:fill_telea", "OpenCV's fast marching inpainting (Telea 2004)."),
    "navier_stokes": FillSpec("pixmend.fills.simple:fill_navier_stokes", "OpenCV's fluid inpainting (Bertalmio et al. 2001)."),
    "photos": FillSpec("pixmend.networks.photos_fill:fill_photos", "A network that comes with pixmend, trained on photographs.",
                       is_pretrained=True),
}
