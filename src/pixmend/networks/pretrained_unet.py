"""A U-Net whose encoder is a network that was trained on the photos of ImageNet; it predicts what a fill misses.

Like residual_unet it works on the image scaled down to --work-size. Keras downloads `--encoder-weights imagenet` once; those of
EfficientNetLite0 are in a package.
"""

from typing import Any

import keras
from keras import layers, ops

from pixmend.config import NetworkSettings
from pixmend.errors import FlagError, UserError
from pixmend.networks.efficientnet_lite import build_efficientnet_lite
from pixmend.networks.layers.sizes import MAX_CHANNELS, find_shrink_factor
from pixmend.networks.residual_unet import residual_block

MIN_SIZE = 32   # pixels: the smallest side that keras.applications accept


def build_pretrained_unet(input_shape: tuple[int, int, int], settings: NetworkSettings) -> keras.Model:
    """Return the network; its output is the residual."""
    image, mask = keras.Input(input_shape), keras.Input((*input_shape[:2], 1))
    shrink = find_shrink_factor(input_shape, settings)
    small, small_mask = layers.AveragePooling2D(shrink)(image), layers.AveragePooling2D(shrink)(mask)
    x = apply_unet(small, small_mask, settings)
    x = layers.Conv2D(input_shape[-1], 3, padding="same", dtype="float32")(x) * small_mask
    return keras.Model([image, mask], layers.UpSampling2D(shrink, interpolation="bilinear", dtype="float32")(x))


def apply_unet(small: Any, small_mask: Any, settings: NetworkSettings) -> Any:
    """Decode from the encoder's coarsest features; at each size append its features there and the mask, at last the image."""
    rgb = layers.Concatenate()([small] * 3) if small.shape[-1] == 1 else small
    encoder = build_encoder(small.shape[1:3], settings)
    features = [layers.Concatenate()([(small - 0.5) * 4.0, small_mask]), *encoder(rgb * 255.0)]
    channels = [settings.width * min(2**level, MAX_CHANNELS) for level in range(len(features))]
    x = residual_block(layers.Conv2D(channels[-1], 1)(features[-1]), channels[-1])
    for width, skip in zip(reversed(channels[:-1]), reversed(features[:-1]), strict=True):
        x = ops.image.resize(layers.Conv2D(width, 1)(x), skip.shape[1:3])
        mask_there = ops.image.resize(small_mask, skip.shape[1:3], antialias=True)
        x = residual_block(layers.Conv2D(width, 1)(layers.Concatenate()([x, skip, mask_there])), width)
    return x


def build_encoder(size: tuple[int, int], settings: NetworkSettings) -> keras.Model:
    """Return the encoder: from an image in 0..255 to the output of its last layer at each size, fine to coarse."""
    if min(size) < MIN_SIZE:
        raise FlagError(f"--encoder {settings.encoder} needs {MIN_SIZE} pixels a side, not {min(size)}; "
                        f"choose a larger --work-size.")
    network = load_encoder((*size, 3), settings)
    features = [network.input]
    for output in (layer.output for layer in network.layers if len(layer.output.shape) == 4):
        previous_height, height = features[-1].shape[1], output.shape[1]
        if height == previous_height:
            features[-1] = output
        elif 1 < height <= (previous_height + 1) // 2:
            features.append(output)
    encoder = keras.Model(network.input, features[1:], name="encoder")
    encoder.trainable = not settings.freeze_encoder
    return encoder


def load_encoder(input_shape: tuple[int, int, int], settings: NetworkSettings) -> keras.Model:
    """Return the network with its weights."""
    weights = None if settings.encoder_weights == "none" else settings.encoder_weights
    if settings.encoder == "EfficientNetLite0":
        return build_efficientnet_lite(input_shape, weights)
    try:
        return getattr(keras.applications, settings.encoder)(include_top=False, weights=weights, input_shape=input_shape)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise UserError(f"--encoder-weights {weights} gave no weights for {settings.encoder} ({reason}). Name a file of its "
                        f"weights without the top layers, or use --encoder-weights none.") from None
