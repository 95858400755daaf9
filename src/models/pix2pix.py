"""Pix2Pix: a U-Net that paints and a PatchGAN that judges (Isola et al. 2017), trained with LAMBDA as one Keras model.

At 256x256, width 64 and 8 levels it is the published network: 54,414,979 + 10,880 and 2,770,433 parameters. Inside, pictures
are in -1..1; outside, in 0..1. With a start the last layer begins at zero and is added to the filled picture, so that
training begins at the fill and not far under it.
"""

import keras
from keras import layers, ops

DEFAULTS = {}

MOST_CHANNELS = 8   # times the width
DROPOUT_STEPS = 3   # the innermost steps up, at the published depth


def normal():
    return keras.initializers.RandomNormal(0.0, 0.02)


def down(x, channels, norm=True):
    x = layers.Conv2D(channels, 4, 2, "same", use_bias=False, kernel_initializer=normal())(x)
    x = layers.BatchNormalization()(x) if norm else x
    return layers.LeakyReLU(0.3)(x)


def up(x, channels, dropout, seed):
    x = layers.Conv2DTranspose(channels, 4, 2, "same", use_bias=False, kernel_initializer=normal())(x)
    x = layers.BatchNormalization()(x)
    x = layers.Dropout(0.5, seed=seed)(x) if dropout else x
    return layers.ReLU()(x)


def channel_plan(shape, settings):
    """Channels of each step down: 64, 128, 256, 512, 512, ...; as many steps as the picture can be halved."""
    levels = min(settings.levels, min(shape[:2]).bit_length() - 1)
    return [settings.width * min(2**level, MOST_CHANNELS) for level in range(levels)]


def build_generator(shape, settings):
    seen, mask = keras.Input(shape), keras.Input((*shape[:2], 1))
    x = seen * 2.0 - 1.0
    x = layers.Concatenate()([x, mask]) if settings.mask_channel else x
    plan = channel_plan(shape, settings)
    skips = []
    for level, channels in enumerate(plan):
        x = down(x, channels, norm=level > 0)
        skips.append(x)
    for level, skip in zip(reversed(range(len(plan) - 1)), reversed(skips[:-1]), strict=True):
        x = up(x, plan[level], dropout=level >= len(plan) - 1 - DROPOUT_STEPS, seed=settings.seed + level)
        x = layers.Concatenate()([x, skip])
    last = "zeros" if settings.start != "none" else normal()
    x = layers.Conv2DTranspose(shape[-1], 4, 2, "same", kernel_initializer=last)(x)
    x = layers.Activation("tanh", dtype="float32")(x)
    picture = (x + 1.0) / 2.0 if settings.start == "none" else seen + x
    return keras.Model([seen, mask], picture, name="generator")


def build_discriminator(shape, settings):
    seen, judged = keras.Input(shape), keras.Input(shape)
    x = layers.Concatenate()([seen, judged]) * 2.0 - 1.0
    x = down(x, settings.width, norm=False)
    x = down(x, settings.width * 2)
    x = down(x, settings.width * 4)
    x = layers.ZeroPadding2D()(x)
    x = layers.Conv2D(settings.width * 8, 4, use_bias=False, kernel_initializer=normal())(x)
    x = layers.BatchNormalization()(x)
    x = layers.LeakyReLU(0.3)(x)
    x = layers.ZeroPadding2D()(x)
    logits = layers.Conv2D(1, 4, kernel_initializer=normal(), dtype="float32")(x)
    return keras.Model([seen, judged], logits, name="discriminator")


class Pix2Pix(keras.Model):
    """Both networks and both losses in one step, on any backend: what one network must not learn from is stopped."""

    def __init__(self, shape, settings):
        super().__init__()
        self.settings = settings
        self.generator = build_generator(shape, settings)
        self.discriminator = build_discriminator(shape, settings)
        self.trackers = {name: keras.metrics.Mean(name) for name in ("generator", "discriminator", "reconstruction")}

    def call(self, inputs, training=False):
        return self.generator(inputs, training=training)

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        settings, seen = self.settings, x[0]
        adversarial = cross_entropy(self._judge_frozen(seen, y_pred), 1.0)
        reconstruction = super().compute_loss(x, y * 2.0, y_pred * 2.0, sample_weight)
        generator = adversarial + settings.LAMBDA * reconstruction
        real = cross_entropy(self.discriminator([seen, y], training=training), 1.0)
        fake = cross_entropy(self.discriminator([seen, ops.stop_gradient(y_pred)], training=training), 0.0)
        discriminator = real + settings.disc_lambda * fake
        self._track(generator=adversarial, discriminator=discriminator, reconstruction=reconstruction)
        return generator + discriminator

    def _judge_frozen(self, seen, painted):
        """The discriminator's opinion, with weights that the generator's loss can't move."""
        weights = [ops.stop_gradient(v.value) for v in self.discriminator.trainable_variables]
        rest = [v.value for v in self.discriminator.non_trainable_variables]
        return self.discriminator.stateless_call(weights, rest, [seen, painted], training=True)[0]

    def _track(self, **values):
        for name, value in values.items():
            self.trackers[name].update_state(value)


def cross_entropy(logits, label):
    return ops.mean(ops.binary_crossentropy(ops.full_like(logits, label), logits, from_logits=True))


def build(shape, settings):
    return Pix2Pix(shape, settings)
