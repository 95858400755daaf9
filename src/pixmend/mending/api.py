"""Mend images from Python: `import pixmend; pixmend.mend(image, mask)`. See docs/python.md.

An image is an array, height x width or height x width x channels (1 or 3, or 2 or 4 with transparency), uint8, uint16 or floats
in 0..1; or an image of Pillow. What comes back is of the same kind. A mask has the same height and width; it is True, or not 0,
where pixels are missing. Mistakes are UserErrors; nothing is printed.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pixmend.competitions import get_competition_name
from pixmend.config import Settings
from pixmend.data.picture_files import Picture
from pixmend.errors import UserError
from pixmend.mending import pictures
from pixmend.mending.restorers import BEST_FILL, FillRestorer, Restorer, RunRestorer, open_restorer

DTYPES = ("uint8", "uint16", "float32", "float64")
CHANNELS = (1, 2, 3, 4)
MODES = ("RGB", "RGBA", "L", "LA", "I;16")   # of Pillow


def fill(image: Any, mask: Any, name: str = BEST_FILL) -> Any:
    """Return the image with its missing pixels filled, without any training."""
    return mend(image, mask, FillRestorer(name))


def load_run(name: str, competition: str = "", home: str = "") -> Restorer:
    """Return a trained run, for `mend`; its folder is looked for in `home`, in any competition if none is named.

    A competition with another one's damage is named with both: "demo+landscapes".
    """
    place, _, damage = competition.partition("+")
    settings = Settings(home=home or Settings.home, competition=get_competition_name(place or Settings.competition),
                        damage=damage and get_competition_name(damage), given=frozenset(["competition"] if competition else []))
    restorer = open_restorer(name, settings)
    if isinstance(restorer, RunRestorer):
        return restorer
    raise UserError(f"{name!r} is a fill and no run: use pixmend.fill(image, mask, {name!r}).")


def mend(image: Any, mask: Any, run: Restorer | None = None) -> Any:
    """Return the image with its missing pixels restored by a run, or without one by the best fill."""
    if isinstance(run, str):
        raise UserError(f"`run` is what pixmend.load_run({run!r}) returns, not its name.")
    array = to_array(image)
    picture, missing = read_array(array), read_mask(mask, array.shape)
    mended = pictures.mend_picture(picture, missing, run or FillRestorer(BEST_FILL))
    channels = mended.colours if mended.alpha is None else np.dstack([mended.colours, mended.alpha])
    result = channels.reshape(array.shape)
    return result if isinstance(image, np.ndarray) else to_pillow(result, getattr(image, "info", {}))


def score(restored: Any, original: Any, mask: Any) -> float:
    """Return the RMSE of the missing pixels, in 0..1, over all colours."""
    array = to_array(restored)
    return pictures.compute_rmse(read_array(array), read_array(to_array(original)), read_mask(mask, array.shape))


def to_array(image: Any) -> np.ndarray:
    """Return an array or an image of Pillow as an array, unless its numbers are no colours."""
    if getattr(image, "mode", MODES[0]) not in MODES:
        raise UserError(f"An image of Pillow must be of mode {', '.join(MODES)}, not {image.mode}: image.convert('RGB').")
    return np.asarray(image)


def read_array(array: np.ndarray) -> Picture:
    """Return an array as a picture."""
    if array.dtype.name not in DTYPES or array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in CHANNELS):
        raise UserError(f"An image is height x width (x 1 to 4) of {', '.join(DTYPES)}; this one has shape {array.shape} and "
                        f"dtype {array.dtype}.")
    if array.dtype.kind == "f" and not (array.min(initial=0) >= 0 and array.max(initial=0) <= 1):
        raise UserError("Floats of an image must be in 0..1.")
    pixels = array.reshape(*array.shape[:2], -1)
    return Picture(pixels[..., :-1], pixels[..., -1]) if pixels.shape[2] in (2, 4) else Picture(pixels)


def read_mask(mask: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Return a mask as bool, height x width."""
    array = np.asarray(mask)
    if array.shape != shape[:2]:
        raise UserError(f"The mask has shape {array.shape}, and the image {shape[:2]}. A mask is height x width of its image.")
    return array != 0


def to_pillow(array: np.ndarray, info: Mapping[Any, Any]) -> Any:
    """Return an array as an image of Pillow, which is installed where the image came from, with what that said of its colours."""
    from PIL import Image

    image = Image.fromarray(array)
    image.info.update(info)
    return image
