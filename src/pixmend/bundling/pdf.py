"""A document as PDF: A4 pages of text, tables and images, drawn by Matplotlib; the same blocks give the same bytes.

Lengths are in points, 72 an inch; the vertical position is that of the top of what is drawn next, from the bottom of the page.
"""

import io
from collections.abc import Iterator, Sequence
from typing import Any, assert_never

import cv2
import numpy as np

from pixmend.bundling.document import TO_FILL_IN, Block, Heading, Paragraph, Picture, Table, ToFillIn

WIDTH, HEIGHT, MARGIN = 595, 842, 56
INCH = 72
BODY, SMALL, FOOT = 9.5, 8.5, 7.5   # sizes of the text
HEADINGS = {1: 18.0, 2: 13.0, 3: 10.5}
LINE = 1.42     # distance of two lines, in sizes of the text
GAP = 7.0       # below a block
CELL_GAP = 8.0   # between two columns of a table
MAX_PICTURE_HEIGHT = 330.0
LEAST_AFTER_HEADING = 70.0   # of a page, else a heading begins the next one
INK, MARKED, FAINT, RULE = "#15181c", "#a3480a", "#6c737b", "#b9bec5"
STYLE: dict[Any, Any] = {"pdf.fonttype": 42, "font.family": ["DejaVu Sans"], "text.parse_math": False, "text.usetex": False}


def render_pdf(title: str, blocks: Sequence[Block]) -> bytes:
    """Return the file with all blocks, one below the other."""
    import matplotlib
    from matplotlib.backends.backend_pdf import PdfPages

    out = io.BytesIO()
    with matplotlib.rc_context(STYLE), PdfPages(out, metadata={"Title": title, "CreationDate": None}) as pages:
        writer = PageWriter(title)
        for block in blocks:
            writer.add(block)
        for page in writer.finish():
            pages.savefig(page)
    return out.getvalue()


class PageWriter:
    """Draws blocks onto pages, and begins a new page where one is full."""

    def __init__(self, title: str) -> None:
        from matplotlib.textpath import TextToPath

        self.title, self.measurer, self.pages = title, TextToPath(), []   # type: ignore[var-annotated]
        self.begin_page()

    def begin_page(self) -> None:
        from matplotlib.figure import Figure

        self.pages.append(Figure(figsize=(WIDTH / INCH, HEIGHT / INCH)))
        self.top = float(HEIGHT - MARGIN)

    def finish(self) -> list[Any]:
        """Write the page numbers, and return the pages."""
        for number, page in enumerate(self.pages, 1):
            text = f"{self.title}   {number} / {len(self.pages)}"
            page.text(0.5, 0.5 * MARGIN / HEIGHT, text, ha="center", size=FOOT, color=FAINT)
        return self.pages

    def add(self, block: Block) -> None:
        match block:
            case Heading():
                self.add_heading(block)
            case Paragraph():
                self.add_text(block.text, BODY)
            case ToFillIn():
                self.add_text(f"{TO_FILL_IN} {block.text}", BODY, color=MARKED, style="italic")
            case Table():
                self.add_table(block)
            case Picture():
                self.add_picture(block)
            case _:
                assert_never(block)
        self.top -= GAP

    def add_heading(self, block: Heading) -> None:
        size = HEADINGS[block.level]
        self.top -= size / 2 if self.top < HEIGHT - MARGIN else 0
        self.make_room(LEAST_AFTER_HEADING)
        self.add_text(block.text, size, weight="bold")

    def add_text(self, text: str, size: float, **look: Any) -> None:
        for line in self.wrap(text, size, WIDTH - 2 * MARGIN, **look):
            self.make_room(size * LINE)
            self.draw(line, MARGIN, size, **look)
            self.top -= size * LINE

    def add_table(self, block: Table) -> None:
        """Draw a table; a column is as wide as its longest text, and where that is too wide, the last one is wrapped."""
        has_header = any(block.header)
        rows = [*([block.header] if has_header else []), *block.rows]
        widths = [max(self.measure(row[column], SMALL, weight="bold") for row in rows) + CELL_GAP
                  for column in range(len(block.header))]
        free = WIDTH - 2 * MARGIN
        if sum(widths) > free:
            widths = [min(width, free / len(widths)) for width in widths[:-1]]
            widths.append(free - sum(widths))
        starts = MARGIN + np.cumsum([0, *widths[:-1]])
        for number, row in enumerate(rows):
            cells = [list(self.wrap(text, SMALL, width - CELL_GAP)) for text, width in zip(row, widths, strict=True)]
            self.add_row(cells, starts.tolist(), weight="bold" if has_header and number == 0 else "normal")

    def add_row(self, cells: list[list[str]], starts: list[float], **look: Any) -> None:
        height = max(map(len, cells)) * SMALL * LINE
        self.make_room(height)
        for lines, start in zip(cells, starts, strict=True):
            for number, line in enumerate(lines):
                self.draw(line, start, SMALL, below=number * SMALL * LINE, **look)
        self.top -= height
        self.draw_rule()

    def draw_rule(self) -> None:
        from matplotlib.lines import Line2D

        y = (self.top + 0.2 * SMALL) / HEIGHT
        self.pages[-1].add_artist(Line2D([MARGIN / WIDTH, 1 - MARGIN / WIDTH], [y, y], color=RULE, linewidth=0.4))

    def add_picture(self, block: Picture) -> None:
        pixels = np.asarray(cv2.imdecode(np.frombuffer(block.data, np.uint8), cv2.IMREAD_COLOR))[..., ::-1]
        height, width = pixels.shape[:2]
        scale = min((WIDTH - 2 * MARGIN) / width, MAX_PICTURE_HEIGHT / height)
        self.make_room(height * scale + 2 * SMALL * LINE)
        bottom = self.top - height * scale
        axes = self.pages[-1].add_axes((MARGIN / WIDTH, bottom / HEIGHT, width * scale / WIDTH, height * scale / HEIGHT))
        axes.imshow(pixels, aspect="auto", interpolation="none")
        axes.set_axis_off()
        self.top = bottom - 4
        self.add_text(block.caption, SMALL, style="italic")

    def make_room(self, height: float) -> None:
        if self.top - height < MARGIN:
            self.begin_page()

    def draw(self, text: str, x: float, size: float, below: float = 0.0, color: str = INK, **look: Any) -> None:
        """Draw a line of text whose top is at the present position, or below it."""
        self.pages[-1].text(x / WIDTH, (self.top - below - size) / HEIGHT, text, size=size, color=color, va="baseline", **look)

    def measure(self, text: str, size: float, **look: Any) -> float:
        """Return the width of a text."""
        from matplotlib.font_manager import FontProperties

        kind = {name: value for name, value in look.items() if name in ("weight", "style")}
        font = FontProperties(family=STYLE["font.family"], size=size, **kind)
        return float(self.measurer.get_text_width_height_descent(text or " ", font, ismath=False)[0])

    def wrap(self, text: str, size: float, width: float, **look: Any) -> Iterator[str]:
        """Yield the lines of a text."""
        line = ""
        for word in self.cut_words(text, size, width, **look):
            longer = f"{line} {word}".strip()
            if line and self.measure(longer, size, **look) > width:
                yield line
                longer = word
            line = longer
        yield line

    def cut_words(self, text: str, size: float, width: float, **look: Any) -> Iterator[str]:
        """Yield the words of a text; one that is wider than a line is cut into pieces."""
        for word in text.split():
            while len(word) > 1 and self.measure(word, size, **look) > width:
                fitting = (end for end in range(len(word) - 1, 1, -1) if self.measure(word[:end], size, **look) <= width)
                end = next(fitting, 1)
                yield word[:end]
                word = word[end:]
            yield word
