"""The same step as the TensorFlow tutorial on Pix2Pix does it: two tapes, two optimizers, tf.function, float32."""

import sys

import numpy as np
import tensorflow as tf
from tensorflow.keras import Input, Model, Sequential, layers

from benchmarks._process import serve
from benchmarks.works._curve import Curve, read

LAMBDA = 100
DEEPEST = 8   # times the width


def convolution(kind, channels, strides=2, padding="same", **options):
    return kind(channels, 4, strides, padding, kernel_initializer=tf.random_normal_initializer(0.0, 0.02), **options)


def down(channels, norm=True):
    parts = [convolution(layers.Conv2D, channels, use_bias=False), *([layers.BatchNormalization()] if norm else [])]
    return Sequential([*parts, layers.LeakyReLU()])


def up(channels, dropout):
    parts = [convolution(layers.Conv2DTranspose, channels, use_bias=False), layers.BatchNormalization()]
    return Sequential([*parts, *([layers.Dropout(0.5)] if dropout else []), layers.ReLU()])


def generator(side, width):
    plan = [width * min(2**level, DEEPEST) for level in range(side.bit_length() - 1)][:8]
    x = seen = Input((side, side, 3))
    skips = []
    for level, channels in enumerate(plan):
        x = down(channels, norm=level > 0)(x)
        skips.append(x)
    for step, (channels, skip) in enumerate(zip(plan[-2::-1], skips[-2::-1], strict=True)):
        x = layers.Concatenate()([up(channels, dropout=step < 3)(x), skip])
    return Model(seen, convolution(layers.Conv2DTranspose, 3, activation="tanh")(x))


def discriminator(side, width):
    seen, judged = Input((side, side, 3)), Input((side, side, 3))
    x = layers.Concatenate()([seen, judged])
    for times in (1, 2, 4):
        x = down(width * times, norm=times > 1)(x)
    x = convolution(layers.Conv2D, width * 8, 1, "valid", use_bias=False)(layers.ZeroPadding2D()(x))
    x = layers.LeakyReLU()(layers.BatchNormalization()(x))
    return Model([seen, judged], convolution(layers.Conv2D, 1, 1, "valid")(layers.ZeroPadding2D()(x)))


def follow(optimizer, gradients, network):
    optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))


def main():
    file, (width, steps, every) = sys.argv[1], map(int, sys.argv[2:])
    seen, _, whole = pictures = read(file)
    paints, judges = generator(seen.shape[1], width), discriminator(seen.shape[1], width)
    of_paints, of_judges = (tf.keras.optimizers.Adam(2e-4, beta_1=0.5) for _ in range(2))
    of_paints.build(paints.trainable_variables)
    of_judges.build(judges.trainable_variables)
    entropy = tf.keras.losses.BinaryCrossentropy(from_logits=True)

    @tf.function
    def train_step(shown, target):
        with tf.GradientTape() as of_painting, tf.GradientTape() as of_judging:
            painted = paints(shown, training=True)
            real, fake = judges([shown, target], training=True), judges([shown, painted], training=True)
            painting = entropy(tf.ones_like(fake), fake) + LAMBDA * tf.reduce_mean(tf.abs(target - painted))
            judging = entropy(tf.ones_like(real), real) + entropy(tf.zeros_like(fake), fake)
        follow(of_paints, of_painting.gradient(painting, paints.trainable_variables), paints)
        follow(of_judges, of_judging.gradient(judging, judges.trainable_variables), judges)
        return painting

    shown, target = (np.float32(2 * unit - 1) for unit in (seen, whole))

    def step(picked=slice(None)):
        train_step(shown[picked], target[picked]).numpy()

    def paint(picked):
        return (paints(shown[picked], training=True).numpy() + 1) / 2

    networks, momenta = [*paints.variables, *judges.variables], [*of_paints.variables, *of_judges.variables]
    serve(step=step, curve=Curve(step, paint, pictures, steps, every, weights=networks, rest=momenta))


if __name__ == "__main__":
    main()
