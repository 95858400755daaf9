"""A plain vision transformer on a window around a box: it predicts what a fill misses, patch by patch.

Shapes: window (side, side, channels), float32 in 0..1; mask (side, side, 1 + extra_planes), float32: the missing share of each
cell, then further planes. The box lies in the middle. Colours are measured from the mean of the known ones in units of their
contrast.
"""

from typing import Any

import keras
from keras import layers, ops

from pixmend.config import Settings
from pixmend.networks.layers.normalization import compute_contrast
from pixmend.networks.layers.positions import PositionEmbedding

MAX_PATCH_SIDE, HEAD_CHANNELS = 8, 64
POSITION_DEVIATION = 0.02   # of the first position vectors
DROP_PATH = 0.15   # of the last block; the share falls linearly to 0 at the first block


def build_window_transformer(input_shape: tuple[int, int, int], settings: Settings) -> keras.Model:
    """Return the network; its output is the residual."""
    return build_transformer(input_shape, settings.width, settings.levels, settings.seed)


def build_transformer(input_shape: tuple[int, int, int], width: int, levels: int, seed: int,
                      extra_planes: int = 0) -> keras.Model:
    """Return a network from (window, mask) to the residual of the window."""
    image, mask = keras.Input(input_shape), keras.Input((*input_shape[:2], 1 + extra_planes))
    mean, contrast = compute_contrast(image, 1.0 - mask[..., :1])
    side = choose_patch_side(input_shape[0])
    x = layers.Concatenate()([(image - mean) / contrast, mask])
    x = layers.Dense(width, name="embed")(split_into_patches(x, side))
    x = layers.Concatenate(axis=1)([x, make_colour_token(mean, contrast, width)])
    x = PositionEmbedding(POSITION_DEVIATION, name="positions")(x)
    for level in range(levels):
        x = apply_block(x, level, width, DROP_PATH * level / max(1, levels - 1), seed)
    x = layers.RMSNormalization(name="last_norm")(x[:, :-1])
    x = layers.Dense(side * side * input_shape[-1], kernel_initializer="zeros", dtype="float32", name="head")(x)
    return keras.Model([image, mask], contrast * join_patches(x, input_shape, side))


def choose_patch_side(window_side: int) -> int:
    """Return the largest side of patches that divides the window."""
    return max(side for side in range(1, MAX_PATCH_SIDE + 1) if window_side % side == 0)


def split_into_patches(x: Any, side: int) -> Any:
    """Return (batch, side, side, channels) as (batch, patches, values)."""
    _, rows, columns, channels = x.shape
    x = ops.reshape(x, (-1, rows // side, side, columns // side, side, channels))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, rows * columns // side**2, side * side * channels))


def join_patches(x: Any, shape: tuple[int, int, int], side: int) -> Any:
    """Undo `split_into_patches`."""
    rows, columns, channels = shape
    x = ops.reshape(x, (-1, rows // side, columns // side, side, side, channels))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, rows, columns, channels))


def make_colour_token(mean: Any, contrast: Any, width: int) -> Any:
    """Return one more token, with the mean colour and the contrast that were removed from the others."""
    values = layers.Concatenate()([mean[:, :, 0] * 2.0 - 1.0, ops.log(contrast[:, :, 0])])
    return layers.Dense(width, name="colour")(values)


def apply_block(x: Any, level: int, width: int, dropout: float, seed: int) -> Any:
    """Apply attention, then two dense layers, each as a residual."""
    name = f"block{level}"   # benchmarks/accelerator finds the kernels of the blocks by this name
    for part, apply in (("attention", apply_attention), ("dense", apply_dense_layers)):
        y = layers.RMSNormalization(name=f"{name}_{part}_norm")(x)
        y = apply(y, width, name)
        y = layers.Dropout(dropout, noise_shape=(None, 1, 1), seed=seed + level)(y) if dropout else y
        x = layers.Add()([x, y])
    return x


def apply_attention(x: Any, width: int, name: str) -> Any:
    """Apply attention among all tokens; queries and keys are normalized."""
    size = HEAD_CHANNELS if width % HEAD_CHANNELS == 0 else width
    heads = (-1, x.shape[1], width // size, size)
    query, key, value = (ops.reshape(make_dense(width, f"{name}_{part}")(x), heads) for part in ("query", "key", "value"))
    query = layers.RMSNormalization(name=f"{name}_query_norm")(query)
    key = layers.RMSNormalization(name=f"{name}_key_norm")(key)
    attended = ops.dot_product_attention(query, key, value)
    return make_dense(width, f"{name}_out", "zeros")(ops.reshape(attended, (-1, x.shape[1], width)))


def apply_dense_layers(x: Any, width: int, name: str) -> Any:
    wide = ops.gelu(make_dense(4 * width, f"{name}_wide")(x), approximate=True)
    return make_dense(width, f"{name}_narrow", "zeros")(wide)


def make_dense(width: int, name: str, initializer: str = "glorot_uniform") -> keras.layers.Layer:
    return layers.Dense(width, use_bias=False, kernel_initializer=initializer, name=name)
