"""What a competition must offer: a frozen value of a class with typed methods.

Images are uint8, height x width x channels (3 for RGB, 1 for grey). Counts are uint8, height x width: how many rows of a
submission ask for a pixel, 0 where it is known. A mask is bool, height x width, True where counts are above 0.
Predictions are float32 in 0..1 with an image's shape.
"""

import difflib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pixmend.config import DownloadSettings
from pixmend.data import windows
from pixmend.data.damage import BLACK, Box, cover_pixels
from pixmend.data.image_record import ImageRecord
from pixmend.evaluation.metrics import Metric
from pixmend.submissions.submission_format import SubmissionFormat

Shape = tuple[int, int, int]   # height, width, channels


@dataclass(frozen=True, kw_only=True)
class Competition(ABC):
    """A competition: where its images are, how they are damaged, and how a submission looks.

    `slug` is its name on Kaggle; `defaults` replaces defaults of settings, and `model_defaults` those of a model, where other
    ones suit the competition's images; `metrics` are its scores besides the RMSE.
    """

    slug: str
    submission: SubmissionFormat
    defaults: Mapping[str, Any] = field(default_factory=dict)
    model_defaults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    metrics: Mapping[str, Metric] = field(default_factory=dict)

    is_synthetic: ClassVar[bool] = False    # whether its archive is made here, from photos; else it comes from Kaggle
    accepts_photos: ClassVar[bool] = False  # whether it can be made from a user's own photos
    runs_at_kaggle: ClassVar[bool] = True   # whether its images can be had in a session at Kaggle

    def __init_subclass__(cls) -> None:
        """Refuse a method whose name is almost that of a hook."""
        hooks = {name for base in cls.__mro__[1:] for name in vars(base) if not name.startswith("_")}
        for name in set(vars(cls)) - hooks:
            if not name.startswith("_") and (near := difflib.get_close_matches(name, hooks, 1, cutoff=0.8)):
                raise TypeError(f"{cls.__name__}.{name} is not a method of a competition; did you mean {near[0]}?")

    @abstractmethod
    def read_images(self, folder: Path, shape: Shape) -> list[ImageRecord]:
        """List the training images, then the test images, of the unpacked archive; nothing is decoded."""

    def read_test_images(self, folder: Path, shape: Shape) -> list[ImageRecord]:
        """List the test images of a folder in the archive's form, which may hold nothing else."""
        return [record for record in self.read_images(folder, shape) if record.split == "test"]

    @abstractmethod
    def draw_mask(self, rng: np.random.Generator, shape: Shape, settings: DownloadSettings) -> np.ndarray:
        """Draw the counts of a new damage."""

    def damage_image(self, rng: np.random.Generator, image: np.ndarray,
                     settings: DownloadSettings) -> tuple[np.ndarray, np.ndarray]:
        """Return a damaged copy of an image, and the counts; by default `hole_value` stands wherever pixels are missing."""
        counts, value = self.draw_mask(rng, image.shape, settings), self.hole_value(settings)
        assert value is not None, f"{type(self).__name__} has no hole_value, so it must define damage_image"
        return cover_pixels(image, counts, value), counts

    def hole_value(self, settings: DownloadSettings) -> int | None:
        """Return the grey level of all missing pixels, by default black; None where `damage_image` does something else."""
        return BLACK if type(self).damage_image is Competition.damage_image else None

    def find_boxes(self, damaged: np.ndarray, counts: np.ndarray) -> list[Box]:
        """Return the boxes around which a network on windows looks, of a damaged image, float32 in 0..1."""
        return windows.find_boxes(counts)

    def apply_constraint(self, prediction: np.ndarray, damaged: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Return the prediction, changed to agree with what the damaged image, float32 in 0..1, shows of its missing pixels."""
        return prediction

    @property
    def has_constraint(self) -> bool:
        """Whether a damaged image shows something of its missing pixels, so that it is a baseline itself."""
        return type(self).apply_constraint is not Competition.apply_constraint

    def cache_key(self, settings: DownloadSettings) -> dict[str, Any]:
        """Return all that decides the files of the archive."""
        return {"slug": self.slug}
