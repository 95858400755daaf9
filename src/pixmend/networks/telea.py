"""OpenCV's Telea inpainting as a model: fast marching from the border inwards."""

from pixmend.fills.simple import telea as fill

__all__ = ["fill"]
