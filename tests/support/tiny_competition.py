"""A contest of nine small pictures in the real one's layout, written with plain loops and the csv module alone."""

import csv
import io

import cv2
import numpy as np

from pixmend.config import Settings

SIZE, SIDE = 32, 9
TRAIN = {"Cat": ["Cat-Train (1).jpeg", "Cat-Train (1).jpg", "odd, \"name\" ü.png"],
         "Tiger": ["Tiger (1).png", "Tiger (2).jpeg", "same.png"]}
TEST = ["same.png", "Tiger (7).png", 'a,"b" é_box1_.png']
HEADER = ["filename_box_pixel", "value"]


def build(home, test=TEST):
    """Write it into home/competition/photo_reconstruction; the settings, the whole test pictures and their boxes."""
    rng = np.random.default_rng(7)
    settings = Settings(home=str(home), competition="photo_reconstruction", size=SIZE)
    data = settings.competition_folder / "files" / "Dataset"
    for kind, names in TRAIN.items():
        folder = data / "Training_Data" / kind
        pictures, boxes = draw(rng, names)
        save(folder / "Unmasked_Train", pictures)
        save(folder / "Masked_Train", {name: blackened(pictures[name], boxes[name]) for name in names})
        write_table(folder / "Masked_Train" / "masked_info.csv", boxes)
    pictures, boxes = draw(rng, test)
    save(data / "Testing_Data", {name: blackened(pictures[name], boxes[name]) for name in test})
    write_table(data / "Testing_Data" / "masked_info.csv", boxes)
    write_rows(data.parent / "sample_submission.csv", [HEADER, *([i, "0.0"] for i, _ in graded(pictures, boxes))])
    return settings, pictures, boxes


def draw(rng, names):
    pictures = {name: cv2.resize(rng.integers(0, 256, (5, 5, 3), np.uint8), (SIZE, SIZE)) for name in names}
    return pictures, {name: rng.integers(0, SIZE - SIDE + 1, (2, 2)).tolist() for name in names}


def blackened(picture, boxes):
    picture = picture.copy()
    for row, column in boxes:
        picture[row:row + SIDE, column:column + SIDE] = 0
    return picture


def save(folder, pictures):
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        (folder / name).write_bytes(cv2.imencode("." + name.rpartition(".")[2], picture[..., ::-1])[1].tobytes())


def write_table(path, boxes):
    rows = [[i, name, *first, *second] for i, (name, (first, second)) in enumerate(boxes.items())]
    write_rows(path, [["", "filename", "box1_row", "box1_col", "box2_row", "box2_col"], *rows])


def write_rows(path, rows):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    path.write_bytes(text.getvalue().encode())


def read_rows(path):
    with open(path, newline="", encoding="utf-8", errors="replace") as file:
        return list(csv.reader(file))


def graded(pictures, boxes):
    """(id, value) of every row, blue first and divided by 255, one at a time."""
    return [(f"{name}_box{number}_{r}_{c}_{channel}", int(pictures[name][r, c, 2 - channel]) / 255)
            for name in pictures for number, (row, column) in enumerate(boxes[name], 1)
            for r in range(row, row + SIDE) for c in range(column, column + SIDE) for channel in range(3)]


def write_solution(path, pictures, boxes):
    """The truth with its first picture public and the others private."""
    first = 2 * SIDE * SIDE * 3
    rows = [[i, f"{value:.6f}", "Public" if n < first else "Private"] for n, (i, value) in enumerate(graded(pictures, boxes))]
    write_rows(path, [[*HEADER, "Usage"], *rows])
