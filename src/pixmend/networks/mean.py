"""The mean fill as a model: every missing pixel takes the mean colour of the known ones."""

from pixmend.fills.simple import mean as fill

__all__ = ["fill"]
