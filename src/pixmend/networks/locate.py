"""Where pixels are missing, found in the damaged picture alone: tiles, blur, black, white, in areas of any form and number.

Damage shows in differences of neighbours: a tile has none, blur has no sharp ones, one colour has none over a whole area. So
a small U-Net sees the colours, how much each pixel differs from the next to the right and below, in steps that tell one grey
level from two, and where that is nothing at all. It works at half the size and below, where dilated convolutions see wide, and
looks at the traces again at the end, which keeps edges exact. The mask that every network is given is not looked at.
"""

import keras
from keras import layers, ops

from pixmend.errors import FlagError
from pixmend.networks.layers.sizes import halvings

DILATIONS = (1, 2, 4, 1)
LAST = 8   # channels at full size, beside the traces
GREYS = 255


def build(shape, settings):
    refuse(settings)
    seen, mask = keras.Input(shape), keras.Input((*shape[:2], 1))
    widths = [settings.width * (level + 1) for level in range(halvings(shape, settings))]
    x = fine = traces(seen)
    skips = []
    for channels in widths:
        x = convolved(convolved(x, channels, 4, strides=2), channels)
        skips.append(x)
    for dilation in DILATIONS:
        x = layers.Add()([x, convolved(x, widths[-1], dilation_rate=dilation)])
    for channels, skip in zip(reversed(widths[:-1]), reversed(skips[:-1]), strict=True):
        x = layers.UpSampling2D()(layers.Conv2D(channels, 1)(x))
        x = convolved(layers.Add()([x, skip]), channels)
    x = layers.Concatenate()([layers.Conv2DTranspose(LAST, 4, 2, "same")(x), fine])
    x = layers.Conv2D(1, 3, padding="same", activation="sigmoid", dtype="float32")(convolved(x, LAST))
    return keras.Model([seen, mask], x)


def refuse(settings):
    """Whatever would tell where the mask is, or asks for a picture."""
    wrong = {"start": settings.start not in ("none", "given"), "window": settings.window > 0,
             "loss_region": settings.loss_region != "all", "adversarial": settings.adversarial}
    for name in (name for name, is_wrong in wrong.items() if is_wrong):
        raise FlagError(f"--model {settings.model} finds masks in pictures as they came, so --{name.replace('_', '-')} "
                        f"{getattr(settings, name)} is not for it; leave it out.")


def traces(seen):
    """Colours, differences to the right and below, and where a difference is none in any colour."""
    steps = [ops.abs(seen - beside) for beside in (shifted(seen, 0, 1), shifted(seen, 1, 0))]
    none = [ops.cast(ops.equal(ops.max(step, -1, keepdims=True), 0.0), "float32") for step in steps]
    return ops.concatenate([seen, *(ops.log1p(GREYS * step) / 2 for step in steps), *none], -1)


def shifted(seen, down, right):
    """Each pixel's neighbour; the edge's own is itself."""
    edge = ops.pad(seen, ((0, 0), (0, down), (0, right), (0, 0)), "symmetric")
    return edge[:, down:, right:]


def convolved(x, channels, side=3, **options):
    return layers.Conv2D(channels, side, padding="same", activation="relu", kernel_initializer="he_normal", **options)(x)
