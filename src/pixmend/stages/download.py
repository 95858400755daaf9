"""Download the competition's archive from Kaggle (or make that of a synthetic one), check it and unpack it into competition/."""

from pixmend.kaggle.download import download_competition

main = download_competition   # writes competition/<competition>/
