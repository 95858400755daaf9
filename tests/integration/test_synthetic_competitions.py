"""Competitions made from photos: those inside packages, and a user's own with odd files among them."""

import dataclasses
import os
import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image, ImageOps
from skimage import data as shipped
from support.stages import SMALL, done, stage

from pixmend import competitions
from pixmend.config import Settings
from pixmend.data import archive, archive_manifest, photos
from pixmend.data.decode import decode_image, decode_photo
from pixmend.errors import FlagError, UserError
from pixmend.run_identity import complete_settings
from pixmend.stages import download

NAMES = ("missing_pixels", "depixelation", "landscapes", "hidden_areas")


def photo(number, height=96, width=140):
    """Return a smooth random image; different numbers are different photos."""
    return cv2.resize(np.random.default_rng(number).integers(0, 256, (6, 6, 3), np.uint8), (width, height),
                      interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def folder(tmp_path):
    """Eleven photos of nine sources, in two class folders and at the top, among files that are no photos."""
    top = tmp_path / "my photos"
    for name in ("sea/storm", "hills", ".hidden"):
        (top / name).mkdir(parents=True)
    for number in range(3):
        Image.fromarray(photo(number)).save(top / f"sea/storm/wave {number}.jpg", quality=95)
    Image.fromarray(photo(3)).save(top / 'hills/a, "b" é.PNG')
    Image.fromarray(photo(4)).convert("L").save(top / "hills/grey.jpeg")
    Image.fromarray(photo(5, 40, 30)).save(top / "hills/tiny.png")
    Image.fromarray(photo(6, 30, 700)).save(top / "wide.png")
    Image.fromarray(photo(7)).convert("P").save(top / f"{'long' * 55}.png")
    Image.fromarray(photo(8)).save(os.fsencode(top) + b"/latin \xe9.jpg", format="JPEG")
    Image.fromarray(photo(0)[:, ::-1]).save(top / "hills/mirrored.png")
    Image.fromarray(np.clip(photo(1).astype(int) + 15, 0, 255).astype(np.uint8)).save(top / "brighter.jpg", quality=70)
    for name in ("notes.txt", ".DS_Store", "hills/archive.zip"):
        (top / name).write_bytes(b"no image")
    Image.fromarray(photo(9)).save(top / ".hidden/not mine.png")
    (top / "folder.jpg").mkdir()
    return top


def make_settings(name, home, **changes):
    changes = {"size": 32} | changes
    settings = Settings(home=str(home), competition=name, run="a", given=frozenset(changes), **changes)
    return complete_settings(settings, competitions.get_default_settings(settings))


def make_competition(name, home, **changes):
    settings = make_settings(name, home, **changes)
    competition = competitions.get_competition(name)
    competition.make_archive(settings.competition_folder, settings)
    with zipfile.ZipFile(settings.competition_folder / f"{competition.slug}.zip") as archive:
        assert archive.testzip() is None
        archive.extractall(settings.competition_folder / "files")
    return settings, competition, competition.read_images(settings.competition_folder / "files", settings.shape)


def refusal(function, *arguments, kind=UserError, **options):
    with pytest.raises(kind) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
    return str(caught.value)


# Photos of packages

@pytest.mark.parametrize("name", NAMES)
def test_photos_of_packages_make_a_competition(name, tmp_path):
    settings, competition, entries = make_competition(name, tmp_path)
    train, test = ([e for e in entries if e.split == split] for split in ("train", "test"))
    assert not {e.source for e in train} & {e.source for e in test} and len({e.id for e in entries}) == len(entries)
    assert {e.label for e in train} == {"Made", "Grown"} and len(train) >= 60 and len(test) >= 12
    assert {e.source for e in test[:len(test) // 2]} == {"chelsea", "coffee"}
    for entry in entries[::7]:
        damaged, counts = decode_image(entry.damaged, settings.shape), entry.counts(settings.shape)
        if entry.original is None:
            assert not (Path(entry.damaged).parent.parent / "whole").exists()
            continue
        whole = decode_image(entry.original, settings.shape)
        assert whole.std() > 2 or name == "depixelation"
        np.testing.assert_array_equal(damaged[counts == 0], whole[counts == 0])
    sample = settings.competition_folder / "files" / competition.submission.sample_name
    score = competition.submission.score(sample, competitions.get_solution_path(settings))
    assert 0.2 < score["total"] < 0.7   # a sample is black


def test_pixelated_images_score_near_the_solution(tmp_path, folder):
    settings, competition, entries = make_competition("depixelation", tmp_path, photos=str(folder))
    test = [e for e in entries if e.split == "test"]
    images = [decode_image(e.damaged, settings.shape) / np.float32(255) for e in test]
    competition.submission.write(tmp_path / "mine", test, images, settings)
    competition.submission.check(tmp_path / "mine", settings.competition_folder / "files")
    assert 0 < competition.submission.score(tmp_path / "mine", competitions.get_solution_path(settings))["total"] < 0.2


def test_archive_and_solution_have_the_same_bytes_each_time(tmp_path, folder):
    both = [make_competition("depixelation", tmp_path / name, photos=str(folder), seed=seed)[0] for seed, name in enumerate("ab")]
    for name in ("depixelation.zip", "solution.bin"):
        one, other = ((settings.competition_folder / name).read_bytes() for settings in both)
        assert one == other


def test_the_limit_of_files_is_for_downloaded_archives_only(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_FILES", 5)
    settings = make_settings("depixelation", tmp_path)
    download.main(settings)
    assert archive_manifest.is_complete(competitions.get_competition("depixelation"), settings)


# A user's photos

def test_every_photo_is_used_and_no_other_file(tmp_path, folder):
    *_, entries = make_competition("missing_pixels", tmp_path, photos=str(folder))
    assert len(entries) == 11
    assert {e.label for e in entries} == {"sea", "hills", "my photos"}
    assert all(name.isascii() and len(name) < 60 for name in (Path(e.damaged).name for e in entries))
    found = {e.id.partition("-")[2] for e in entries}
    assert {"wave-0", "a-b", "grey", "tiny", "wide", "mirrored"} <= found


def test_near_duplicates_have_one_source_and_no_source_is_in_two_splits(tmp_path, folder):
    for number in range(20):
        Image.fromarray(photo(50 + number)).save(folder / f"more {number}.png")
        Image.fromarray(photo(50 + number)[:, ::-1]).save(folder / "sea" / f"more {number}.jpg", quality=60)
    *_, entries = make_competition("missing_pixels", tmp_path, photos=str(folder))
    assert len(entries) == 51 and len({e.source for e in entries}) == 29
    split_of = {}
    for entry in entries:
        assert split_of.setdefault(entry.source, entry.split) == entry.split
    assert 4 <= sum(e.split == "test" for e in entries) <= 14


def test_depixelation_uses_the_middle_square_in_linear_light(tmp_path, folder):
    settings, _, entries = make_competition("depixelation", tmp_path, photos=str(folder), size=48)
    by_name = {e.id.partition("-")[2]: e for e in entries if e.split == "train"}
    name, number = next((f"wave-{n}", n) for n in range(3) if f"wave-{n}" in by_name)
    shown = cv2.imread(str(folder / f"sea/storm/wave {number}.jpg"))[:, 22:118, ::-1]
    small = cv2.resize(np.ascontiguousarray(shown), (48, 48), interpolation=cv2.INTER_AREA) / 255
    light = np.where(small <= 0.04045, small / 12.92, ((small + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]
    coded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    assert np.abs(decode_image(by_name[name].original, settings.shape)[..., 0] - 255 * coded).max() < 0.51


def test_landscapes_are_squares_at_the_photos_own_scale_and_the_solution_has_their_values(tmp_path):
    top = tmp_path / "photos"
    top.mkdir()
    for number in range(6):
        Image.fromarray(photo(number, 70, 110)).save(top / f"{number}.png")
    settings, _, entries = make_competition("landscapes", tmp_path, photos=str(top))
    assert len(entries) == 6 * (70 // 32) * (110 // 32)
    solution = pd.read_csv(competitions.get_solution_path(settings), index_col=0).value
    for entry in [*entries[:20:5], *entries[-3:]]:
        mask = entry.counts(settings.shape) > 0
        windows = sliding_window_view(photo(int(entry.source[0]), 70, 110), settings.shape)[:, :, 0]
        known = decode_image(entry.damaged, settings.shape)[~mask]
        place, = np.argwhere((windows[:, :, ~mask] == known).all((2, 3)))
        if entry.split == "test":
            values = solution[solution.index.str.startswith(entry.id + "_")]
            np.testing.assert_allclose(values, windows[*place][mask].ravel() / 255, atol=1e-6)
            row, column = np.argwhere(mask)[0]
            assert values.index[2] == f"{entry.id}_{row}_{column}_2"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("a.jpg", "a.png"):
        Image.fromarray(photo(1)).save(tmp_path / name, exif=exif)
        upright = ImageOps.exif_transpose(Image.open(tmp_path / name))
        np.testing.assert_array_equal(decode_photo(tmp_path / name), np.asarray(upright))


@pytest.mark.parametrize(("name", "spoil"), [
    ("cut.jpg", lambda path: path.write_bytes(path.read_bytes()[:-9])),
    ("cut.png", lambda path: path.write_bytes(path.read_bytes()[:-9])),
    ("page.jpg", lambda path: path.write_bytes(b"<html>")),
    ("empty.png", lambda path: path.write_bytes(b"")),
    ("transparent.png", lambda path: Image.fromarray(photo(1)).convert("RGBA").save(path)),
    ("print.jpg", lambda path: Image.fromarray(photo(1)).convert("CMYK").save(path)),
])
def test_a_broken_photo_is_an_error_or_is_left_out(tmp_path, folder, capfd, name, spoil):
    path = folder / name
    Image.fromarray(photo(30)).save(path)
    spoil(path)
    message = refusal(make_competition, "missing_pixels", tmp_path / "a", photos=str(folder))
    assert str(path) in message and "--broken-images skip" in message
    assert not list((tmp_path / "a").rglob("*.zip"))
    *_, entries = make_competition("missing_pixels", tmp_path / "b", photos=str(folder), broken_images="skip")
    assert len(entries) == 11 and f"left out: {path}" in capfd.readouterr().out


def test_too_few_photos_or_no_folder_are_errors(tmp_path):
    assert "nowhere" in refusal(photos.list_image_files, tmp_path / "nowhere", kind=FlagError)
    few = tmp_path / "few"
    few.mkdir()
    assert str(few) in refusal(photos.list_folder_photos, few, "stop")
    for number, name in enumerate(("a.jpg", "b.png", "c.png")):
        Image.fromarray(photo(min(number, 1))).save(few / name)
    assert str(few) in refusal(photos.list_folder_photos, few, "stop")   # of three files two are near duplicates
    Image.fromarray(photo(2)).save(few / "d.png")
    splits = [photo.split for photo in photos.list_folder_photos(few, "stop")]
    assert 1 <= splits.count("test") <= 2


def test_archive_is_up_to_date_until_photos_or_settings_change(tmp_path, folder):
    settings, competition, _ = make_competition("landscapes", tmp_path, photos=str(folder))
    zipped = settings.competition_folder / f"{competition.slug}.zip"
    archive_manifest.write_archive_manifest(settings.competition_folder, zipped, competition.cache_key(settings), "made here")
    assert archive_manifest.is_complete(competition, settings)
    assert archive_manifest.is_complete(competition, dataclasses.replace(settings, photos=""))
    for changes in ({"photos": str(folder / "hills")}, {"size": 64}, {"hole_colour": "white"}):
        assert not archive_manifest.is_complete(competition, dataclasses.replace(settings, **changes))
    shutil.copy(folder / "wide.png", folder / "new.png")
    assert not archive_manifest.is_complete(competition, settings)
    (folder / "new.png").unlink()
    assert archive_manifest.is_complete(competition, settings)
    competitions.get_solution_path(settings).unlink()
    assert not archive_manifest.is_complete(competition, settings)


@pytest.mark.parametrize(("change", "reason"), [
    (lambda text: text.replace("class", "kind"), "line 1: 'id,kind,source,split' is not id,class,source,split"),
    (lambda text: text.replace(",train\n", ",trial\n", 1), "line 2: '00001-china,Made,china,trial' is no image of"),
    (lambda text: text.replace(",train\n", "\n", 1), "line 2: '00001-china,Made,china' is no image"),
    (lambda text: text + '"', "unexpected end of data"),
])
def test_faults_of_the_table_are_errors_with_their_line(tmp_path, change, reason):
    settings, competition, _ = make_competition("landscapes", tmp_path)
    path = settings.competition_folder / "files" / "pictures.csv"
    path.write_text(change(path.read_text()))
    message = refusal(competition.read_images, settings.competition_folder / "files", settings.shape)
    assert reason in message and str(path) in message


def test_a_photo_smaller_than_a_square_is_enlarged(tmp_path):
    path = next(photo.path for photo in photos.list_embedded_photos() if photo.name == "chelsea")
    photo = photos.Photo("cat", "", "", "train", path)
    pieces = competitions.get_competition("landscapes").cut_images(np.random.default_rng(1), photo, (512, 512, 3))
    assert [piece.shape for piece in pieces] == [(512, 512, 3)]
    assert shipped.chelsea().shape[0] < 512


@pytest.mark.long
def test_a_run_is_refused_after_the_photos_changed(folder, tmp_path):
    """With one photo less, the holdout is drawn again: weights trained on its images must not be scored on them."""
    flags = (*SMALL, "--competition", "landscapes", "--photos", folder, "--broken-images", "skip",
             "--model", "unet", "--steps", "1",
             "--levels", "2")
    for name in ("download", "augment", "train"):
        done(stage(name, tmp_path, *flags))
    (folder / "wide.png").unlink()
    for name in ("download", "augment"):
        done(stage(name, tmp_path, *flags))
    for name in ("train", "predict"):
        refused = stage(name, tmp_path, *flags)
        assert refused.returncode == 1 and "was trained on other" in refused.stderr, refused.stderr


def test_photos_of_another_folder_are_refused_in_the_same_home(folder, tmp_path):
    flags = ("--competition", "landscapes", "--size", "32", "--broken-images", "skip", "--photos")
    done(stage("download", tmp_path / "home", *flags, folder))
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "one-more.png").write_bytes(next(copy.rglob("*.png")).read_bytes())
    result = stage("download", tmp_path / "home", *flags, copy)
    assert result.returncode == 1 and str(folder) in result.stderr and str(copy) in result.stderr
    done(stage("download", tmp_path / "home", *flags, copy, "--force"))


def test_a_competition_of_a_users_photos_is_not_replaced_by_those_that_come_with_pixmend(folder, tmp_path):
    flags = ("--competition", "landscapes", "--broken-images", "skip", "--size")
    done(stage("download", tmp_path / "home", *flags, "32", "--photos", folder))
    archive_file = tmp_path / "home/competition/landscapes/landscapes.zip"
    made = archive_file.read_bytes()
    done(stage("download", tmp_path / "home", *flags, "32"))
    for others in (("64",), ("32", "--force")):
        result = stage("download", tmp_path / "home", *flags, *others)
        assert result.returncode == 1 and str(folder) in result.stderr and "--photos" in result.stderr
    assert archive_file.read_bytes() == made


def test_deleted_files_are_unpacked_again_without_the_photos(folder, tmp_path):
    home, flags = tmp_path / "home", ("--competition", "landscapes", "--size", "32")
    done(stage("download", home, *flags, "--photos", folder, "--broken-images", "skip"))
    files, manifest = home / "competition/landscapes/files", home / "competition/landscapes/archive.json"
    before, described = sorted(files.rglob("*")), manifest.read_bytes()
    done(stage("clean", home, "--delete", "unpacked"))
    assert not files.exists()
    done(stage("download", home, *flags))
    assert sorted(files.rglob("*")) == before and manifest.read_bytes() == described


def test_a_stage_without_the_hole_colour_of_the_files_is_refused(folder, tmp_path):
    flags, white = ("--competition", "landscapes", "--size", "32"), ("--hole-colour", "white")
    done(stage("download", tmp_path, *flags, *white, "--photos", folder, "--broken-images", "skip"))
    network = ("--model", "unet", "--levels", "2", "--start", "given", "--fresh-masks")
    for name, more in (("augment", ()), ("train", network)):
        result = stage(name, tmp_path, *flags, *more)
        assert result.returncode == 1 and "--hole-colour white" in result.stderr and "Traceback" not in result.stderr
        done(stage("augment", tmp_path, *flags, *white))


def test_nothing_is_scored_or_written_after_the_images_changed(folder, tmp_path):
    """Photos of the same names, but other pixels: the dataset is of the old ones until it is prepared again."""
    flags = ("--competition", "landscapes", "--size", "32", "--photos", folder, "--broken-images", "skip", "--model", "harmonic")
    for name in ("download", "augment", "train", "predict", "serialize", "score"):
        done(stage(name, tmp_path, *flags))
    for path in folder.glob("sea/storm/*.jpg"):
        Image.fromarray(photo(len(path.name))).save(path, quality=95)
    done(stage("download", tmp_path, *flags))
    for name, force in (("score", ()), ("serialize", ("--force",)), ("predict", ("--force",))):
        result = stage(name, tmp_path, *flags, *force)
        assert result.returncode == 1 and "pixmend augment" in result.stderr, (name, result.stderr)
    done(stage("augment", tmp_path, *flags))
    result = stage("score", tmp_path, *flags)
    assert result.returncode == 1 and "pixmend predict" in result.stderr
