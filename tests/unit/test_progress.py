"""What a long stage says of itself: how far it is, the figure that matters, the time left."""

from itertools import count

import pytest

from pixmend import progress


@pytest.fixture
def slow_clock(monkeypatch):
    """Six seconds pass between two looks at the clock."""
    ticks = count(0, 6)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(ticks))


def test_without_a_terminal_a_line_now_and_then_tells_the_time_left(slow_clock, capsys):
    with progress.ProgressBar("decode", 200) as bar:
        for _ in range(4):
            bar.advance(25, "4 pictures/s")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("decode ") and "/200  4 pictures/s  " in lines[0] and lines[0].endswith(" left")


@pytest.mark.parametrize(("done", "share", "left"), [(50, None, "0:12"), (50, 0.25, "0:36"), (1, 0.75, "0:04"), (0, None, "")])
def test_the_time_left_is_by_the_share_that_is_spent_of_whatever_ends_first(slow_clock, done, share, left):
    """Twelve seconds after its beginning, of a hundred steps."""
    bar = progress.ProgressBar("train", 100)
    bar.advance(done, share=share)
    assert bar.left().removesuffix(" left") == left
