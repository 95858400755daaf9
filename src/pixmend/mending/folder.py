"""Mend one picture or all of a folder: find each one's mask, leave what is mended already, show before and after.

The folder of --out gets NAME.png for each picture, a folder of the same for each name in --compare, contact-sheet.png, and
mended.json, a record of the picture, mask and run behind each file.
"""

import fcntl
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from pixmend import files
from pixmend.config import Settings
from pixmend.data.encode import encode_png
from pixmend.data.photos import ENDINGS, list_image_files
from pixmend.data.picture_files import Picture, read_picture, write_picture
from pixmend.errors import FlagError, UserError
from pixmend.mending import masks, pictures
from pixmend.mending.restorers import BEST_FILL, Restorer, open_restorer
from pixmend.models import is_fill
from pixmend.progress import ProgressBar
from pixmend.subprocesses import delay_stop_signals

SHEET, MANIFEST = "contact-sheet.png", "mended.json"
SHEET_ROWS, CELL, GAP, TITLE_HEIGHT = 12, 240, 6, 24   # pictures; pixels: a picture's longer side, between pictures, a title


@dataclass
class Result:
    """What became of a picture: the RMSE by restorer where the original is known, or why it could not be mended."""

    name: str
    missing: float = 0.0   # share of its pixels
    rmse: dict[str, float] = field(default_factory=dict)
    failure: str = ""


class PictureFolder:
    """The pictures of a command, and how they are mended."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.given, self.out = settings, Path(settings.picture), Path(settings.out)
        check_flags(settings)
        self.paths = list_pictures(self.given, [self.out, *list_companion_places(settings)])
        self.restorers = open_restorers(settings)
        self.made_from = read_manifest(self.out)
        self.check_targets()
        self.sheet: list[list[np.ndarray]] = []

    @cached_property
    def mask_finder(self) -> masks.MaskFinder:
        """Open the run that finds masks, when the first picture needs it."""
        return masks.open_mask_finder(self.settings)

    def check_targets(self) -> None:
        """Raise an error if a result would replace another one, a file that is read, or one that is no earlier result."""
        targets = [self.get_target(path, restorer) for path in self.paths for restorer in self.restorers]
        read = {path.resolve() for path in self.list_inputs()}
        for target, times in Counter(path.resolve() for path in [*targets, self.out / SHEET, self.out / MANIFEST]).items():
            if target in read:
                raise UserError(f"{target} is a picture, a mask or an original that is read, and would be overwritten. Choose "
                                f"another --out.")
            if times > 1:
                raise UserError(f"{target} would be written twice. Rename the picture or the folder of this name.")
        for target in [] if self.settings.force else [*targets, *([] if self.made_from else [self.out / SHEET])]:
            if target.exists() and self.made_from.keys().isdisjoint([self.get_key(target), str(target)]):   # an earlier key
                raise UserError(f"{target} is there and is no result of an earlier `pixmend mend`, as {self.out / MANIFEST} does "
                                f"not name it. Choose another --out, or overwrite it with --force.")

    def get_key(self, target: Path) -> str:
        """Return the name of a result in mended.json: its path inside --out, which another working folder does not change."""
        return target.relative_to(self.out).as_posix()

    def get_target(self, path: Path, restorer: Restorer) -> Path:
        """Return where a picture that a restorer has mended is written; the first restorer has no folder of its own."""
        folder = self.out if restorer is self.restorers[0] else self.out / restorer.name
        return (folder / self.get_name(path)).with_suffix(".png")

    def list_inputs(self) -> Iterator[Path]:
        """Yield the pictures, and those of their masks and originals that are there."""
        for path in self.paths:
            yield path
            for place in list_companion_places(self.settings):
                yield from [found for found in list_companions(place, self.get_name(path)) if found.exists()][:1]

    def mend_all(self) -> Iterator[Result]:
        """Mend each picture, and write the contact sheet; a picture that cannot be mended does not stop the others."""
        with ProgressBar("mend the pictures", len(self.paths)) as bar:
            for path in self.paths:
                result = Result(str(self.get_name(path)))
                try:
                    self.mend(path, result)
                except UserError as error:
                    result.failure = str(error)
                except MemoryError:
                    result.failure = "It needs more memory than there is. Make the picture and its mask smaller."
                bar.advance(1)
                yield result
        if self.sheet:
            with files.atomic_write(self.out / SHEET) as file:
                titles = ["damaged", *(restorer.name for restorer in self.restorers), "original"]
                file.write(encode_png(make_sheet(titles, self.sheet)))

    def get_name(self, path: Path) -> Path:
        """Return the path of a picture inside the folder that was given."""
        return path.relative_to(self.given if self.given.is_dir() else self.given.parent)

    def mend(self, path: Path, result: Result) -> None:
        """Mend a picture with each restorer, write the files, and complete the result."""
        picture = read_picture(path)
        mask = self.find_mask(path, picture)
        original = self.read_original(path)
        result.missing, cells = float(mask.mean()), [show(picture, mask)]
        for restorer in self.restorers:
            mended = self.mend_once(path, picture, mask, restorer, self.get_target(path, restorer))
            cells.append(show(mended))
            if original and mask.any():
                result.rmse[restorer.name] = pictures.compute_rmse(mended, original, mask)
        if len(self.sheet) < SHEET_ROWS:
            self.sheet.append([*cells, *([show(original)] if original else [])])

    def mend_once(self, path: Path, picture: Picture, mask: np.ndarray, restorer: Restorer, target: Path) -> Picture:
        """Return the mended picture, from its file if that was made from the same picture, mask and weights."""
        key = files.hash_value([files.file_signature(path), np.packbits(mask).tobytes().hex(),
                                restorer.describe_version(), self.settings.keep_metadata])
        if target.exists() and self.made_from.get(self.get_key(target)) == key and not self.settings.force:
            return read_picture(target)
        mended = pictures.mend_picture(picture, mask, restorer)
        with delay_stop_signals():   # a result that is not named would be taken for a picture of the user
            write_picture(target, mended, with_metadata=self.settings.keep_metadata)
            self.name_result(target, key)
        return mended

    def name_result(self, target: Path, key: str) -> None:
        """Add a result to mended.json, to which another process may add its own."""
        with files.open_lock(self.out / f".{MANIFEST}.lock") as lock:
            files.lock_file(lock, fcntl.LOCK_EX)
            self.made_from = read_manifest(self.out) | {self.get_key(target): key}
            files.write_json(self.out / MANIFEST, self.made_from)

    def read_original(self, path: Path) -> Picture | None:
        truth = self.settings.truth
        return read_picture(find_companion(Path(truth), self.get_name(path), "--truth")) if truth else None

    def find_mask(self, path: Path, picture: Picture) -> np.ndarray:
        """Return a picture's mask as --mask says."""
        if self.settings.mask == masks.ALPHA:
            return masks.read_transparency(picture, path)
        if self.settings.mask == masks.AUTOMATIC:
            return self.mask_finder.find_mask(pictures.to_floats(picture))
        shape = picture.colours.shape[:2]
        return masks.read_mask(find_companion(Path(self.settings.mask), self.get_name(path), "--mask"), (shape[0], shape[1]))


def read_manifest(out: Path) -> dict[str, str]:
    """Return what each result in a folder was made from."""
    manifest = files.read_json(out / MANIFEST)
    return manifest if isinstance(manifest, dict) else {}


def check_flags(settings: Settings) -> None:
    """Raise an error for flags that do not fit together, before anything is read."""
    if not settings.picture:
        raise FlagError("Name a picture or a folder of pictures: pixmend mend PHOTO --mask MASK")
    if not Path(settings.picture).exists():
        raise UserError(f"{settings.picture} does not exist. Give `pixmend mend` a picture or a folder of pictures.")
    if not settings.mask:
        raise FlagError("--mask says which pixels are missing: a picture that is white there, a folder of such, alpha or auto.")
    given = Path(settings.picture)
    if Path(settings.out).is_file():
        raise FlagError(f"--out {settings.out} is a file. Name a folder.")
    if Path(settings.out).resolve() == (given if given.is_dir() else given.parent).resolve():
        raise FlagError(f"--out {settings.out} is the folder of the pictures themselves. Choose another one.")


def choose_restorer(settings: Settings) -> str:
    """Return the name of the run, or of the fill, that the flags name; without any the best fill."""
    if "run" in settings.given:
        if "model" in settings.given:
            raise FlagError(f"--run {settings.run} and --model {settings.model} exclude each other: one of them mends. Name the "
                            f"other one in --compare, or leave it out.")
        return settings.run
    if "model" not in settings.given:
        return BEST_FILL
    if not is_fill(settings.model):
        raise FlagError(f"--model {settings.model} must be trained first. Name its run: pixmend mend PHOTO --run NAME")
    return settings.model


def open_restorers(settings: Settings) -> list[Restorer]:
    """Return what mends the pictures, first what the flags name, then --compare; each needs a name of its own."""
    names = [choose_restorer(settings), *(name.strip() for name in settings.compare.split(",") if name.strip())]
    restorers: dict[str, Restorer] = {}
    for name in dict.fromkeys(names):
        restorer = open_restorer(name, settings)
        if restorer.name in restorers:
            raise FlagError(f"Two of {', '.join(names)} are called {restorer.name}, and would write the same files. "
                            f"Mend with one after the other, each with an --out of its own.")
        restorers[restorer.name] = restorer
    return list(restorers.values())


def list_companion_places(settings: Settings) -> list[Path]:
    """Return where masks and originals lie."""
    return [Path(place) for place in (settings.mask, settings.truth) if place not in ("", masks.ALPHA, masks.AUTOMATIC)]


def list_pictures(given: Path, others: Sequence[Path]) -> list[Path]:
    """Return a picture, or those of a folder and its subfolders without the folders of masks, originals and results in it."""
    if not given.is_dir():
        return [given]
    excluded = {place.resolve() for place in others} - {given.resolve(), *given.resolve().parents}
    paths = [path for path in list_image_files(given) if excluded.isdisjoint([path.resolve(), *path.resolve().parents])]
    first: dict[Path, Path] = {}
    for path in paths:
        if (other := first.setdefault(path.with_suffix(""), path)) != path:
            raise UserError(f"{other} and {path} would both become {path.stem}.png. Rename one of them.")
    if not paths:
        raise UserError(f"{given} holds no pictures that end in {', '.join(ENDINGS)}.")
    return paths


def find_companion(place: Path, name: Path, flag: str) -> Path:
    """Return the mask or the original of a picture: the file itself, or the one with the picture's name in a folder."""
    for path in list_companions(place, name):
        if path.exists() or path == place:
            return path
    raise UserError(f"{flag} {place} has no file {name.with_suffix('.png')}.")


def list_companions(place: Path, name: Path) -> list[Path]:
    """Return where the mask or the original of a picture can be, in the order in which it is looked for."""
    endings = (name.suffix, *ENDINGS, *map(str.upper, ENDINGS))
    return [place / name.with_suffix(ending) for ending in endings] if place.is_dir() else [place]


def show(picture: Picture, hidden: np.ndarray | None = None) -> np.ndarray:
    """Return a picture in 8 bits and in colour for the contact sheet, at most CELL wide and high; hidden pixels are white."""
    image = (picture.colours // (picture.largest // 255)).astype(np.uint8)   # floats of a large picture take much memory
    image = np.repeat(image, 3, 2) if image.shape[2] == 1 else image
    if hidden is not None:
        image = np.where(hidden[..., None], np.uint8(255), image)
    scale = min(1, CELL / max(image.shape[:2]))
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return cv2.resize(np.ascontiguousarray(image), size, interpolation=cv2.INTER_AREA)


def make_sheet(titles: list[str], rows: list[list[np.ndarray]]) -> np.ndarray:
    """Return one image: a row for each picture, under the titles of the columns."""
    width = max(map(len, rows))
    head = [draw_title(title) for title in titles[:width]]
    return np.concatenate([join_row(row, width) for row in [head, *rows]])


def draw_title(title: str) -> np.ndarray:
    cell = np.full((TITLE_HEIGHT, CELL, 3), 255, np.uint8)
    return cv2.putText(cell, title, (0, TITLE_HEIGHT - GAP), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)


def join_row(cells: list[np.ndarray], width: int) -> np.ndarray:
    """Return cells side by side, each in a white place of its own."""
    row = np.full((max(len(cell) for cell in cells) + GAP, width * (CELL + GAP), 3), 255, np.uint8)
    for number, cell in enumerate(cells):
        left = number * (CELL + GAP)
        row[:cell.shape[0], left:left + cell.shape[1]] = cell
    return row
