"""Adversarial training (Isola et al. 2017): a generator and a PatchGAN discriminator in one Keras model.

Images are float32 in 0..1, shape (batch, height, width, channels). The generator's loss is adversarial + LAMBDA * reconstruction.
With --loss-region hole the discriminator, too, sees predicted and original pixels in the hole only; around it, both images are
the damaged one.
"""

from typing import Any

import keras
from keras import layers, ops

from pixmend.config import NetworkSettings, Settings, flag
from pixmend.errors import FlagError
from pixmend.networks.layers.normalization import BatchNormalization
from pixmend.setting_values import format_off

MIN_SIDE = 24   # pixels, of which the discriminator makes one patch


def build_patchgan(input_shape: tuple[int, int, int], settings: NetworkSettings) -> keras.Model:
    """Return a model of [damaged image, image] that scores patches of the second: logits, 30x30 for images of 256x256."""
    if min(input_shape[:2]) < MIN_SIDE:
        raise FlagError(f"An adversarial loss needs images or windows of at least {MIN_SIDE} pixels, and these have "
                        f"{min(input_shape[:2])}. Give a larger {flag('work_size' if settings.window else 'size')}, or "
                        f"{format_off('adversarial')}.")
    damaged, image = keras.Input(input_shape), keras.Input(input_shape)
    x = layers.Concatenate()([damaged, image]) * 2.0 - 1.0
    x = layers.LeakyReLU(0.3)(convolve(x, settings.width))
    x = normalize(convolve(x, settings.width * 2))
    x = normalize(convolve(x, settings.width * 4))
    x = layers.ZeroPadding2D()(x)
    x = normalize(convolve(x, settings.width * 8, strides=1, padding="valid"))
    x = layers.ZeroPadding2D()(x)
    logits = convolve(x, 1, strides=1, padding="valid", use_bias=True, dtype="float32")
    return keras.Model([damaged, image], logits, name="discriminator")


def convolve(x: Any, channels: int, strides: int = 2, padding: str = "same", use_bias: bool = False, **options: Any) -> Any:
    """Apply a 4x4 convolution with the initial weights of Pix2Pix."""
    initializer = keras.initializers.RandomNormal(0.0, 0.02)
    return layers.Conv2D(channels, 4, strides, padding, use_bias=use_bias, kernel_initializer=initializer, **options)(x)


def normalize(x: Any) -> Any:
    return layers.LeakyReLU(0.3)(BatchNormalization()(x))


class AdversarialModel(keras.Model):
    """Trains a generator against a PatchGAN discriminator, both in one step, on any backend."""

    def __init__(self, generator: keras.Model, settings: Settings) -> None:
        super().__init__(autocast=False)   # the generator casts what it needs; its inputs stay float32
        self.settings, self.generator = settings, generator
        self.discriminator = build_patchgan(generator.output_shape[1:], settings)
        self.trackers = {name: keras.metrics.Mean(name) for name in ("generator", "discriminator", "reconstruction")}
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        return self.generator(inputs, training=training)

    def compute_loss(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None, training: bool = True) -> Any:
        """Return the sum of both losses; one optimizer minimizes it, since neither loss has gradients in the other's weights."""
        settings, (damaged, mask) = self.settings, x
        # LAMBDA was published for images in -1..1, whose squared errors are four times as large, and absolute ones twice.
        reconstruction = (4.0 if settings.loss == "l2" else 2.0) * super().compute_loss(x, y, y_pred, sample_weight)
        if settings.loss_region == "hole":   # the discriminator compares what the loss counts
            y, y_pred = (damaged + (image - damaged) * mask for image in (y, y_pred))
        real = binary_crossentropy(self.discriminator([damaged, y], training=training), 1.0)
        fake_for_generator, fake_for_discriminator = self._score_fake(damaged, y_pred, training)
        adversarial = binary_crossentropy(fake_for_generator, 1.0)
        discriminator_loss = real + settings.disc_lambda * binary_crossentropy(fake_for_discriminator, 0.0)
        self.trackers["generator"].update_state(adversarial)
        self.trackers["discriminator"].update_state(discriminator_loss)
        self.trackers["reconstruction"].update_state(reconstruction)
        return adversarial + settings.LAMBDA * reconstruction + discriminator_loss

    def _score_fake(self, damaged: Any, fake: Any, training: bool) -> tuple[Any, Any]:
        """Return the discriminator's logits twice: with gradients in the generator only, and in the discriminator only.

        Each weight is read once, so that the compiler computes the forward pass once.
        """
        weights = [ops.cast(v, v.dtype) for v in self.discriminator.trainable_variables]
        state = [ops.cast(v, v.dtype) for v in self.discriminator.non_trainable_variables]
        frozen = [ops.stop_gradient(weight) for weight in weights]
        for_generator, _ = self.discriminator.stateless_call(frozen, state, [damaged, fake], training=training)
        inputs = [damaged, ops.stop_gradient(fake)]
        for_discriminator, state = self.discriminator.stateless_call(weights, state, inputs, training=training)
        for variable, value in zip(self.discriminator.non_trainable_variables, state, strict=True):
            variable.assign(value)
        return for_generator, for_discriminator


def binary_crossentropy(logits: Any, label: float) -> Any:
    """Return the mean cross-entropy between logits and one label for all of them."""
    return ops.mean(ops.binary_crossentropy(ops.full_like(logits, label), logits, from_logits=True))
