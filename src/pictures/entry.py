"""One picture of a contest before it is decoded: its id, class and source, its files, and where pixels are missing."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """`boxes` are (row, column, height, width), in the order in which the submission asks for them."""

    id: str
    kind: str
    source: str
    split: str
    damaged: Path
    whole: Path | None
    boxes: tuple
