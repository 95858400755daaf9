"""Predictions on disk: the float values of every missing pixel of every picture, in holdout.npz and test.npz."""

import contextlib
import json

import numpy as np

from src.errors import UserError
from src.files import whole_file
from src.pictures.paste import paste_values


def write(path, pictures, masks_and_ids, made_from):
    """Mended pictures, one at a time, with (id, mask) beside them; only what lies in the mask is kept."""
    ids, sizes, values = [], [], []
    for picture, (name, mask) in zip(pictures, masks_and_ids, strict=True):
        ids.append(name)
        values.append(picture[mask])
        sizes.append(len(values[-1]))
    with whole_file(path) as file:
        np.savez(file, facts=np.frombuffer(json.dumps(made_from).encode(), np.uint8), ids=np.array(ids, dtype=str),
                 starts=np.cumsum([0, *sizes]), values=np.concatenate(values))


@contextlib.contextmanager
def _opened(path):
    """The archive; one that cannot be read is named, with the way to a new one."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            yield archive
    except FileNotFoundError:
        raise UserError(f"{path} is missing; run `python -m src predict` with the same flags first.") from None
    except Exception as error:
        raise UserError(f"{path} is damaged ({type(error).__name__}); "
                        f"run `python -m src predict --force` with the same flags.") from None


def facts(path):
    """What the predictions were made from."""
    with _opened(path) as archive:
        return json.loads(archive["facts"].tobytes())


def in_order(path):
    """The values of each picture in the order they were written, one picture in memory at a time."""
    with _opened(path) as archive, archive.zip.open("values.npy") as file:
        np.lib.format.read_magic(file)
        (_, channels), _, kind = np.lib.format.read_array_header_1_0(file)
        for size in np.diff(archive["starts"]).tolist():
            yield np.frombuffer(file.read(size * channels * kind.itemsize), kind).reshape(size, channels)


class Predictions:
    """What a run predicted, by picture id."""

    def __init__(self, path):
        with _opened(path) as archive:
            self.starts, self.values = archive["starts"], archive["values"]
            self.place = {name: i for i, name in enumerate(archive["ids"].tolist())}

    def picture(self, name, known, mask):
        """The whole mended picture of an id: known pixels as given, predicted ones in the mask."""
        if name not in self.place:
            raise UserError(f"There is no prediction for {name}; run `python -m src predict` with the same flags again.")
        i = self.place[name]
        return paste_values(known, mask, self.values[self.starts[i]:self.starts[i + 1]])
