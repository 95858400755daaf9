"""The output of a running session at Kaggle, printed here as it comes: `kaggle kernels logs --follow`."""

import time

from pixmend.kaggle import client
from pixmend.progress import print_message

MAX_SILENCE = 60.0   # seconds; then the session is asked for its status, because it may have ended


class LogFollower:
    """Prints each line of a session once, although Kaggle begins with the first line whenever it is asked again."""

    def __init__(self, ref: str, slug: str) -> None:
        self.ref, self.slug = ref, slug
        self.printed = 0
        self.is_possible = True   # until Kaggle has refused it

    def follow(self, end: float) -> None:
        """Print new lines until the session ends or is silent, at most until time.monotonic() is `end`."""
        if not self.is_possible or time.monotonic() >= end:
            return
        count, rest = 0, ""

        def print_lines(text: str) -> None:
            nonlocal count, rest
            *lines, rest = (rest + text).split("\n")
            for line in lines:
                count += 1
                if count > self.printed:
                    print_message(f"  {client.clean_text(line)}")
                    self.printed = count
            if time.monotonic() >= end:
                raise TimeoutError

        try:
            silence = min(MAX_SILENCE, end - time.monotonic())
            _, failure = client.run_once(["kernels", "logs", "--follow", self.ref], self.slug, "", timeout=silence,
                                         on_output=print_lines, only_stdout=True)
            self.is_possible = failure is None or failure.kind in ("timeout", *client.TEMPORARY)
        except TimeoutError:
            pass
