"""The partial convolution U-Net (Liu et al. 2018): each window looks at its known pixels alone, and holes close from the edge.

At 256x256, in colour, width 64 and 7 levels it is the published network: 25,255,508 trainable parameters. A window's result is
divided by the share of it that is known; one that knows nothing gives 0 and stays unknown, any other becomes known. With a
start the last layer begins at zero and is added to the filled picture, of which the network still sees the known pixels only.
"""

import keras
from keras import layers, ops

from pixmend.networks.layers.batch_norm import BatchNormalization
from pixmend.networks.layers.sizes import halvings

MOST_CHANNELS = 8          # times the width
KERNELS = {0: 7, 1: 5}     # of the first steps down; 3 from then on


class PartialConv(layers.Layer):
    """A convolution over pairs of (picture, known), side by side; known is one channel, 1 or 0. Gives such a pair."""

    def __init__(self, channels, kernel, stride=1, bias=False, kernel_initializer="glorot_uniform", **options):
        super().__init__(**options)
        self.channels, self.size, self.stride, self.with_bias = channels, kernel, stride, bias
        self.first = keras.initializers.get(kernel_initializer)

    def build(self, shapes):
        seen = sum(picture[-1] for picture, _ in shapes)
        self.kernel = self.add_weight(shape=(self.size, self.size, seen, self.channels), initializer=self.first, name="kernel")
        self.bias = self.add_weight(shape=(self.channels,), initializer="zeros", name="bias") if self.with_bias else None
        self.whole_window = self.size**2 * seen

    def call(self, pairs):
        picture = ops.concatenate([picture * known for picture, known in pairs], -1)
        known = sum(ops.cast(known, "float32") * picture.shape[-1] for picture, known in pairs)  # bfloat16 cannot count so far
        known = ops.conv(known, ops.ones((self.size, self.size, 1, 1)), self.stride, "same")
        saw = ops.cast(known > 0, picture.dtype)
        x = ops.conv(picture, ops.cast(self.kernel, picture.dtype), self.stride, "same")
        x = x * ops.cast(self.whole_window / ops.maximum(known, 1), x.dtype)
        x = x if self.bias is None else x + ops.cast(self.bias, x.dtype)
        return x * saw, saw


def build(shape, settings):
    seen, mask = keras.Input(shape), keras.Input((*shape[:2], 1))
    plan = [settings.width * min(2**level, MOST_CHANNELS) for level in range(halvings(shape, settings))]
    pairs = [(seen, 1.0 - mask)]
    for level, channels in enumerate(plan):
        x, known = PartialConv(channels, KERNELS.get(level, 3), 2)(pairs[-1:])
        x = BatchNormalization()(x) if level else x
        pairs.append((layers.ReLU()(x), known))
    x, known = pairs.pop()
    for channels in reversed(plan[:-1]):
        x, known = PartialConv(channels, 3)([enlarged(x, known), pairs.pop()])
        x = layers.LeakyReLU(0.2)(BatchNormalization()(x))
    last = "zeros" if settings.start != "none" else "glorot_uniform"
    x, _ = PartialConv(shape[-1], 3, bias=True, kernel_initializer=last, dtype="float32")([enlarged(x, known), pairs.pop()])
    return keras.Model([seen, mask], x if settings.start == "none" else seen + x)


def enlarged(*pair):
    return tuple(layers.UpSampling2D()(one) for one in pair)
