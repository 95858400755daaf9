"""Download the competition's archive from Kaggle (or make that of a synthetic one), check it and unpack it into competition/."""

from pixmend.config import Settings
from pixmend.kaggle.download import download_competition


def main(settings: Settings) -> None:
    """Write competition/<competition>/."""
    download_competition(settings)
