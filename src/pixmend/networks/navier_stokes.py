"""OpenCV's Navier-Stokes inpainting as a model: edges are carried into the hole as a fluid would."""

from pixmend.fills.simple import navier_stokes as fill

__all__ = ["fill"]
