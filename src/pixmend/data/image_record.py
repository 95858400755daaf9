"""One image of a competition before it is decoded: its id, class, source, files and missing pixels."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from pixmend.data.damage import Box, count_boxes
from pixmend.data.decode import decode_image


@dataclass(frozen=True)
class ImageRecord:
    """Describes one image; its files are plain strings, which need less memory than a Path and reach a worker faster.

    The missing pixels are `boxes` (row, column, height, width) in the order of the submission; or the white pixels of the
    image file `missing`; or `drawn`, the counts of another competition's damage (uint8, height x width).
    """

    id: str
    label: str
    source: str
    split: str
    damaged: str
    original: str | None
    boxes: Sequence[Box] = ()
    missing: str | None = None
    drawn: np.ndarray | None = field(default=None, compare=False)

    def counts(self, shape: Sequence[int]) -> np.ndarray:
        """Return how many rows of a submission ask for each pixel: uint8, height x width."""
        if self.drawn is not None:
            return self.drawn
        if self.missing is not None:
            return (decode_image(self.missing, (*shape[:2], 1))[..., 0] > 127).astype(np.uint8)
        return count_boxes(self.boxes, shape)
