"""The smooth fill of pixelated areas as a model: as tile_harmonic, of a film that also resists bending; usually better."""

from pixmend.fills.tiles import tile_smooth as fill

__all__ = ["fill"]
