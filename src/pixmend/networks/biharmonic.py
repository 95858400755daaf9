"""The biharmonic fill as a model: a thin plate bent through the known pixels; for holes of a few pixels the best fill."""

from pixmend.fills.biharmonic import biharmonic as fill

__all__ = ["fill"]
