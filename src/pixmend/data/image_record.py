"""One picture of a contest before it is decoded: its id, class and source, its files, and where pixels are missing."""

from dataclasses import dataclass, field

import numpy as np

from pixmend.data.damage import count_boxes
from pixmend.data.decode import decode_image


@dataclass(frozen=True)
class ImageRecord:
    """Missing are `boxes` (row, column, height, width), in the order in which the submission asks for them; or, for a hole
    of any form, the white of the picture `missing`; or what another contest's damage has `drawn` instead, as counts.
    Files are named by plain text, which takes less room than a Path and goes to a worker process in a quarter of the time.
    """

    id: str
    kind: str
    source: str
    split: str
    damaged: str
    whole: str | None
    boxes: tuple = ()
    missing: str | None = None
    drawn: np.ndarray | None = field(default=None, compare=False)

    def counts(self, shape):
        """How many rows of a submission ask for each pixel."""
        if self.drawn is not None:
            return self.drawn
        if self.missing is not None:
            return np.uint8(decode_image(self.missing, (*shape[:2], 1))[..., 0] > 127)
        return count_boxes(self.boxes, shape)
