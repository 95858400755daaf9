"""Publish an exported run at a hub; without --send say only what would be sent."""

from pixmend.config import Settings
from pixmend.sharing.publish import publish_run


def main(settings: Settings) -> None:
    print("\n".join(publish_run(settings)))
