"""The mean fill as a model: every missing pixel takes the mean colour of the known ones."""

from src.pictures.fills import mean as fill

__all__ = ["fill"]
