"""Find out by scores which channel order and value scale a competition wants; without --send say what that would cost."""

from pixmend.config import Settings
from pixmend.kaggle.settle import settle_run


def main(settings: Settings) -> None:
    print("\n".join(settle_run(settings)))
