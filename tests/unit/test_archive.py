"""Archives from anywhere: what is right unpacks whole, everything else ends in a sentence and leaves nothing."""

import io
import os
import random
import shutil
import stat
import struct
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixmend.data import archive
from pixmend.errors import UserError

GOOD = {"sample_submission.csv": b"id,value\n" * 50, "Dataset/Cat/Cat (1).jpeg": bytes(range(256)) * 4, "empty": b""}


def packed(members, method=zipfile.ZIP_DEFLATED):
    """A zip of names (or ready-made ZipInfos) and bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as zipped:
        for name, data in members:
            zipped.writestr(name, data)
    return out.getvalue()


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def unpacked(folder, data):
    """What an archive of these bytes unpacks to, or None where it is refused; then nothing may be left."""
    path = folder / "contest.zip"
    path.write_bytes(data)
    try:
        archive.unpack_archive(path, folder / "files")
    except archive.BadArchive as error:
        assert str(path) in str(error) and os.listdir(folder) == ["contest.zip"]
        return None
    assert sorted(os.listdir(folder)) == ["contest.zip", "files"]
    return tree(folder / "files")


def refusal(folder, data):
    path = folder / "contest.zip"
    path.write_bytes(data)
    with pytest.raises(archive.BadArchive) as caught:
        archive.unpack_archive(path, folder / "files")
    assert str(path) in str(caught.value) and os.listdir(folder) == ["contest.zip"]
    return str(caught.value)


def test_unpacks_what_is_in_it(tmp_path):
    assert unpacked(tmp_path, packed(GOOD.items())) == GOOD


def test_only_what_was_unpacked_is_flushed_to_the_disk(tmp_path, monkeypatch):
    """Not all of the machine: a slow disk elsewhere is not waited for."""
    flushed, fsync = set(), os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: flushed.add(os.fstat(descriptor).st_ino) or fsync(descriptor))
    monkeypatch.delattr(os, "sync")
    assert unpacked(tmp_path, packed(GOOD.items())) == GOOD
    folder = tmp_path / "files"
    assert flushed == {path.stat().st_ino for path in (tmp_path, folder, *folder.rglob("*"))}


def test_a_new_archive_replaces_the_old_files(tmp_path):
    unpacked(tmp_path, packed([("old", b"1")]))
    assert unpacked(tmp_path, packed(GOOD.items())) == GOOD


def test_a_bad_archive_leaves_the_old_files(tmp_path):
    unpacked(tmp_path, packed([("old", b"1")]))
    (tmp_path / "contest.zip").write_bytes(packed(GOOD.items())[:-30])
    with pytest.raises(archive.BadArchive):
        archive.unpack_archive(tmp_path / "contest.zip", tmp_path / "files")
    assert tree(tmp_path / "files") == {"old": b"1"} and len(os.listdir(tmp_path)) == 2


NAMES = [
    ("/etc/passwd", "absolute path"), ("C:/x", "absolute path"), ("../x", "outside its folder"),
    ("a/../../x", "outside its folder"), ("a//b", "outside its folder"), ("./a", "outside its folder"),
    ("..\\x", "backslash"), ("a\nb", "control character"), ("x" * 300, "too long"),
]


@pytest.mark.parametrize(("name", "words"), NAMES)
def test_a_name_that_leads_elsewhere(tmp_path, name, words):
    assert words in refusal(tmp_path, packed([*GOOD.items(), (name, b"")]))


def test_a_name_with_a_zero_byte(tmp_path):
    data = packed([*GOOD.items(), ("nice.txt#.exe", b"")]).replace(b"nice.txt#", b"nice.txt\0")
    assert "control character" in refusal(tmp_path, data)


TOGETHER = [
    (("a.txt", "A.TXT"), "twice"), (("a", "a/b"), "both a file and a folder"),
    (("Cat/1", "cat/2"), "differ only in capitals"), (("Stra\u00dfe", "strasse"), "twice"),
]


@pytest.mark.parametrize(("names", "words"), TOGETHER)
def test_names_that_do_not_go_together(tmp_path, names, words):
    assert words in refusal(tmp_path, packed([(name, b"") for name in names]))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_a_link_or_device(tmp_path, kind):
    member = zipfile.ZipInfo("link")
    member.external_attr = (kind | 0o777) << 16
    assert "link or a device" in refusal(tmp_path, packed([(member, b"/etc/passwd")]))


def test_an_encrypted_member(tmp_path):
    data = bytearray(packed([("a", b"1")]))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    assert "encrypted" in refusal(tmp_path, bytes(data))


def test_an_unusual_compression(tmp_path):
    assert "unusual way" in refusal(tmp_path, packed(GOOD.items(), zipfile.ZIP_LZMA))


def test_a_bomb(tmp_path):
    assert "zip bomb" in refusal(tmp_path, packed([("zeros", bytes(archive.UNCHECKED_BYTES + 1))]))


def test_a_bomb_that_lies_about_its_size(tmp_path):
    data = bytearray(packed([("zeros", bytes(10**6))]))
    struct.pack_into("<L", data, data.index(b"PK\x01\x02") + 24, 10)
    assert "damaged" in refusal(tmp_path, bytes(data))


def test_one_that_claims_more_than_any_contest_has(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_FILES", 2)
    assert "more than 2" in refusal(tmp_path, packed(GOOD.items()))


@pytest.mark.parametrize(("needed", "missing"), [(2_000_000, "1.5 MB"), (500_100, "100 bytes"), (3_000_500_000, "3.0 GB")])
def test_too_little_space_is_told_in_figures_that_say_something(tmp_path, monkeypatch, needed, missing):
    member = zipfile.ZipInfo("a")
    member.file_size = needed
    monkeypatch.setattr(archive, "check_members", lambda *_: [member])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(0, 0, 500_000))
    (tmp_path / "a.zip").write_bytes(packed(GOOD.items()))
    with pytest.raises(UserError) as caught:
        archive.unpack_archive(tmp_path / "a.zip", tmp_path / "files")
    assert missing in str(caught.value) and os.listdir(tmp_path) == ["a.zip"]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_changed_byte_in_the_data(tmp_path, method):
    data = bytearray(packed(GOOD.items(), method))
    data[55] ^= 1
    assert "damaged at 'sample_submission.csv'" in refusal(tmp_path, bytes(data))


OTHER = [(b"", "empty"), (b"<html>", "web page"), (b'{"code":403}', "error message"), (b"\x1f\x8b\x08", "not a zip"),
         (packed([]), "no files")]


@pytest.mark.parametrize(("data", "words"), OTHER)
def test_what_is_no_archive_of_files(tmp_path, data, words):
    assert words in refusal(tmp_path, data)


def test_an_archive_cut_anywhere_is_refused(tmp_path):
    data = packed(GOOD.items())
    assert all(unpacked(tmp_path, data[:length]) is None for length in range(len(data)))


def test_no_archive_at_all(tmp_path):
    with pytest.raises(archive.BadArchive, match="does not exist"):
        archive.unpack_archive(tmp_path / "contest.zip", tmp_path / "files")


parts = st.text(st.characters(codec="utf-8", exclude_categories=["C"], exclude_characters="/\\:"), min_size=1, max_size=9)
names = st.lists(parts.filter(lambda part: part not in (".", "..")), min_size=1, max_size=3).map("/".join)


@settings(deadline=None)
@given(st.lists(st.tuples(names, st.binary(max_size=99)), min_size=1, max_size=5, unique_by=lambda m: m[0].casefold()))
def test_any_names_and_bytes_come_back_or_are_refused_whole(tmp_path_factory, members):
    found = unpacked(tmp_path_factory.mktemp("zip"), packed(members))
    assert found is None or found == dict(members)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_bytes_end_in_a_sentence_or_in_the_right_files(tmp_path, seed):
    rng, good = random.Random(seed), packed(GOOD.items())
    for case in range(200):
        folder = tmp_path / str(case)
        folder.mkdir()
        assert unpacked(folder, damaged(rng, good)) in (None, GOOD)


def damaged(rng, data):
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place, kind = rng.randrange(len(data)), rng.randrange(3)
        if kind == 0:
            data[place] = rng.randrange(256)
        elif kind == 1:
            data[place:place + rng.randint(1, 9)] = b""
        else:
            data[place:place] = rng.randbytes(rng.randint(1, 9))
    return bytes(data)
