"""OpenCV's Navier-Stokes inpainting as a model: edges are carried into the hole as a fluid would."""

from src.pictures.fills import navier_stokes as fill

__all__ = ["fill"]
