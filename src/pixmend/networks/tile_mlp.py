"""What the smoothest surface misses in one tile of a pixelated area, from a window around it: window_mlp, of tiles.

Every tile lies in the middle of its window, in the same size, so the seams of its neighbours are always at the same places
and a network without convolutions learns what goes on in a tile with these neighbours. Colours are measured from the mean of
the whole window, since in the middle of a large area none of it is known.
"""

from keras import ops

from pixmend.networks import window_mlp


def build(shape, settings):
    return window_mlp.build(shape, settings, told=ops.ones_like)
