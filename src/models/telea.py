"""OpenCV's Telea inpainting as a model: fast marching from the border inwards."""

from src.pictures.fills import telea as fill

__all__ = ["fill"]
