"""A document as a list of blocks, which become Markdown here and PDF in pdf.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

TO_FILL_IN = "To be filled in:"


@dataclass(frozen=True)
class Heading:
    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    text: str


@dataclass(frozen=True)
class ToFillIn:
    """What only the person knows: a marked field."""

    text: str


@dataclass(frozen=True)
class Table:
    """Rows of texts under a header; the first column names the row."""

    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class Picture:
    """An image file of the archive, with its caption."""

    path: str
    data: bytes
    caption: str


Block = Heading | Paragraph | ToFillIn | Table | Picture


def format_markdown(blocks: Sequence[Block]) -> str:
    return "\n\n".join(map(format_block, blocks)) + "\n"


def format_block(block: Block) -> str:
    """Return one block as Markdown."""
    match block:
        case Heading():
            return f"{'#' * block.level} {block.text}"
        case Paragraph():
            return block.text
        case ToFillIn():
            return f"> **{TO_FILL_IN}** {block.text}"
        case Table():
            lines = [block.header, ("---",) * len(block.header), *block.rows]
            return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
        case Picture():
            return f"![{block.caption}]({block.path})\n\n*{block.caption}*"
        case _:
            assert_never(block)
