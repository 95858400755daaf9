"""What the smoothest surface misses in one tile of a pixelated area, from a window around it: window_mlp, of tiles.

Every tile lies in the middle of its window, in the same size, so the seams of its neighbours are always at the same places
and a network without convolutions learns what goes on in a tile with these neighbours. Colours are measured from the mean of
the whole window, since in the middle of a large area none of it is known.
"""

from keras import ops

from pixmend.networks import window_mlp

DEFAULTS = {"window": 3.0, "work_size": 30, "damages": 1, "start": "tile_smooth", "width": 768, "levels": 2, "batch_size": 512,
            "learning_rate": 1e-3, "beta_1": 0.9, "beta_2": 0.99, "decay": 0.05, "clip": 0.01, "schedule": "cosine",
            "warm_up": 300, "average": 0.999, "loss": "l2", "loss_region": "hole", "steps": 2000,
            "check_every": 200, "check_pictures": 550}


def build(shape, settings):
    return window_mlp.build(shape, settings, told=ops.ones_like)
