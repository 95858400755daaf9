"""The harmonic fill as a model: the smoothest surface through the known pixels, the floor of every score table."""

from pixmend.fills.harmonic import harmonic as fill

__all__ = ["fill"]
