"""The harmonic fill of pixelated areas as a model: the smoothest film that keeps every tile's mean."""

from pixmend.fills.tiles import tile_harmonic as fill

__all__ = ["fill"]
