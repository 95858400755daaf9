"""`pixmend mend` and the Python functions: pictures of any size and kind, with fills and with trained runs."""

import json
import os
import re
import struct
import subprocess
import sys

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms
from skimage import data
from support.documentation import read_page
from support.stages import SMALL, done, stage, stage_process

import pixmend
from pixmend.data import dataset as datasets
from pixmend.data import decode, picture_files
from pixmend.errors import UserError
from pixmend.flags import parse_flags
from pixmend.mending import restorers
from pixmend.mending.folder import PictureFolder
from pixmend.mending.predicted import name_pictures
from pixmend.submissions.predictions import PredictionFile

WINDOW = ("--model", "window_mlp", "--size", "32", "--width", "8", "--work-size", "16", "--masks-per-image", "0", "--batch-size",
          "8", "--steps", "12", "--evaluate-every", "12", "--start", "none", "--learning-rate", "0.02", "--ema-decay", "0")
WHOLE = (*SMALL, "--steps", "4", "--start", "none")   # neither begins at a fill, so what is mended is the networks' own
LOCATE = ("--model", "locate", "--size", "32", "--width", "4", "--steps", "4", "--evaluate-every", "4", "--batch-size", "2")
MODES = {"grey": ("L", np.uint8), "colour": ("RGB", np.uint8), "transparent": ("RGBA", np.uint8), "deep": ("I;16", np.uint16),
         "grey and transparent": ("LA", np.uint8)}


@pytest.fixture(scope="module")
def runs(module_home):
    """A home with a run on windows, one on whole images, one that finds masks, and a fill's."""
    for run, flags in (("windows", WINDOW), ("whole", WHOLE), ("finder", LOCATE)):
        done(stage("train", module_home, *flags, "--run", run))
    return module_home


def make_photo(height=61, width=47):
    return np.ascontiguousarray(data.astronaut()[:4 * height:4, :4 * width:4])


def make_mask(shape, *boxes):
    mask = np.zeros(shape[:2], bool)
    for row, column, height, width in boxes:
        mask[row:row + height, column:column + width] = True
    return mask


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


def save_mask(path, mask):
    return save(path, mask.astype(np.uint8) * 255)


def mend(tmp_path, *flags, home=None):
    return stage("mend", home or tmp_path / "home", *flags, "--out", tmp_path / "out")


@pytest.mark.parametrize("kind", MODES)
def test_known_pixels_and_the_kind_of_a_picture_stay(tmp_path, kind):
    mode, dtype = MODES[kind]
    photo = np.asarray(Image.fromarray(make_photo()).convert("L" if mode == "I;16" else mode))
    photo = photo.astype(dtype) * (257 if dtype == np.uint16 else 1)
    if mode in ("RGBA", "LA"):
        photo = photo.copy()
        photo[5:9, :, -1] = 77
    mask = make_mask(photo.shape, (20, 10, 9, 14), (0, 40, 8, 7))
    path, masked = save(tmp_path / "photo.png", photo), save_mask(tmp_path / "mask.png", mask)
    done(mend(tmp_path, path, "--mask", masked))
    mended = np.asarray(Image.open(tmp_path / "out/photo.png"))
    assert mended.dtype == dtype and mended.shape == photo.shape
    assert (mended[~mask] == photo[~mask]).all() and (mended[mask] != photo[mask]).any()


def test_colours_of_16_bits_are_kept(tmp_path):
    photo = make_photo().astype(np.uint16) * 257 + 3
    mask = make_mask(photo.shape, (20, 10, 9, 14))
    cv2.imwrite(str(tmp_path / "photo.png"), photo[..., ::-1])
    done(mend(tmp_path, tmp_path / "photo.png", "--mask", save_mask(tmp_path / "mask.png", mask)))
    mended = cv2.imread(str(tmp_path / "out/photo.png"), cv2.IMREAD_UNCHANGED)[..., ::-1]
    assert mended.dtype == np.uint16 and (mended[~mask] == photo[~mask]).all()
    assert np.abs(mended[mask].astype(int) - photo[mask]).mean() < 15000


def test_grey_picture_of_16_bits_with_transparency_is_kept(tmp_path):
    photo = np.stack([make_photo()[..., 0].astype(np.uint16) * 257 + 3, np.full((61, 47), 40000, np.uint16)], 2)
    (tmp_path / "photo.png").write_bytes(picture_files.encode_grey_with_alpha(photo))
    mask = make_mask(photo.shape, (20, 10, 9, 14))
    done(mend(tmp_path, tmp_path / "photo.png", "--mask", save_mask(tmp_path / "mask.png", mask)))
    mended = cv2.imread(str(tmp_path / "out/photo.png"), cv2.IMREAD_UNCHANGED)   # OpenCV shows grey in three channels
    assert mended.dtype == np.uint16 and (mended[~mask] == photo[~mask][:, [0, 0, 0, 1]]).all()
    assert (tmp_path / "out/photo.png").read_bytes()[24:26] == bytes([16, 4])   # bits, and grey with transparency


def test_turned_picture_is_mended_upright_and_keeps_its_metadata_if_asked(tmp_path):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Camera"   # orientation, maker
    turned = Image.fromarray(make_photo())
    turned.save(tmp_path / "photo.jpg", exif=exif, quality=95)
    mask = make_mask((47, 61), (10, 30, 9, 9))
    done(mend(tmp_path, tmp_path / "photo.jpg", "--mask", save_mask(tmp_path / "mask.png", mask), "--keep-metadata"))
    mended = Image.open(tmp_path / "out/photo.png")
    upright = np.rot90(np.asarray(Image.open(tmp_path / "photo.jpg")), -1)
    assert mended.size == (61, 47) and np.abs(np.asarray(mended)[~mask].astype(int) - upright[~mask]).max() <= 2
    assert mended.getexif()[0x0112] == 1 and mended.getexif()[0x010F] == "Camera"


@pytest.mark.parametrize("name", ["photo.png", "photo.jpg"])
def test_colour_profile_is_kept(tmp_path, name):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() * 200   # too long for one block of a JPEG file
    Image.fromarray(make_photo()).save(tmp_path / name, icc_profile=profile)
    mask = save_mask(tmp_path / "mask.png", make_mask((61, 47), (10, 30, 9, 9)))
    done(mend(tmp_path, tmp_path / name, "--mask", mask))
    assert Image.open(tmp_path / "out/photo.png").info["icc_profile"] == profile


def test_profile_that_unpacks_to_gigabytes_is_left_out(tmp_path):
    Image.fromarray(make_photo()).save(tmp_path / "photo.png", icc_profile=bytes(50_000_000))
    mask = save_mask(tmp_path / "mask.png", make_mask((61, 47), (10, 30, 9, 9)))
    done(mend(tmp_path, tmp_path / "photo.png", "--mask", mask))
    assert "icc_profile" not in Image.open(tmp_path / "out/photo.png").info


@pytest.mark.parametrize("picture", [make_photo(), make_photo()[..., 0]])
def test_gamma_and_colour_space_of_a_png_file_are_kept(tmp_path, picture):
    save(tmp_path / "photo.png", picture)
    marks = {b"gAMA": struct.pack(">I", 100_000), b"cICP": bytes([9, 16, 0, 1])}   # linear light; and that of HDR pictures
    for name, content in marks.items():
        marked = picture_files.add_chunk((tmp_path / "photo.png").read_bytes(), name, content)
        (tmp_path / "photo.png").write_bytes(marked)
    done(mend(tmp_path, tmp_path / "photo.png", "--mask", save_mask(tmp_path / "mask.png", make_mask((61, 47), (10, 30, 9, 9)))))
    mended = decode.read_png_chunks("mended", (tmp_path / "out/photo.png").read_bytes(), "")
    assert {name: mended.get(name) for name in marks} == marks
    assert (np.asarray(Image.open(tmp_path / "out/photo.png"))[:10] == picture[:10]).all()


@pytest.mark.parametrize("encoding", ["utf-8:strict", "latin-1"])
def test_file_name_that_is_no_text_is_printed(tmp_path, encoding):
    path, mask = save(tmp_path / "photo.png", make_photo()), save_mask(tmp_path / "mask.png", make_mask((61, 47), (9, 9, 9, 9)))
    path = path.rename(tmp_path / os.fsdecode(b"caf\xe9.png"))
    result = stage_process("mend", tmp_path, path, "--mask", mask, "--model", "telea", "--out", tmp_path / "out", text=False,
                           env={"PYTHONIOENCODING": encoding})
    assert result.returncode == 0 and b"1 of 1" in result.stdout and (tmp_path / "out" / path.name).exists(), result.stderr


@pytest.mark.long
@pytest.mark.parametrize("run", ["windows", "whole"])
@pytest.mark.parametrize("boxes", [[(0, 0, 12, 12), (50, 20, 11, 9)], [(3, 3, 55, 40)], [(30, 20, 1, 1)]])
def test_run_mends_holes_of_any_size_and_place(runs, tmp_path, run, boxes):
    photo = make_photo()
    mask = make_mask(photo.shape, *boxes)
    damaged = np.where(mask[..., None], np.uint8([255, 0, 255]), photo)   # a colour that no run predicts
    output = done(mend(tmp_path, save(tmp_path / "photo.png", damaged), "--mask", save_mask(tmp_path / "mask.png", mask),
                       "--run", run, "--compare", "smooth", home=runs))
    for path in (tmp_path / "out/photo.png", tmp_path / "out/smooth/photo.png"):
        mended = np.asarray(Image.open(path))
        assert (mended[~mask] == photo[~mask]).all() and (mended[mask] != damaged[mask]).any()
    assert "1 of 1" in output and (tmp_path / "out/contact-sheet.png").exists()


@pytest.mark.parametrize("run", ["windows", "whole"])
def test_image_of_the_competition_is_mended_as_it_is_predicted(runs, tmp_path, run):
    done(stage("predict", runs, "--run", run))
    folder = next(runs.glob("augment/*"))
    dataset = datasets.Dataset(folder)
    rows = [(row, dataset.read_damaged(row), dataset.read_counts(row)) for row in dataset.split("holdout")]
    # Boxes apart, and black as `mend` shows them to a network: JPEG makes them grey.
    row, damaged, counts = next(found for found in rows if found[2].max() == 1 and not found[1][found[2] > 0].any())
    done(mend(tmp_path, save(tmp_path / "photo.png", damaged), "--mask", save_mask(tmp_path / "mask.png", counts > 0),
              "--run", run, home=runs))
    predicted = PredictionFile(next(runs.glob(f"checkpoints/*/{run}/holdout.npz"))).read_image(row.id, damaged / 255, counts > 0)
    mended = np.asarray(Image.open(tmp_path / "out/photo.png")) / 255
    assert np.abs(mended - predicted).max() < 1 / 255
    assert np.abs(mended - pixmend.fill(damaged / 255, counts > 0))[counts > 0].mean() > 0.02


def test_predicted_images_of_a_run_are_written(runs, tmp_path):
    done(stage("predict", runs, "--run", "windows"))
    done(stage("mend", runs, "--split", "test", "--run", "windows", "--out", tmp_path / "out"))
    dataset = datasets.Dataset(next(runs.glob("augment/*")))
    predicted = PredictionFile(next(runs.glob("checkpoints/*/windows/test.npz")))
    assert len(list((tmp_path / "out").iterdir())) == len(dataset.split("test"))
    for row in dataset.split("test"):
        image = predicted.read_image(row.id, dataset.read_damaged(row) / 255, dataset.read_counts(row) > 0)
        written = np.asarray(Image.open(tmp_path / "out" / row.id.replace(".jpeg", ".png")))
        assert np.abs(written / 255 - image).max() <= 0.5 / 255 + 1e-6


@pytest.mark.long
def test_masks_come_from_a_folder_from_transparency_and_from_a_run(runs, tmp_path):
    photo = make_photo()
    mask = make_mask(photo.shape, (20, 10, 12, 12))
    for name in ("one", "two"):
        save(tmp_path / f"photos/{name}.png", photo)
        save_mask(tmp_path / f"masks/{name}.png", mask)
    done(mend(tmp_path, tmp_path / "photos", "--mask", tmp_path / "masks"))
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {"one.png", "two.png", "contact-sheet.png"}

    transparent = np.dstack([photo, np.where(mask, 0, 255).astype(np.uint8)])
    done(mend(tmp_path, save(tmp_path / "clear.png", transparent), "--mask", "alpha"))
    mended = np.asarray(Image.open(tmp_path / "out/clear.png"))
    expected = np.asarray(Image.open(tmp_path / "out/one.png"))
    assert (mended[..., 3] == 255).all() and (mended[..., :3] == expected).all()

    save(tmp_path / "photos/three.png", photo[..., 0])
    result = mend(tmp_path, tmp_path / "photos", "--mask", "auto", "--mask-run", "finder", home=runs)
    assert result.returncode == 0 and "mended: 3 of 3" in result.stdout, result.stdout + result.stderr


def test_mask_and_original_may_end_in_capitals(tmp_path):
    save(tmp_path / "photos/IMG_1.jpg", make_photo())
    save_mask(tmp_path / "masks/IMG_1.PNG", make_mask((61, 47), (20, 10, 9, 9)))
    save(tmp_path / "originals/IMG_1.JPEG", make_photo())
    output = done(mend(tmp_path, tmp_path / "photos", "--mask", tmp_path / "masks", "--truth", tmp_path / "originals"))
    assert "RMSE" in output and (tmp_path / "out/IMG_1.png").exists()


def test_pictures_that_are_mended_are_left_alone(tmp_path):
    photo = make_photo()
    path, out = save(tmp_path / "photo.png", photo), tmp_path / "out/photo.png"
    flags = (path, "--mask", save_mask(tmp_path / "mask.png", make_mask(photo.shape, (20, 10, 9, 9))))
    done(mend(tmp_path, *flags))
    first = out.stat().st_mtime_ns
    done(mend(tmp_path, *flags))
    assert out.stat().st_mtime_ns == first
    save_mask(tmp_path / "mask.png", make_mask(photo.shape, (10, 10, 9, 9)))
    done(mend(tmp_path, *flags))
    second = out.stat().st_mtime_ns
    assert second != first
    done(mend(tmp_path, *flags, "--force"))
    assert out.stat().st_mtime_ns != second and json.loads((tmp_path / "out/mended.json").read_text())


def test_rmse_is_that_of_the_missing_pixels(tmp_path):
    photo = make_photo()
    mask = make_mask(photo.shape, (20, 10, 9, 9))
    path = save(tmp_path / "photo.png", np.where(mask[..., None], np.uint8(0), photo))
    output = done(mend(tmp_path, path, "--mask", save_mask(tmp_path / "mask.png", mask), "--truth",
                       save(tmp_path / "original.png", photo)))
    mended = np.asarray(Image.open(tmp_path / "out/photo.png"))
    expected = np.sqrt(np.mean(((mended[mask].astype(float) - photo[mask]) / 255) ** 2))
    assert f"{expected:.5f}" in output


def test_broken_picture_does_not_stop_the_others(tmp_path):
    photo = make_photo()
    save(tmp_path / "photos/good.png", photo)
    (tmp_path / "photos/bad.png").write_bytes((tmp_path / "photos/good.png").read_bytes()[:300])
    mask = save_mask(tmp_path / "mask.png", make_mask(photo.shape, (20, 10, 9, 9)))
    result = mend(tmp_path, tmp_path / "photos", "--mask", mask)
    assert result.returncode == 1 and "bad.png" in result.stdout and (tmp_path / "out/good.png").exists()
    assert not (tmp_path / "out/bad.png").exists()


def test_two_processes_may_write_into_one_folder(tmp_path):
    mask = save_mask(tmp_path / "mask.png", make_mask((61, 47), (20, 10, 9, 9)))
    folders = []
    for name in ("a", "b"):
        save(tmp_path / f"{name}/{name}.png", make_photo())
        flags = ["--picture", str(tmp_path / name), "--mask", str(mask), "--out", str(tmp_path / "out")]
        folders.append(PictureFolder(parse_flags([*flags, "--model", "telea"])))
    for folder in folders:   # both were begun before either wrote
        assert not [result.failure for result in folder.mend_all() if result.failure]
    assert json.loads((tmp_path / "out/mended.json").read_text()).keys() == {"a.png", "b.png"}


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), MemoryError()])
def test_picture_that_cannot_be_read_is_named_and_the_others_are_mended(tmp_path, monkeypatch, error):
    for name in ("a", "b", "c"):
        save(tmp_path / f"photos/{name}.png", make_photo())
    mask = save_mask(tmp_path / "mask.png", make_mask((61, 47), (20, 10, 9, 9)))
    parse_file = decode.parse_file

    def refuse(path, advice):
        if path.name == "b.png":
            raise error
        return parse_file(path, advice)

    monkeypatch.setattr(decode, "parse_file", refuse)
    settings = parse_flags(["--picture", str(tmp_path / "photos"), "--mask", str(mask), "--out", str(tmp_path / "out")])
    failures = {result.name: result.failure for result in PictureFolder(settings).mend_all()}
    assert failures["b.png"] and not failures["a.png"] and not failures["c.png"]
    assert (tmp_path / "out/c.png").exists() and (tmp_path / "out/contact-sheet.png").exists()


def test_masks_and_originals_inside_the_folder_are_not_mended(tmp_path):
    photo, mask = make_photo(), make_mask((61, 47), (20, 10, 9, 9))
    save(tmp_path / "photos/a.png", photo)
    save(tmp_path / "photos/originals/a.png", photo)
    save_mask(tmp_path / "photos/masks/a.png", mask)
    flags = ("--mask", tmp_path / "photos/masks", "--truth", tmp_path / "photos/originals")
    assert "1 of 1" in done(mend(tmp_path, tmp_path / "photos", *flags))


def test_folder_that_holds_its_own_results_is_mended_once(tmp_path):
    photo = make_photo()
    save(tmp_path / "photos/a.png", photo)
    save(tmp_path / "photos/deep/b.png", photo)
    mask = save_mask(tmp_path / "mask.png", make_mask(photo.shape, (20, 10, 9, 9)))
    flags = (tmp_path / "photos", "--mask", mask, "--out", tmp_path / "photos/mended")
    for _ in range(2):
        assert "2 of 2" in done(stage("mend", tmp_path, *flags))
    assert (tmp_path / "photos/mended/deep/b.png").exists()
    save(tmp_path / "photos/a.jpg", photo)
    assert stage("mend", tmp_path, *flags).returncode == 1


def save_folder(tmp_path):
    """Write a damaged picture, its mask, and its original above both; return the original."""
    photo, mask = make_photo(), make_mask((61, 47), (20, 10, 9, 9))
    save(tmp_path / "photos/damaged/a.png", np.where(mask[..., None], np.uint8(0), photo))
    save_mask(tmp_path / "photos/masks/a.png", mask)
    return save(tmp_path / "photos/a.png", photo)


def test_originals_and_results_may_lie_above_the_pictures(tmp_path):
    original = save_folder(tmp_path)
    flags = (tmp_path / "photos/damaged", "--mask", tmp_path / "photos/masks", "--truth", tmp_path / "photos")
    before = original.read_bytes()
    assert "1 of 1" in done(mend(tmp_path, *flags))
    assert "1 of 1" in done(stage("mend", tmp_path / "home", *flags[:3], "--out", tmp_path))
    assert (tmp_path / "a.png").exists() and original.read_bytes() == before


@pytest.mark.parametrize("flags", [
    ("photos/damaged", "--mask", "photos/masks", "--out", "photos/masks"),
    ("photos/damaged", "--mask", "photos/masks", "--truth", "photos", "--out", "photos"),
    ("photos/damaged", "--mask", "a.png", "--out", "."),
    ("photos/damaged", "--mask", "contact-sheet.png", "--out", "."),
    ("photos/damaged/a.png", "--mask", "photos/masks/a.png", "--compare", "smooth", "--out", "up"),   # up/smooth is a link
])
def test_files_that_are_read_are_not_overwritten(tmp_path, flags):
    save_folder(tmp_path)
    for name in ("a", "contact-sheet"):
        save_mask(tmp_path / f"{name}.png", make_mask((61, 47), (20, 10, 9, 9)))
    (tmp_path / "up").mkdir()
    (tmp_path / "up/smooth").symlink_to(tmp_path / "photos/damaged")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.png")}
    words = [word if word.startswith("--") or word == "smooth" else tmp_path / word for word in flags]
    result = stage("mend", tmp_path / "home", *words)
    assert result.returncode == 1 and "would be overwritten" in result.stderr
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.png")} == before


@pytest.mark.parametrize("there", ["a.png", "smooth/a.png", "contact-sheet.png"])
def test_pictures_that_are_no_results_are_overwritten_only_by_force(tmp_path, there):
    path, mask = save(tmp_path / "photos/a.png", make_photo()), tmp_path / "mask.png"
    save_mask(mask, make_mask((61, 47), (9, 9, 9, 9)))
    own = save(tmp_path / "photos/deep" / there, make_photo(20, 20))
    before, flags = own.read_bytes(), (path, "--mask", mask, "--model", "telea", "--compare", "smooth", "--out")
    result = stage("mend", tmp_path, *flags, tmp_path / "photos/deep")
    assert result.returncode == 1 and str(own) in result.stderr and "--force" in result.stderr and own.read_bytes() == before
    assert not (tmp_path / "photos/deep/mended.json").exists()
    done(stage("mend", tmp_path, *flags, tmp_path / "photos/deep", "--force"))
    assert own.read_bytes() != before
    save_mask(mask, make_mask((61, 47), (20, 10, 9, 9)))
    done(stage("mend", tmp_path, *flags, tmp_path / "photos/../photos/deep"))   # its own results are replaced, by any path


@pytest.mark.parametrize("names", [("a.png", "smooth/a.jpg"), ("contact-sheet.jpg",)])
def test_results_with_the_same_file_are_refused(tmp_path, names):
    for name in names:
        save(tmp_path / "photos" / name, make_photo())
    mask = save_mask(tmp_path / "mask.png", make_mask((61, 47), (20, 10, 9, 9)))
    result = mend(tmp_path, tmp_path / "photos", "--mask", mask, "--compare", "smooth")
    assert result.returncode == 1 and "written twice" in result.stderr and not (tmp_path / "out").exists()


def test_restorers_of_the_same_name_are_refused(tmp_path):
    path, mask = save(tmp_path / "photo.png", make_photo()), save_mask(tmp_path / "mask.png", make_mask((61, 47), (20, 10, 9, 9)))
    done(stage("configure", tmp_path / "home", "--run", "filled", "--model", "smooth"))
    result = mend(tmp_path, path, "--mask", mask, "--run", "filled", "--compare", "smooth")
    assert result.returncode == 2 and "smooth" in result.stderr and not (tmp_path / "out").exists()


def test_empty_mask_has_no_rmse(tmp_path, recwarn):
    path, mask = save(tmp_path / "photo.png", make_photo()), save_mask(tmp_path / "mask.png", np.zeros((61, 47), bool))
    output = done(mend(tmp_path, path, "--mask", mask, "--truth", path))
    assert "0.0% missing" in output and "RMSE" not in output and not list(recwarn)
    with pytest.raises(UserError, match="empty"):
        pixmend.score(make_photo(), make_photo(), np.zeros((61, 47), bool))


@pytest.mark.parametrize("flags", [
    ("photo.png", "--split", "test"), ("--mask", "alpha", "--split", "test"), ("--truth", "photo.png", "--split", "holdout"),
    ("--compare", "smooth", "--split", "test"), ("--keep-metadata", "--split", "test"),
    ("photo.png", "--mask", "photo.png", "--run", "any", "--model", "smooth")])
def test_flags_without_use_are_refused(tmp_path, flags):
    save(tmp_path / "photo.png", make_photo())
    words = [tmp_path / word if word.endswith(".png") else word for word in flags]
    result = mend(tmp_path, *words, *(("--run", "any") if "--run" not in flags else ()))
    assert result.returncode == 2 and not (tmp_path / "out").exists()


def test_ids_that_differ_in_their_ending_only_keep_it():
    assert name_pictures(["a (1).jpg", "a (1).jpeg", "b.png", "c"]) == ["a (1).jpg", "a (1).jpeg", "b", "c"]


@pytest.mark.long
@pytest.mark.parametrize(("flags", "code"), [
    ((), 2), (("photo.png",), 2), (("photo.png", "photo.png", "--mask", "mask.png"), 2), (("none.png", "--mask", "mask.png"), 1),
    (("photo.png", "--mask", "none.png"), 1), (("photo.png", "--mask", "small.png"), 1), (("photo.png", "--mask", "alpha"), 1),
    (("photo.png", "--mask", "mask.png", "--model", "window_mlp"), 2),
    (("photo.png", "--mask", "mask.png", "--run", "nothing"), 1),
    (("photo.png", "--mask", "mask.png", "--run", "finder"), 1), (("photo.png", "--mask", "auto", "--mask-run", "whole"), 1),
    (("photo.png", "--mask", "ones.png"), 1), (("photo.png", "--mask", "white.png"), 1),
    (("photo.png", "--mask", "mask.png", "--out", "."), 2), (("photo.png", "--mask", "mask.png", "--out", "photo.png"), 2),
    (("photo.png", "--mask", "mask.png", "--truth", "small.png"), 1),
])
def test_mistakes_are_messages(runs, tmp_path, monkeypatch, flags, code):
    photo = make_photo()
    save(tmp_path / "photo.png", photo)
    for name, mask in (("mask", make_mask(photo.shape, (20, 10, 9, 9))), ("white", np.ones(photo.shape[:2], bool)),
                       ("small", np.ones((9, 9), bool))):
        save_mask(tmp_path / f"{name}.png", mask)
    save(tmp_path / "ones.png", make_mask(photo.shape, (20, 10, 9, 9)).astype(np.uint8))   # 0 and 1, not 0 and 255
    words = [str(tmp_path / word) if word.endswith((".png", ".")) else word for word in flags]
    result = stage("mend", runs, "--out", tmp_path / "out", *words)
    assert result.returncode == code and "Traceback" not in result.stderr and (result.stderr or result.stdout).strip()
    assert not (tmp_path / "out/photo.png").exists() or "--truth" in flags


def test_python_functions_return_what_they_are_given(runs):
    photo = make_photo()
    mask = make_mask(photo.shape, (20, 10, 9, 14))
    run = pixmend.load_run("windows", home=str(runs))
    floats = photo / 255
    for image in (photo, photo[..., :1], photo[..., 0], floats, floats.astype(np.float32), photo.astype(np.uint16) * 257):
        by_run = pixmend.mend(image, mask.astype(np.uint8) * 255, run)
        for mended in (pixmend.mend(image, mask), by_run, pixmend.fill(image, mask)):
            assert mended.dtype == image.dtype and mended.shape == image.shape
            assert (mended[~mask] == image[~mask]).all() and (mended[mask] != image[mask]).any()
    for mode in ("RGB", "RGBA", "L", "LA"):
        image = Image.fromarray(photo).convert(mode)
        assert pixmend.mend(image, Image.fromarray(mask)).mode == mode


def test_image_of_pillow_keeps_its_colour_profile(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(make_photo()).save(tmp_path / "photo.jpg", icc_profile=profile)
    mended = pixmend.fill(Image.open(tmp_path / "photo.jpg"), make_mask((61, 47), (20, 10, 9, 14)), "telea")
    mended.save(tmp_path / "mended.png")
    assert Image.open(tmp_path / "mended.png").info["icc_profile"] == profile


@pytest.mark.long
def test_python_functions_raise_errors_for_mistakes(runs):
    photo, mask = make_photo(), make_mask((61, 47), (20, 10, 9, 14))
    calls = [lambda: pixmend.mend(photo, mask[:9]), lambda: pixmend.mend(photo.astype(int), mask),
             lambda: pixmend.mend(photo.astype(float), mask), lambda: pixmend.mend(Image.fromarray(photo).convert("P"), mask),
             lambda: pixmend.mend(np.dstack([photo, photo]), mask), lambda: pixmend.mend(photo, np.ones_like(mask)),
             lambda: pixmend.fill(photo, mask, "smoth"), lambda: pixmend.load_run("nothing", home=str(runs)),
             lambda: pixmend.load_run("smooth", home=str(runs)), lambda: pixmend.load_run("finder", home=str(runs)),
             lambda: pixmend.score(photo, photo[:9], mask)]
    for call in calls:
        with pytest.raises(UserError):
            call()


def test_picture_of_which_little_is_known_is_mended(monkeypatch):
    monkeypatch.setattr(restorers, "MAX_MISSING", 500)
    rows, columns = np.mgrid[:90, :71]
    photo = np.dstack([rows / 100, columns / 100, np.full(rows.shape, 0.5)])
    mask = np.ones(rows.shape, bool)
    mask[::9, ::7] = False
    mended = pixmend.mend(photo, mask)
    assert (mended[~mask] == photo[~mask]).all() and pixmend.score(mended, photo, mask) < 0.05


def test_score_is_the_rmse_of_the_missing_pixels():
    photo, mask = make_photo(), make_mask((61, 47), (20, 10, 9, 14))
    other = photo.copy()
    other[mask] = 255 - other[mask]
    expected = np.sqrt(np.mean(((other[mask].astype(float) - photo[mask]) / 255) ** 2))
    assert pixmend.score(other, photo, mask) == pytest.approx(expected)


def test_fill_needs_no_keras():
    program = ("import sys, numpy as np, pixmend; pixmend.fill(np.zeros((9, 9, 3), np.uint8), np.eye(9) > 0); "
               "sys.exit('keras' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_program_of_the_page_runs(runs, tmp_path, monkeypatch):
    program, = re.findall(r"^```python\n(.*?)^```", read_page("python.md"), re.M | re.S)
    photo, mask = make_photo(), make_mask((61, 47), (20, 10, 9, 14))
    save(tmp_path / "photo.png", np.where(mask[..., None], np.uint8(0), photo))
    save(tmp_path / "original.png", photo)
    save_mask(tmp_path / "mask.png", mask)
    monkeypatch.chdir(tmp_path)
    exec(program.replace('load_run("window_unet")', f'load_run("windows", home={str(runs)!r})'), {})
    for name in ("filled", "mended"):
        result = np.asarray(Image.open(f"{name}.png"))
        assert (result[~mask] == photo[~mask]).all() and result[mask].any()
