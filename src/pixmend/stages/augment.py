"""Decode every image once, fill its missing pixels, hold out whole sources, and list the 5x augmented training images."""

from pixmend.competitions.prepare import prepare_dataset
from pixmend.config import Settings


def main(settings: Settings) -> None:
    """Write augment/<competition>/."""
    prepare_dataset(settings)
