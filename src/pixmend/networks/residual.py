"""From the output of a network to an image; with --start FILL a run begins at its fill.

With --start none the output of a network is the image. With any other start the image is the filled input plus a residual, made
from the output. The last layer then begins at zero, so that the first image is the fill, and training only improves it.
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from pixmend.config import NetworkSettings
from pixmend.errors import FlagError, UserError
from pixmend.networks.layers.blocks import build_hole_mask
from pixmend.networks.registry import NetworkSpec, Output, get_network

TOLERANCE = 1e-2   # of outputs in bfloat16


def build_with_start(input_shape: tuple[int, int, int], settings: NetworkSettings) -> keras.Model:
    """Build the network of --model, from [image, mask] to an image in 0..1, or to a mask if the network finds masks.

    The image is float32 in 0..1, batch x height x width x channels; missing pixels are filled as --start says. The mask is 1
    where pixels are missing: batch x height x width x 1.
    """
    spec = get_network(settings.model)
    network = spec.load()(input_shape, settings)
    check_network(network, input_shape, spec)
    if spec.finds_masks:
        return network
    output = network.output if network.output.dtype == "float32" else ops.cast(network.output, "float32")
    if settings.start == "none" and spec.output is not Output.RESIDUAL:
        image, mask = network.inputs
        predicted = (output + 1.0) / 2.0 if spec.output is Output.SYMMETRIC else output
        predicted = image + (predicted - image) * find_region(mask, spec) if spec.copies_known_pixels else predicted
        return keras.Model(network.inputs, predicted)
    set_last_layer_to_zero(network)
    return keras.Model(network.inputs, add_residual(network, output, spec, settings))


def add_residual(network: keras.Model, output: Any, spec: NetworkSpec, settings: NetworkSettings) -> Any:
    """Return the input image plus the residual that an output stands for."""
    image, mask = network.inputs
    form, copies_known_pixels = spec.output, spec.copies_known_pixels
    if form is None:
        form, copies_known_pixels = find_output(network, settings)
    if form is Output.IMAGE_PLUS_RESIDUAL:
        return output
    residual = 2.0 * output - 1.0 if form is Output.UNIT else output
    return image + (residual * find_region(mask, spec) if copies_known_pixels else residual)


def check_network(network: Any, input_shape: tuple[int, int, int], spec: NetworkSpec) -> None:
    """Raise an error unless the network is a functional model of an image and a mask."""
    mask_shape = (*input_shape[:2], 1)
    shapes = [input_shape, mask_shape, mask_shape if spec.finds_masks else input_shape]
    if list_shapes(network) != shapes:
        raise UserError(f"{spec.build} must return keras.Model([image, mask], output) with shapes "
                        f"{', '.join(map(str, shapes))}; it returned {network!r}.")


def list_shapes(network: Any) -> list[tuple[int, ...]]:
    """Return the shapes of a network's inputs and of its output; none if it is no functional model with one output."""
    try:
        return [tuple(x.shape[1:]) for x in (*network.inputs, network.output)]
    except AttributeError:
        return []


def find_region(mask: Any, spec: NetworkSpec) -> Any:
    """Return where the prediction counts: the missing pixels, or those of them that lie in the holes of 8x8 blocks."""
    return mask * build_hole_mask(*mask.shape[1:3]) if spec.blocks_only else mask


def set_last_layer_to_zero(network: keras.Model) -> None:
    """Set all weights of the last layer to zero, of those layers that have weights; nested models are searched."""
    last = [layer for layer in network.layers if layer.trainable_weights][-1]
    if isinstance(last, keras.Model):
        set_last_layer_to_zero(last)
        return
    for weight in last.trainable_weights:
        weight.assign(np.zeros(weight.shape))


def find_output(network: keras.Model, settings: NetworkSettings) -> tuple[Output, bool]:
    """Find out what a network predicts, and whether it copies known pixels, by running it once with its last layer at zero."""
    rng = np.random.default_rng(0)
    image = rng.random((1, *network.inputs[0].shape[1:]), np.float32)
    mask = (rng.random((1, *network.inputs[1].shape[1:])) < 0.5).astype(np.float32)
    first = np.asarray(ops.cast(network([image, mask], training=False), "float32"))
    missing = mask[..., 0] > 0
    neutral_values: dict[Output, Any] = {Output.LINEAR: 0.0, Output.UNIT: 0.5, Output.IMAGE_PLUS_RESIDUAL: image[missing]}
    for output, value in neutral_values.items():
        if np.allclose(first[missing], value, atol=TOLERANCE):
            return output, np.allclose(first[~missing], image[~missing], atol=TOLERANCE)
    raise FlagError(f"--model {settings.model} cannot begin at the fill of --start {settings.start}: with zero weights in its "
                    f"last layer its output should be 0 or 0.5 everywhere. End it with one layer, or use --start none.")
