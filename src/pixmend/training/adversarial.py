"""Any painter trained against a PatchGAN that judges (Isola et al. 2017): the adversarial term beside LAMBDA times the distance.

The PatchGAN is the published one at width 64: 2,770,433 parameters, 30x30 opinions on a picture of 256x256.
"""

import keras
from keras import layers, ops

from pixmend.networks.layers.batch_norm import BatchNormalization

SPAN = 2.0  # the published distance is between pictures in -1..1


def patch_gan(shape, settings):
    seen, judged = keras.Input(shape), keras.Input(shape)
    x = layers.Concatenate()([seen, judged]) * 2.0 - 1.0
    x = layers.LeakyReLU(0.3)(convolution(settings.width)(x))
    for times in (2, 4):
        x = normed(convolution(settings.width * times)(x))
    x = layers.ZeroPadding2D()(x)
    x = normed(convolution(settings.width * 8, strides=1, padding="valid")(x))
    x = layers.ZeroPadding2D()(x)
    logits = convolution(1, strides=1, padding="valid", use_bias=True, dtype="float32")(x)
    return keras.Model([seen, judged], logits, name="discriminator")


def convolution(channels, strides=2, padding="same", use_bias=False, **options):
    initial = keras.initializers.RandomNormal(0.0, 0.02)
    return layers.Conv2D(channels, 4, strides, padding, use_bias=use_bias, kernel_initializer=initial, **options)


def normed(x):
    return layers.LeakyReLU(0.3)(BatchNormalization()(x))


class Adversarial(keras.Model):
    """Both networks and both losses in one step, on any backend: what one network must not learn from is stopped."""

    def __init__(self, painter, settings):
        super().__init__(autocast=False)   # the painter takes what it needs in float32 itself
        self.settings = settings
        self.painter = painter
        self.discriminator = patch_gan(painter.output_shape[1:], settings)
        self.trackers = {name: keras.metrics.Mean(name) for name in ("generator", "discriminator", "reconstruction")}
        self.built = True

    def call(self, inputs, training=False):
        return self.painter(inputs, training=training)

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        settings, seen = self.settings, x[0]
        reconstruction = SPAN * super().compute_loss(x, y, y_pred, sample_weight)
        real = cross_entropy(self.discriminator([seen, y], training=training), 1.0)
        for_painter, for_itself = self._judge(seen, y_pred, training)
        adversarial, fake = cross_entropy(for_painter, 1.0), cross_entropy(for_itself, 0.0)
        generator = adversarial + settings.LAMBDA * reconstruction
        discriminator = real + settings.disc_lambda * fake
        self._track(generator=adversarial, discriminator=discriminator, reconstruction=reconstruction)
        return generator + discriminator

    def _judge(self, seen, painted, training):
        """The discriminator's opinion of what was painted: for the painter, whose loss can't move the weights behind it, and for
        the discriminator, whose loss can't move the painter. Each weight is read once, so that a compiler sees one opinion."""
        weights, rest = ([ops.cast(v, v.dtype) for v in variables] for variables in (
            self.discriminator.trainable_variables, self.discriminator.non_trainable_variables))
        frozen = [ops.stop_gradient(weight) for weight in weights]
        for_painter, _ = self.discriminator.stateless_call(frozen, rest, [seen, painted], training=training)
        for_itself, rest = self.discriminator.stateless_call(weights, rest, [seen, ops.stop_gradient(painted)], training=training)
        for variable, value in zip(self.discriminator.non_trainable_variables, rest, strict=True):
            variable.assign(value)
        return for_painter, for_itself

    def _track(self, **values):
        for name, value in values.items():
            self.trackers[name].update_state(value)


def cross_entropy(logits, label):
    return ops.mean(ops.binary_crossentropy(ops.full_like(logits, label), logits, from_logits=True))
