"""Submissions as bytes, for grey images: a byte L, then each image's number of missing pixels and their grey levels.

The number is stored minus 1 in L bytes, highest first; the grey levels follow row by row, a byte each. Images are in the order
of the test set.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pixmend.config import Settings
from pixmend.data.image_record import ImageRecord
from pixmend.errors import DOWNLOAD_AGAIN, UserError
from pixmend.submissions.csv_reader import CORRECT_FILE, UNREADABLE, WRITE_AGAIN
from pixmend.submissions.csv_scoring import Scores
from pixmend.submissions.submission_format import SubmissionFormat


@dataclass(frozen=True, kw_only=True)
class PixelBytes(SubmissionFormat):
    """A binary file; it has no ids, and does not say which images are public: the score of all of them is the public one."""

    suffix: str = ".bin"
    sample_name: str = "sample_submission.bin"

    def encode(self, images: Iterable[ImageRecord], values: Iterable[np.ndarray], settings: Settings,
               is_public: Iterable[bool] | None = None) -> Iterator[bytes]:
        """Yield the bytes of each image, its values rounded to whole grey levels; a solution has the same form."""
        return pack([np.rint(np.clip(image_values, 0, 1) * 255).astype(np.uint8).ravel() for image_values in values])

    def read(self, path: Path, images: Sequence[ImageRecord], settings: Settings) -> Iterator[np.ndarray]:
        """Yield the values of each image, (missing pixels, 1), in 0..1."""
        return self.read_any_order(path, images, settings, WRITE_AGAIN)

    def read_any_order(self, path: Path, images: Sequence[ImageRecord], settings: Settings, advice: str) -> Iterator[np.ndarray]:
        """Yield the same: without ids there is one order only."""
        sizes = [int(np.count_nonzero(image.counts(settings.shape))) for image in images]
        for levels in unpack_sizes(path, advice, sizes, "the dataset"):
            yield levels[:, None] / np.float32(255)

    def check(self, path: Path, folder: Path) -> None:
        """Refuse a submission that has other numbers of pixels than the sample."""
        sample = Path(folder) / self.sample_name
        unpack_sizes(path, WRITE_AGAIN, [len(levels) for levels in unpack(sample, DOWNLOAD_AGAIN)], str(sample))

    def score(self, submission: Path, solution: Path) -> Scores:
        truth = unpack(solution, CORRECT_FILE)
        levels = unpack_sizes(submission, WRITE_AGAIN, [len(image_levels) for image_levels in truth], str(solution))
        errors = (np.concatenate(levels).astype(np.float64) - np.concatenate(truth)) / 255
        total = float(np.sqrt(np.square(errors).mean()))
        return {"public": total, "private": None, "total": total}


def pack(images: Sequence[np.ndarray]) -> Iterator[bytes]:
    """Yield the bytes of a file with the grey levels, uint8, of each image."""
    width = max(1, max(-(-(len(levels) - 1).bit_length() // 8) for levels in images))
    yield bytes([width])
    for levels in images:
        yield (len(levels) - 1).to_bytes(width, "big") + levels.tobytes()


def unpack(path: Path, advice: str) -> list[np.ndarray]:
    """Return the grey levels, uint8, of each image in a file; `advice` ends the message of a UserError."""
    try:
        data = Path(path).read_bytes()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise UserError(f"{path} {UNREADABLE[type(error)]}; {advice}.") from None
    if not data or not data[0]:
        raise UserError(f"{path} does not begin with the number of bytes of a length; {advice}.")
    width, end = data[0], 1
    images: list[np.ndarray] = []
    while end < len(data):
        begin = end + width
        end = begin + int.from_bytes(data[end:begin], "big") + 1
        if end > len(data):
            raise UserError(f"{path} is cut off or damaged: image {len(images) + 1} would end at byte {end} of {len(data)}; "
                            f"{advice}.")
        images.append(np.frombuffer(data, np.uint8, end - begin, begin))
    return images


def unpack_sizes(path: Path, advice: str, sizes: Sequence[int], reference: str) -> list[np.ndarray]:
    """Return the grey levels of each image in a file that must hold images of these sizes, as `reference` does."""
    images = unpack(path, advice)
    if len(images) != len(sizes):
        raise UserError(f"{path} holds {len(images)} images, and {reference} {len(sizes)}; {advice}.")
    for number, (levels, size) in enumerate(zip(images, sizes, strict=True), 1):
        if len(levels) != size:
            raise UserError(f"{path}: image {number} has {len(levels)} pixels, and in {reference} {size}; {advice}.")
    return images
