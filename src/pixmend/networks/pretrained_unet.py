"""What a fill misses, painted by a U-Net whose way down is a network of keras.applications that knows photos from ImageNet.

As residual_unet it works at a coarse size of its own, `--work-size`, and what it paints there is enlarged and added to the fill
inside the mask. `--encoder-weights imagenet` fetches weights once through Keras; a file of them, or none, needs no network.
"""

import keras
from keras import layers, ops

from pixmend.errors import FlagError, UserError
from pixmend.networks.layers.sizes import shrinking
from pixmend.networks.residual_unet import block

MOST_CHANNELS = 8  # times the width
SMALLEST = 32      # pixels: what keras.applications take


def build(shape, settings):
    seen, mask = keras.Input(shape), keras.Input((*shape[:2], 1))
    shrink = shrinking(shape, settings)
    small, hole = layers.AveragePooling2D(shrink)(seen), layers.AveragePooling2D(shrink)(mask)
    x = unet(small, hole, settings)
    residual = layers.Conv2D(shape[-1], 3, padding="same", kernel_initializer="zeros", dtype="float32")(x) * hole
    residual = layers.UpSampling2D(shrink, interpolation="bilinear", dtype="float32")(residual)
    return keras.Model([seen, mask], seen + residual * mask)


def unet(small, hole, settings):
    """Up from the encoder's coarsest view, at each size beside its view there, the hole, and last the picture itself."""
    rgb = layers.Concatenate()([small] * 3) if small.shape[-1] == 1 else small
    views = [layers.Concatenate()([(small - 0.5) * 4.0, hole]), *encoder(small.shape[1:3], settings)(rgb * 255.0)]
    widths = [settings.width * min(2**level, MOST_CHANNELS) for level in range(len(views))]
    x = block(layers.Conv2D(widths[-1], 1)(views[-1]), widths[-1])
    for channels, view in zip(reversed(widths[:-1]), reversed(views[:-1]), strict=True):
        size = view.shape[1:3]
        x = ops.image.resize(layers.Conv2D(channels, 1)(x), size)
        there = ops.image.resize(hole, size, antialias=True)
        x = block(layers.Conv2D(channels, 1)(layers.Concatenate()([x, view, there])), channels)
    return x


def encoder(size, settings):
    """The network's views of a picture in 0..255, brought to its own scale: its last layer at each size, fine to coarse."""
    if min(size) < SMALLEST:
        raise FlagError(f"--encoder {settings.encoder} needs {SMALLEST} pixels a side, not {min(size)}; "
                        f"choose a larger --work-size.")
    network = pretrained((*size, 3), settings)
    views = [network.input]
    for view in (layer.output for layer in network.layers if len(layer.output.shape) == 4):
        before, height = views[-1].shape[1], view.shape[1]
        if height == before:
            views[-1] = view
        elif 1 < height <= (before + 1) // 2:
            views.append(view)
    return keras.Model(network.input, views[1:], name="encoder")


def pretrained(shape, settings):
    weights = None if settings.encoder_weights == "none" else settings.encoder_weights
    try:
        return getattr(keras.applications, settings.encoder)(include_top=False, weights=weights, input_shape=shape)
    except Exception as error:
        why = " ".join(str(error).split())
        raise UserError(f"--encoder-weights {weights} gave no weights for {settings.encoder} ({why}); name a file of its weights "
                        f"without the top, or use --encoder-weights none.") from None
