"""Keras's convolutions of 4x4 that halve or double a picture, their filters learnt by one matrix product where that is faster.

oneDNN needs longer for a big filter's gradient the fewer places there are to learn it from: of a step of Pix2Pix on a CPU
an eighth at batch 8 and a sixth at batch 1.
"""

from keras import layers

from pixmend import backend

KERNEL, STRIDE = 4, 2
CHANNELS_A_PLACE = 4   # of the smaller picture; with fewer, oneDNN is faster


def by_product(smaller):
    """Whether a convolution between this picture and one of twice its sides learns its filter by one matrix product."""
    rows, columns, channels = smaller
    return backend.is_tensorflow() and channels >= CHANNELS_A_PLACE * rows * columns


class Halving(layers.Conv2D):
    def __init__(self, channels, **options):
        super().__init__(channels, KERNEL, STRIDE, "same", **options)

    def convolution_op(self, x, kernel):
        smaller = self.compute_output_shape(x.shape)[1:]
        return backend.halved(x, kernel) if by_product(smaller) else super().convolution_op(x, kernel)


class Doubling(layers.Conv2DTranspose):
    def __init__(self, channels, **options):
        super().__init__(channels, KERNEL, STRIDE, "same", **options)

    def call(self, x):
        return backend.doubled(x, self.kernel) if not self.use_bias and by_product(x.shape[1:]) else super().call(x)
