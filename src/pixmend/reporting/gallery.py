"""Holdout pictures that show a run: its best, middle and worst against the harmonic fill, and typical ones for a README."""

import base64

import cv2
import numpy as np

from pixmend.data.encode import encode_jpeg

MOST_SHOWN = 3     # of the best, of the middle and of the worst pictures
TYPICAL = 3
GAP, WIDEST = 6, 900
VIEWS = ("damaged", "harmonic", "predicted", "whole", "error")


def ratios(score):
    """Each picture's error as a share of the harmonic fill's: below 1 something was gained."""
    return np.sqrt(np.array(score["sums"]) / np.maximum(score["fills"]["harmonic"], 1e-9))


def groups(score):
    """Places in the holdout under the titles they are shown with; none is shown twice while there are enough."""
    order = np.argsort(ratios(score), kind="stable").tolist()
    shown = min(MOST_SHOWN, -(-len(order) // 3))
    middle = (len(order) - shown) // 2
    return {"Most gained on the harmonic fill": order[:shown], "In the middle": order[middle:middle + shown],
            "Least gained, or lost": order[::-1][:shown]}


def typical(score):
    """Places of the pictures nearest the middle of all, of different classes while there are some."""
    gained = ratios(score)
    nearest = np.argsort(np.abs(gained - np.median(gained)), kind="stable").tolist()
    first = {}
    for place in nearest:
        first.setdefault(score["classes"][place], place)
    others = [place for place in nearest if place not in first.values()]
    return [*first.values(), *others][:TYPICAL]


def wanted(score):
    """The ids of all pictures that are shown anywhere."""
    places = {place for group in [*groups(score).values(), typical(score)] for place in group}
    return {score["ids"][place] for place in places}


def views(ready, row, mended):
    """The five views of a picture, in 0..1; in `error` grey is none."""
    whole, mask = ready.whole(row) / 255, ready.hole(row) > 0
    return dict(zip(VIEWS, (ready.damaged(row) / 255, ready.seen(row, "harmonic") / 255, mended, whole,
                            0.5 + (mended - whole) * mask[..., None]), strict=True))


def to_bytes(picture):
    return np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)


def embed(picture):
    return "data:image/jpeg;base64," + base64.b64encode(encode_jpeg(to_bytes(picture), 90)).decode()


def shown(ready, score, mended):
    """The groups with all that the page says of each picture."""
    rows, gained = {row.id: row for row in ready.split("holdout")}, ratios(score)

    def entry(place):
        name = score["ids"][place]
        pictures = {view: embed(picture) for view, picture in views(ready, rows[name], mended[name]).items()}
        return {"id": name, "class": score["classes"][place], "ratio": gained[place], "pictures": pictures,
                "rmse": np.sqrt(score["sums"][place] / score["numbers"][place])}

    return {title: [entry(place) for place in places] for title, places in groups(score).items()}


def before_after(ready, score, mended):
    """Typical pictures in rows of damaged, harmonic, predicted and whole, as one picture for a README."""
    rows = {row.id: row for row in ready.split("holdout")}
    names = [score["ids"][place] for place in typical(score)]
    return stacked([beside([to_bytes(p) for p in list(views(ready, rows[name], mended[name]).values())[:4]]) for name in names])


def beside(pictures):
    """Pictures in a row with white gaps, enlarged by whole factors or shrunk to fit."""
    room = (WIDEST - GAP * (len(pictures) - 1)) // len(pictures)
    sized = [fit(picture, room) for picture in pictures]
    gap = np.full((sized[0].shape[0], GAP, sized[0].shape[2]), 255, np.uint8)
    return np.concatenate([part for picture in sized for part in (gap, picture)][1:], axis=1)


def stacked(bands):
    gap = np.full((GAP, *bands[0].shape[1:]), 255, np.uint8)
    return np.concatenate([part for band in bands for part in (gap, band)][1:])


def fit(picture, room):
    height, width, channels = picture.shape
    if width <= room:
        return picture.repeat(room // width, 0).repeat(room // width, 1)
    size = (room, max(1, round(height * room / width)))
    return cv2.resize(np.ascontiguousarray(picture), size, interpolation=cv2.INTER_AREA).reshape(*size[::-1], channels)
