"""A convolution of each channel by itself, in float32 whatever the precision of the network.

In bfloat16 on a CPU, the kernel's gradient is not set where the kernel reaches beyond a small image: there it holds whatever was
in that memory, and weights become huge or not finite within some steps.
"""

from typing import Any

from keras import layers


def convolve_each_channel(x: Any, side: int, stride: int) -> Any:
    return layers.DepthwiseConv2D(side, stride, "same", use_bias=False, dtype="float32")(x)
