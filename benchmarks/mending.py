"""What `pixmend mend` does with odd pictures, in seconds and memory: benchmarks/results/MENDING.md.

    python -m benchmarks mending

Each picture is made of a photo inside scikit-image. It is mended by one command, as a user would, with the smooth fill, and then
read again by another library: known pixels must be those of the picture, bit for bit.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from skimage import data

from benchmarks._measure import RESULTS, Results, describe_measurement, write_results
from benchmarks._process import run_command

RESULTS_FILE, TABLE_FILE = RESULTS / "MENDING.json", RESULTS / "MENDING.md"
EXIF_TURNED = bytes.fromhex("49492a0008000000010012010300010000000600000000000000")   # orientation 6

Boxes = tuple[tuple[int, int, int, int], ...]   # row, column, height, width


@dataclass(frozen=True)
class Row:
    """A picture: its size, the holes in it, and how it is changed before it is written."""

    description: str
    width: int
    height: int
    boxes: Boxes
    change: Callable[[np.ndarray], np.ndarray] = lambda picture: picture
    is_turned: bool = False


def to_grey(picture: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)


def to_16_bits(picture: np.ndarray) -> np.ndarray:
    return picture.astype(np.uint16) * 257


def add_transparency(picture: np.ndarray) -> np.ndarray:
    return np.dstack([picture, np.linspace(0, 255, picture.shape[1]).astype(np.uint8) * np.ones_like(picture[..., 0])])


TEN_HOLES = tuple((200 + 500 * (number // 5) * 3, 200 + 700 * (number % 5), 150, 180) for number in range(10))
ROWS = {
    "narrow": Row("very narrow, one hole over all its width", 17, 901, ((400, 0, 30, 17),)),
    "flat": Row("very flat, a hole at its left edge", 901, 17, ((3, 0, 10, 40),)),
    "corners": Row("a hole at each edge and corner", 640, 480, ((0, 0, 40, 40), (0, 300, 30, 50), (200, 0, 50, 30),
                                                              (440, 600, 40, 40), (220, 610, 40, 30), (450, 300, 30, 60))),
    "pixel": Row("a hole of one pixel", 640, 480, ((240, 320, 1, 1),)),
    "most": Row("only a frame of 20 pixels is known", 640, 480, ((20, 20, 440, 600),)),
    "grey": Row("grey", 640, 480, ((100, 100, 80, 90),), to_grey),
    "transparent": Row("with transparency", 640, 480, ((100, 100, 80, 90),), add_transparency),
    "deep": Row("colours of 16 bits", 640, 480, ((100, 100, 80, 90),), to_16_bits),
    "deep-grey": Row("grey of 16 bits", 640, 480, ((100, 100, 80, 90),), lambda picture: to_16_bits(to_grey(picture))),
    "turned": Row("JPEG, stored turned (EXIF orientation 6)", 640, 480, ((100, 100, 80, 90),), is_turned=True),
    "12-megapixels": Row("12 megapixels, ten holes of 180x150", 4000, 3000, TEN_HOLES),
    "24-megapixels": Row("24 megapixels, a hole of 900x900", 6000, 4000, ((1000, 2000, 900, 900),)),
}


def main() -> None:
    argparse.ArgumentParser(prog="python -m benchmarks mending", description=__doc__.splitlines()[0]).parse_args()
    results: Results = {}
    for name, row in ROWS.items():
        with tempfile.TemporaryDirectory() as folder:
            results[name] = measure_row(row, Path(folder)) | describe_measurement()
        write_results(RESULTS_FILE, results)
        TABLE_FILE.write_text(format_table(results))
    print(TABLE_FILE)


def measure_row(row: Row, folder: Path) -> dict[str, Any]:
    """Mend the picture of a row; return seconds, memory and the RMSE of the missing pixels."""
    whole = row.change(cv2.resize(data.astronaut(), (row.width, row.height), interpolation=cv2.INTER_AREA))
    missing = np.zeros(whole.shape[:2], bool)
    for top, left, height, width in row.boxes:
        missing[top:top + height, left:left + width] = True
    damaged = whole.copy()
    damaged[missing] = 0
    path = folder / ("picture.jpg" if row.is_turned else "picture.png")
    known = write_turned(path, damaged) if row.is_turned else write(path, damaged)
    write(folder / "mask.png", missing.astype(np.uint8) * 255)
    ended = run_command(sys.executable, "-m", "pixmend", "mend", path, "--mask", folder / "mask.png", "--model", "smooth",
                        "--out", folder / "out")
    mended = read(folder / "out/picture.png")
    if mended.dtype != whole.dtype or not np.array_equal(mended[~missing], known[~missing]):
        sys.exit(f"{row.description}: known pixels have changed.")
    largest = np.iinfo(whole.dtype).max
    error = (mended[missing].astype(float) - whole[missing]).reshape(missing.sum(), -1)[:, :3] / largest   # without transparency
    return {"seconds": ended.seconds, "megabytes": ended.megabytes, "rmse": float(np.sqrt(np.mean(error**2)))}


def write(path: Path, picture: np.ndarray) -> np.ndarray:
    """Write a PNG file; return the picture."""
    cv2.imwrite(str(path), picture if picture.ndim == 2 else picture[..., [2, 1, 0, 3][:picture.shape[2]]])
    return picture


def write_turned(path: Path, picture: np.ndarray) -> np.ndarray:
    """Write a JPEG file whose EXIF data says that it must be turned to the right; return its pixels, upright."""
    encoded = cv2.imencode(".jpg", np.rot90(picture[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    content = b"Exif\0\0" + EXIF_TURNED
    path.write_bytes(encoded[:2] + b"\xff\xe1" + (len(content) + 2).to_bytes(2, "big") + content + encoded[2:])
    pixels = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert pixels is not None
    return np.rot90(pixels, -1)


def read(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    return picture if picture.ndim == 2 else picture[..., [2, 1, 0, 3][:picture.shape[2]]]


def format_table(results: Results) -> str:
    lines = [f"| {ROWS[name].description} | {ROWS[name].width}x{ROWS[name].height} | {result['seconds']:.1f} | "
             f"{result['megabytes']:.0f} | {result['rmse']:.4f} | {result['hardware']} | {result['commit']} |"
             for name, result in results.items()]
    return PAGE.format(lines="\n".join(lines))


PAGE = """# Odd pictures

Written by `python -m benchmarks mending`: pictures of many sizes and kinds, each mended by one command,
`pixmend mend PICTURE --mask MASK --model smooth`. Seconds and memory are those of the whole command, with the start of
Python. Known pixels were compared with those of the picture, bit for bit, after another library had read the result. The RMSE
is that of the missing pixels.

| picture | width x height | seconds | MB | RMSE | measured on | commit |
|---|---|---|---|---|---|---|
{lines}
"""


if __name__ == "__main__":
    main()
