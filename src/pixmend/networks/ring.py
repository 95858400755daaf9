"""The ring fill as a model: every hole takes the mean colour of a thin ring round it."""

from pixmend.fills.simple import ring as fill

__all__ = ["fill"]
