"""Messages and one progress bar for every long stage: rich on a terminal, a line now and then elsewhere, nothing with --quiet."""

import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, Self, TypeVar

SECONDS_BETWEEN_LINES = 10
WIDE = 120   # columns of a terminal

T = TypeVar("T")
quiet = False


def print_message(text: str) -> None:
    if not quiet:
        print(text, flush=True)


def format_duration(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def format_size(size: float) -> str:
    """Return a number of bytes in the largest unit of which there is at least one."""
    for unit, count in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if size >= count:
            return f"{size / count:.1f} {unit}"
    return f"{size:.0f} bytes"


def track(items: Sequence[T], label: str) -> Iterator[T]:
    """Yield the items, and show in a bar how many are done."""
    with ProgressBar(label, len(items)) as bar:
        for item in items:
            yield item
            bar.advance(1, f"{bar.rate():.0f} images/s")


class ProgressBar:
    """`with ProgressBar("decode", 200) as bar: bar.advance(10, "120 images/s")`.

    The time left follows from the share that is done: `share`, or the done part of the total, which is 0 if there is none.
    """

    def __init__(self, label: str, total: int, done: int = 0, share: float | None = None) -> None:
        self.label, self.total, self.done, self.first = label, total, done, done
        self.share = self.first_share = self._compute_share(share)
        self.started = self.last_line = time.monotonic()
        self.text = ""
        self.rich: Any = None

    def __enter__(self) -> Self:
        """Show a bar on the terminal; on a narrow one it leaves out the bar itself and wraps the figures."""
        if quiet or not sys.stdout.isatty():
            return self
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.table import Column

        console = Console()
        bar = [BarColumn(bar_width=24)] if console.width >= WIDE else []
        figures = TextColumn("{task.fields[text]}", table_column=Column(no_wrap=False))
        columns = [TextColumn("{task.description}"), *bar, MofNCompleteColumn(), figures, TextColumn("{task.fields[left]}")]
        self.rich = Progress(*columns, console=console, refresh_per_second=4)
        self.task = self.rich.add_task(self.label, total=self.total or None, completed=self.done, text="", left="")
        self.rich.start()
        return self

    def _compute_share(self, share: float | None) -> float:
        return share if share is not None else self.done / self.total if self.total else 0

    def advance(self, count: int = 1, text: str | None = None, share: float | None = None) -> None:
        """Add to what is done, and set the figure that is displayed beside it."""
        self.done += count
        self.share = self._compute_share(share)
        self.text = self.text if text is None else text
        if self.rich:
            self.rich.update(self.task, completed=self.done, text=self.text, left=self.left())
        elif time.monotonic() - self.last_line >= SECONDS_BETWEEN_LINES:
            self._print_line()

    def rate(self) -> float:
        return (self.done - self.first) / max(time.monotonic() - self.started, 1e-9)

    def left(self) -> str:
        if self.share <= self.first_share:
            return ""
        elapsed = time.monotonic() - self.started
        return format_duration(elapsed * (1 - self.share) / (self.share - self.first_share)) + " left"

    def _print_line(self) -> None:
        self.last_line = time.monotonic()
        parts = [f"{self.label} {self.done}{f'/{self.total}' if self.total else ''}", self.text, self.left()]
        print_message("  ".join(part for part in parts if part))

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if self.rich:
            self.rich.stop()
        elif error is None and time.monotonic() - self.started >= SECONDS_BETWEEN_LINES:
            self._print_line()
