"""One progress bar for every long stage: rich on a terminal, a line now and then elsewhere, nothing with --quiet."""

import sys
import time

SECONDS_BETWEEN_LINES = 10
WIDE = 120  # columns of a terminal

quiet = False


def print_message(text):
    if not quiet:
        print(text, flush=True)


def format_duration(seconds):
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class ProgressBar:
    """`with Bar("decode", 200) as bar: bar.advance(10, "120 pictures/s")`; the text is the figure that matters.

    The time left follows from the share that is done, which is that of the total where no other one is told.
    """

    def __init__(self, label, total, done=0, share=None):
        self.label, self.total, self.done, self.first = label, total, done, done
        self.share = self.first_share = self._share(share)
        self.started = self.last_line = time.monotonic()
        self.text, self.rich = "", None

    def __enter__(self):
        if not quiet and sys.stdout.isatty():
            self.rich = _rich_bar()
            self.task = self.rich.add_task(self.label, total=self.total, completed=self.done, text="", left="")
            self.rich.start()
        return self

    def _share(self, told):
        return told if told is not None else self.done / self.total if self.total else 0

    def advance(self, count=1, text=None, share=None):
        self.done += count
        self.share = self._share(share)
        self.text = self.text if text is None else text
        if self.rich:
            self.rich.update(self.task, completed=self.done, text=self.text, left=self.left())
        elif time.monotonic() - self.last_line >= SECONDS_BETWEEN_LINES:
            self._line()

    def rate(self):
        return (self.done - self.first) / max(time.monotonic() - self.started, 1e-9)

    def left(self):
        """The time left at the pace so far."""
        if self.share <= self.first_share:
            return ""
        spent = time.monotonic() - self.started
        return format_duration(spent * (1 - self.share) / (self.share - self.first_share)) + " left"

    def _line(self):
        self.last_line = time.monotonic()
        parts = [f"{self.label} {self.done}/{self.total}", self.text, self.left()]
        print_message("  ".join(part for part in parts if part))

    def __exit__(self, kind, *_):
        if self.rich:
            self.rich.stop()
        elif kind is None and time.monotonic() - self.started >= SECONDS_BETWEEN_LINES:
            self._line()


def _rich_bar():
    """The bar gives way on a narrow terminal; the figures take a second line there."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.table import Column

    console = Console()
    bar = [BarColumn(bar_width=24)] if console.width >= WIDE else []
    figures = TextColumn("{task.fields[text]}", table_column=Column(no_wrap=False))
    columns = [TextColumn("{task.description}"), *bar, MofNCompleteColumn(), figures, TextColumn("{task.fields[left]}")]
    return Progress(*columns, console=console, refresh_per_second=4)
