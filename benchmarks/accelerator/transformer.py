"""A plain vision transformer on a canvas around a box: it learns what a fill misses there, patch by patch, on an accelerator.

Shapes: canvas (side, side, channels), float32 in 0..1; mask (side, side, 1 + extra), float32: the share of each cell that is
missing, then further planes where a caller has some. The box lies in the middle. Colours are measured from the mean of the
known ones in units of how much these differ. The last layer begins at zero, so training begins at the fill.
"""

import keras
from keras import layers, ops

from pixmend.networks.layers.contrast import compute_contrast

DEFAULTS = {"window": 3.0, "work_size": 120, "start": "smooth", "width": 512, "levels": 8, "batch_size": 512,
            "learning_rate": 1e-3, "beta_1": 0.9, "beta_2": 0.98, "decay": 0.1, "clip": 0.01, "schedule": "linear",
            "warm_up": 300, "average": 0.999, "loss": "l2", "loss_region": "hole"}

PATCH, HEAD = 8, 64   # cells across a patch, channels of an attention head
DROP_PATH = 0.15      # of the deepest block


def build(shape, settings, extra=0):
    """A network from (canvas, mask) to the painted canvas."""
    seen, mask = keras.Input(shape), keras.Input((*shape[:2], 1 + extra))
    mean, contrast = compute_contrast(seen, 1.0 - mask[..., :1])
    patch = patch_of(shape)
    x = layers.Concatenate()([(seen - mean) / contrast, mask])
    x = layers.Dense(settings.width, name="embed")(patches(x, patch))
    x = layers.Concatenate(axis=1)([x, light_token(mean, contrast, settings.width)])
    x = Places(name="places")(x)
    for level in range(settings.levels):
        x = block(x, level, settings)
    x = layers.RMSNormalization(name="last_norm")(x[:, :-1])
    x = layers.Dense(patch * patch * shape[-1], kernel_initializer="zeros", dtype="float32", name="head")(x)
    return keras.Model([seen, mask], seen + contrast * canvas(x, shape, patch))


def patch_of(shape):
    """The largest patch side up to PATCH that divides the canvas."""
    return max(side for side in range(1, PATCH + 1) if shape[0] % side == 0)


def patches(x, patch):
    """(batch, side, side, channels) as (batch, patches, values)."""
    _, rows, columns, channels = x.shape
    x = ops.reshape(x, (-1, rows // patch, patch, columns // patch, patch, channels))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, rows * columns // patch**2, patch * patch * channels))


def canvas(x, shape, patch):
    """The inverse of `patches`."""
    rows, columns, channels = shape
    x = ops.reshape(x, (-1, rows // patch, columns // patch, patch, patch, channels))
    return ops.reshape(ops.transpose(x, (0, 1, 3, 2, 4, 5)), (-1, rows, columns, channels))


def light_token(mean, contrast, width):
    """One more token, which tells the mean colour and the contrast that were taken out."""
    told = layers.Concatenate()([mean[:, :, 0] * 2.0 - 1.0, ops.log(contrast[:, :, 0])])
    return layers.Dense(width, name="light")(told)


def block(x, level, settings):
    """Attention, then two dense layers, each added to what came in."""
    drop = DROP_PATH * level / max(1, settings.levels - 1)
    name = f"block{level}"
    for part, inner in (("attend", attention), ("think", two_layers)):
        y = layers.RMSNormalization(name=f"{name}_{part}_norm")(x)
        y = inner(y, settings.width, name)
        y = layers.Dropout(drop, noise_shape=(None, 1, 1), seed=settings.seed + level)(y) if drop else y
        x = layers.Add()([x, y])
    return x


def attention(x, width, name):
    """Every token looks at all tokens; queries and keys are normed."""
    size = HEAD if width % HEAD == 0 else width
    tokens = x.shape[1]
    query, key, value = (ops.reshape(dense(width, f"{name}_{what}")(x), (-1, tokens, width // size, size))
                         for what in ("query", "key", "value"))
    query, key = (layers.RMSNormalization(name=f"{name}_{what}_norm")(y) for what, y in (("query", query), ("key", key)))
    seen = ops.dot_product_attention(query, key, value)
    return dense(width, f"{name}_out", "zeros")(ops.reshape(seen, (-1, tokens, width)))


def two_layers(x, width, name):
    return dense(width, f"{name}_narrow", "zeros")(ops.gelu(dense(4 * width, f"{name}_wide")(x), approximate=True))


def dense(width, name, initial="glorot_uniform"):
    return layers.Dense(width, use_bias=False, kernel_initializer=initial, name=name)


class Places(layers.Layer):
    """Adds what was learnt of each token's place."""

    def build(self, shape):
        self.table = self.add_weight(shape=(1, *shape[1:]), initializer=keras.initializers.RandomNormal(0.0, 0.02), name="table")

    def call(self, x):
        return x + ops.cast(self.table, x.dtype)
