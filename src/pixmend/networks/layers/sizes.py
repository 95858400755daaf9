"""Which image sizes a network accepts: how often the sides halve, how far an image shrinks, how many blocks it has."""

from pixmend.config import NetworkSettings, flag
from pixmend.errors import FlagError

MAX_CHANNELS = 8  # times --width: the widest level of a U-Net


def count_exact_halvings(shape: tuple[int, ...]) -> int:
    """Return how often both sides halve without a remainder."""
    height, width = shape[:2]
    return next(times for times in range(99) if height >> times & 1 or width >> times & 1)


def plan_channels(input_shape: tuple[int, int, int], settings: NetworkSettings) -> list[int]:
    """Return the channels of each level of a U-Net: --levels of them, or as many as the sides halve."""
    halvings = count_exact_halvings(input_shape)
    if not halvings:
        raise FlagError(f"--model {settings.model} halves images, and {input_shape[1]}x{input_shape[0]} has an odd side; "
                        f"choose an even {flag('work_size' if settings.window else 'size')}.")
    return [settings.width * min(2**level, MAX_CHANNELS) for level in range(min(settings.levels, halvings))]


def count_box_pixels(size: int, window: float, margin: int = 0) -> int:
    """Return the pixels across of a window's middle that its box and a margin may touch, of `size` pixels across.

    The window is `window` times as wide as the box; 0 means the whole image. The result is even if the size is even, else odd.
    """
    if not window:
        return size
    side = -int(-size // window) + 2 * margin
    return min(size, side + (size - side) % 2)


def find_shrink_factor(input_shape: tuple[int, int, int], settings: NetworkSettings) -> int:
    """Return the largest integer that divides both sides and leaves at least --work-size pixels."""
    largest = max(1, input_shape[0] // settings.work_size)
    return max(factor for factor in range(1, largest + 1) if input_shape[0] % factor == input_shape[1] % factor == 0)


def count_blocks(input_shape: tuple[int, int, int], side: int, settings: NetworkSettings) -> tuple[int, int]:
    """Return the rows and columns of square blocks in an image."""
    height, width = input_shape[:2]
    if height % side or width % side:
        raise FlagError(f"--model {settings.model} works on blocks of {side}x{side} pixels, and {width}x{height} cannot be cut "
                        f"into them; choose a --size that {side} divides.")
    return height // side, width // side
