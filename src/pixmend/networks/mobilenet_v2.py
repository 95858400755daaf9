"""MobileNetV2 (Sandler et al. 2018) for a 2x2 hole in every 8x8 block: 17 bottlenecks and four numbers; 2,262,532 parameters.

Keras has this network for pictures from 32 pixels on; a block is halved to a single pixel long before the end.
"""

import keras
from keras import layers

from pixmend.networks.layers import blocks
from pixmend.networks.layers.batch_norm import BatchNormalization

# Expansion, channels, how many bottlenecks, and the first one's stride.
PLAN = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
FIRST, LAST = 32, 1280  # channels before and after the bottlenecks


def convolved(x, channels, kernel=1, stride=1):
    return BatchNormalization()(layers.Conv2D(channels, kernel, stride, "same", use_bias=False)(x))


def bottleneck(x, expansion, channels, stride):
    """Wide, over the plane channel by channel, and narrow again, beside a straight way where sizes are equal."""
    straight = x
    x = layers.ReLU(6)(convolved(x, x.shape[-1] * expansion)) if expansion > 1 else x
    x = layers.DepthwiseConv2D(3, stride, "same", use_bias=False)(x)
    x = convolved(layers.ReLU(6)(BatchNormalization()(x)), channels)
    return layers.Add()([straight, x]) if straight.shape == x.shape else x


def network(settings):
    block = keras.Input((blocks.SIDE, blocks.SIDE, 1))
    x = layers.ReLU(6)(convolved(block, FIRST, 3, 2))
    for expansion, channels, count, stride in PLAN:
        for number in range(count):
            x = bottleneck(x, expansion, channels, stride if number == 0 else 1)
    x = layers.GlobalAveragePooling2D()(layers.ReLU(6)(convolved(x, LAST)))
    return keras.Model(block, layers.Dense(blocks.HOLE**2, kernel_initializer=blocks.last(settings))(x))


def build(shape, settings):
    return blocks.build(shape, settings, network(settings))
