"""Mend a picture as it came: grey or colour, 8 or 16 bits, its known pixels and its transparency unchanged."""

from dataclasses import replace

import numpy as np

from pixmend.data.picture_files import Picture
from pixmend.errors import UserError
from pixmend.mending.restorers import Restorer, RunRestorer, show_as_colour


def mend_picture(picture: Picture, mask: np.ndarray, restorer: Restorer) -> Picture:
    """Return the picture with its missing pixels restored; where they were transparent, they are opaque now."""
    if mask.all():
        raise UserError("All pixels are missing. A picture can be mended only from pixels that are known.")
    if not mask.any():
        return picture
    restored = restore_as(restorer, to_floats(picture), mask)
    if picture.colours.dtype.kind != "f":
        restored = np.rint(restored * picture.largest)
    colours = np.where(mask[..., None], restored.astype(picture.colours.dtype), picture.colours)
    alpha = None if picture.alpha is None else np.where(mask, picture.alpha.dtype.type(picture.largest), picture.alpha)
    return replace(picture, colours=colours, alpha=alpha)


def to_floats(picture: Picture) -> np.ndarray:
    return picture.colours.astype(np.float32) / np.float32(picture.largest)


def restore_as(restorer: Restorer, image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Restore an image; of a grey one that is shown to a run as a colourless one, the mean of the three channels is taken."""
    shown = show_as_colour(image, restorer.settings.channels) if isinstance(restorer, RunRestorer) else image
    restored = restorer.restore(shown, mask)
    return restored.mean(2, keepdims=True) if shown is not image else restored


def compute_rmse(restored: Picture, original: Picture, mask: np.ndarray) -> float:
    """Return the RMSE of the missing pixels, in 0..1."""
    if restored.colours.shape != original.colours.shape:
        raise UserError(f"The original has height, width and channels {original.colours.shape}, and the picture "
                        f"{restored.colours.shape}. Give an original of the same size and kind.")
    if not mask.any():
        raise UserError("The mask is empty, so there is no RMSE. Give a mask with at least one missing pixel.")
    return float(np.sqrt(np.mean(np.square(to_floats(restored)[mask].astype(np.float64) - to_floats(original)[mask]))))
