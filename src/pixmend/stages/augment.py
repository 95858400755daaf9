"""Decode every image once, fill its missing pixels, hold out whole sources, and list the 5x augmented training images."""

from pixmend.competitions.prepare import prepare_dataset

main = prepare_dataset   # writes augment/<competition>/
