"""The same step as in the TensorFlow tutorial on Pix2Pix: two gradient tapes, two optimizers, tf.function, float32.

`step_tutorial BATCH_FILE WIDTH STEPS EVALUATE_EVERY`
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.keras import Input, Model, Sequential, layers

from benchmarks._process import serve
from benchmarks.programs._training_curve import TrainingCurve, read_batch

LAMBDA = 100
MAX_WIDTH_FACTOR = 8   # the widest level has so many times the channels of the first


def build_convolution(layer: Any, channels: int, strides: int = 2, padding: str = "same", **options: Any) -> Any:
    return layer(channels, 4, strides, padding, kernel_initializer=tf.random_normal_initializer(0.0, 0.02), **options)


def build_downsample(channels: int, normalize: bool = True) -> Any:
    parts = [build_convolution(layers.Conv2D, channels, use_bias=False)]
    if normalize:
        parts.append(layers.BatchNormalization())
    return Sequential([*parts, layers.LeakyReLU()])


def build_upsample(channels: int, dropout: bool) -> Any:
    parts = [build_convolution(layers.Conv2DTranspose, channels, use_bias=False), layers.BatchNormalization()]
    if dropout:
        parts.append(layers.Dropout(0.5))
    return Sequential([*parts, layers.ReLU()])


def build_generator(side: int, width: int) -> Any:
    channels = [width * min(2**level, MAX_WIDTH_FACTOR) for level in range(side.bit_length() - 1)][:8]
    x = damaged = Input((side, side, 3))
    skips = []
    for level, count in enumerate(channels):
        x = build_downsample(count, normalize=level > 0)(x)
        skips.append(x)
    for level, (count, skip) in enumerate(zip(channels[-2::-1], skips[-2::-1], strict=True)):
        x = layers.Concatenate()([build_upsample(count, dropout=level < 3)(x), skip])
    return Model(damaged, build_convolution(layers.Conv2DTranspose, 3, activation="tanh")(x))


def build_discriminator(side: int, width: int) -> Any:
    damaged, image = Input((side, side, 3)), Input((side, side, 3))
    x = layers.Concatenate()([damaged, image])
    for factor in (1, 2, 4):
        x = build_downsample(width * factor, normalize=factor > 1)(x)
    x = build_convolution(layers.Conv2D, width * 8, 1, "valid", use_bias=False)(layers.ZeroPadding2D()(x))
    x = layers.LeakyReLU()(layers.BatchNormalization()(x))
    return Model([damaged, image], build_convolution(layers.Conv2D, 1, 1, "valid")(layers.ZeroPadding2D()(x)))


def apply_gradients(optimizer: Any, gradients: Any, network: Any) -> None:
    optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))


def build_train_step(generator: Any, discriminator: Any, generator_optimizer: Any,
                     discriminator_optimizer: Any) -> Callable[[Any, Any], Any]:
    """Return the compiled step, from (damaged, original) images to the generator's loss."""
    cross_entropy = tf.keras.losses.BinaryCrossentropy(from_logits=True)

    @tf.function
    def train_step(damaged: Any, original: Any) -> Any:
        with tf.GradientTape() as generator_tape, tf.GradientTape() as discriminator_tape:
            predicted = generator(damaged, training=True)
            real, fake = discriminator([damaged, original], training=True), discriminator([damaged, predicted], training=True)
            adversarial_loss = cross_entropy(tf.ones_like(fake), fake)
            generator_loss = adversarial_loss + LAMBDA * tf.reduce_mean(tf.abs(original - predicted))
            discriminator_loss = cross_entropy(tf.ones_like(real), real) + cross_entropy(tf.zeros_like(fake), fake)
        generator_gradients = generator_tape.gradient(generator_loss, generator.trainable_variables)
        discriminator_gradients = discriminator_tape.gradient(discriminator_loss, discriminator.trainable_variables)
        apply_gradients(generator_optimizer, generator_gradients, generator)
        apply_gradients(discriminator_optimizer, discriminator_gradients, discriminator)
        return generator_loss

    return train_step


def main() -> None:
    file, (width, steps, evaluate_every) = sys.argv[1], map(int, sys.argv[2:])
    batch = read_batch(file)
    damaged, _, original = batch
    generator, discriminator = (build(damaged.shape[1], width) for build in (build_generator, build_discriminator))
    optimizers = [tf.keras.optimizers.Adam(2e-4, beta_1=0.5) for _ in range(2)]
    for optimizer, network in zip(optimizers, (generator, discriminator), strict=True):
        optimizer.build(network.trainable_variables)
    run_step = build_train_step(generator, discriminator, *optimizers)
    inputs, targets = ((2 * images - 1).astype(np.float32) for images in (damaged, original))

    def train_step(picks: Any = slice(None)) -> None:
        run_step(inputs[picks], targets[picks]).numpy()

    def predict(picks: Any) -> np.ndarray:
        predicted: np.ndarray = generator(inputs[picks], training=True).numpy()
        return (predicted + 1) / 2

    weights = [*generator.variables, *discriminator.variables]
    moments = [variable for optimizer in optimizers for variable in optimizer.variables]
    serve(step=train_step, curve=TrainingCurve(train_step, predict, batch, steps, evaluate_every, weights=weights,
                                               optimizer_variables=moments))


if __name__ == "__main__":
    main()
