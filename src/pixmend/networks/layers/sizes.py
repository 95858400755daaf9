"""Which pictures a network can take: how often their sides halve, shrink to a working size, or cut into blocks."""

from pixmend.errors import FlagError


def even_halvings(shape):
    """How often both sides halve exactly."""
    height, width = shape[:2]
    return next(times for times in range(99) if height >> times & 1 or width >> times & 1)


def halvings(shape, settings):
    """The wanted steps down, or as many as the sides allow, each an exact half."""
    if not even_halvings(shape):
        raise FlagError(f"--model {settings.model} halves pictures, and {shape[1]}x{shape[0]} has an odd side; "
                        f"choose an even --size.")
    return min(settings.levels, even_halvings(shape))


def shrinking(shape, settings):
    """The largest whole factor that divides the sides and leaves at least the working size."""
    most = max(1, shape[0] // settings.work_size)
    return max(factor for factor in range(1, most + 1) if shape[0] % factor == shape[1] % factor == 0)


def cut_into(shape, side, settings):
    """Rows and columns of blocks."""
    height, width = shape[:2]
    if height % side or width % side:
        raise FlagError(f"--model {settings.model} works on blocks of {side}x{side} pixels, and {width}x{height} cannot be cut "
                        f"into them; choose a --size that {side} divides.")
    return height // side, width // side
