"""The light of a picture or a window, from what is known of it: so that a dark and a bright one teach a network the same."""

from keras import ops

FLAT = 0.04   # known colours that differ by less than this teach nothing about contrast


def light(seen, known):
    """Mean colour of the part that tells of it, which is the known one, and by how much its colours differ from that."""
    number = ops.maximum(ops.sum(known, (1, 2, 3), keepdims=True), 1.0)
    mean = ops.sum(seen * known, (1, 2), keepdims=True) / number
    spread = ops.sum(ops.square(seen - mean) * known, (1, 2, 3), keepdims=True) / (number * seen.shape[-1])
    return mean, ops.maximum(ops.sqrt(spread + 1e-8), FLAT)
