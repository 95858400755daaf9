"""Damaged versions of a file, by its type: each is something that a crash, an editor or an attacker could leave."""

import io
import json
import re

import numpy as np

DEEP = 100_000
ODD_VALUES = (None, -1, 10**12, 1e300, float("nan"), "text", [], {"a": 1}, True)
ODD_TOML = ("-1", "1000000000", "1e300", "nan", '"text"', "[]", "true", "{}")


def list_damage(path):
    """Yield (what was done, bytes); bytes of None stand for a folder in the file's place."""
    data = path.read_bytes()
    yield "empty", b""
    yield "half", data[:len(data) // 2]
    yield "noise", bytes(np.random.default_rng(3).integers(0, 256, 500, np.uint8))
    yield "zeros", bytes(len(data))
    yield "folder", None
    yield from LISTS.get(path.suffix, list_nothing)(data)


def list_nothing(data):
    return ()


def list_json_damage(data):
    for text in ("null", "[]", "{}", "3", '"text"', "[" * DEEP, '{"a": ' * DEEP, "NaN"):
        yield text[:9], text.encode()
    yield from ((what, json.dumps(value).encode()) for what, value in list_value_damage(json.loads(data)))


def list_value_damage(value, depth=2):
    """Yield a JSON object with one entry removed or replaced, down to a depth."""
    if isinstance(value, dict) and depth:
        for key, entry in list(value.items())[:12]:
            yield f"without {key}", {name: other for name, other in value.items() if name != key}
            yield from ((f"{key} = {odd}", value | {key: odd}) for odd in ODD_VALUES)
            yield from ((f"{key}: {what}", value | {key: inner}) for what, inner in list_value_damage(entry, depth - 1))
    if isinstance(value, list) and value and depth:
        yield "shorter", value[:-1]
        yield "one odd entry", [None, *value[1:]]


def list_toml_damage(data):
    lines = data.decode().splitlines(keepends=True)
    for at, line in enumerate(lines):
        if match := re.match(r"(\w+) = ", line):
            for odd in ODD_TOML:
                yield f"{match[1]} = {odd}", "".join([*lines[:at], f"{match[1]} = {odd}\n", *lines[at + 1:]]).encode()
            yield f"without {match[1]}", "".join([*lines[:at], *lines[at + 1:]]).encode()
    yield "deep", b"a = " + b"[" * DEEP
    yield "unknown", data + b"\n[training]\nnonsense = 3\n"


def list_csv_damage(data):
    header, *rows = data.split(b"\n")
    first = rows[0] if rows else b""
    yield "header only", header + b"\n"
    yield "swapped header", b",".join(reversed(header.split(b","))) + b"\n" + b"\n".join(rows)
    yield "without a column", b"\n".join(b",".join(line.split(b",")[1:]) for line in (header, *rows))
    yield "one more cell", b"\n".join([header, first + b",1", *rows[1:]])
    yield "one less cell", b"\n".join([header, first.rpartition(b",")[0], *rows[1:]])
    for odd in (b"", b"text", b"nan", b"inf", b"-1e300", b"\0", b"\xff", b'"', b"9" * 400):
        yield f"last cell {odd[:9]!r}", b"\n".join([header, first.rpartition(b",")[0] + b"," + odd, *rows[1:]])
    yield "a row twice", b"\n".join([header, first, *rows])
    yield "one long line", header + b"x" * 10**6


def list_npz_damage(data):
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    for name in list(arrays)[:6]:
        yield f"without {name}", pack({other: array for other, array in arrays.items() if other != name})
        for what, array in list_array_damage(arrays[name]):
            yield f"{name} {what}", pack(arrays | {name: array})
    for what, value in list_value_damage(json.loads(arrays["facts"].tobytes()), 1):
        yield f"facts: {what}", pack(arrays | {"facts": np.frombuffer(json.dumps(value).encode(), np.uint8)})
    yield "facts are a list", pack(arrays | {"facts": np.frombuffer(b"[]", np.uint8)})


def list_array_damage(array):
    yield "of objects", np.array([{"a": 1}, None], dtype=object)
    yield "empty", array[:0] if array.ndim else array.reshape(1)[:0]
    yield "a number", np.float64(3)
    yield "shorter", array[:-1] if array.ndim else array
    if array.dtype.kind == "f":
        yield "nan", np.full_like(array, np.nan)
        yield "infinite", np.full_like(array, np.inf)
    if array.dtype.kind == "i" and array.ndim:
        yield "reversed", array[::-1]
        yield "huge", np.full_like(array, 2**62)
        yield "negative", -array - 1


def pack(arrays):
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def list_npy_damage(data):
    array = np.load(io.BytesIO(data))
    for what, other in (("floats", array.astype(np.float64)), ("fewer rows", array[:-1]), ("one axis", array.ravel()),
                        ("no rows", array[:0])):
        out = io.BytesIO()
        np.save(out, other)
        yield what, out.getvalue()
    yield "huge shape", data.replace(b"'shape': (", b"'shape': (9", 1)


LISTS = {".json": list_json_damage, ".toml": list_toml_damage, ".csv": list_csv_damage, ".npz": list_npz_damage,
         ".npy": list_npy_damage}
