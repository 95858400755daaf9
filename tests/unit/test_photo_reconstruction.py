"""The files of photo-reconstruction: read, written, checked and scored, compared with plain loops, OpenCV and scikit-learn."""

import dataclasses
import shutil

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sklearn.metrics import root_mean_squared_error
from support.tiny_competition import HEADER, SIDE, TEST, blackened, build, graded, read_rows, write_rows, write_solution

from pixmend.competitions.photo_reconstruction import PHOTO_RECONSTRUCTION as competition
from pixmend.competitions.photo_reconstruction import get_box_side
from pixmend.data.damage import count_boxes, draw_two_boxes
from pixmend.data.decode import decode_image
from pixmend.errors import UserError
from pixmend.submissions import box_csv, csv_reader, csv_scoring

# RMSE of a flat 0.5 against the tiny competition's truth: it changes only if what is scored changes.
GOLDEN = {"public": 0.2098315, "private": 0.2015483, "total": 0.2043467}


@pytest.fixture
def tiny(tmp_path):
    return build(tmp_path)


def get_files_folder(settings):
    return settings.competition_folder / "files"


def list_test_images(settings):
    return [record for record in competition.read_images(get_files_folder(settings), settings.shape) if record.split == "test"]


def list_predictions(images):
    return (image / np.float32(255) for image in images.values())


def refusal(function, *arguments):
    with pytest.raises(UserError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
    return str(caught.value)


def test_images_are_listed_in_the_order_of_the_tables(tiny):
    settings, _, boxes = tiny
    records = competition.read_images(get_files_folder(settings), settings.shape)
    assert [(e.label, e.id, e.split) for e in records] == [
        ("Cat", "Cat-Train (1).jpeg", "train"), ("Cat", "Cat-Train (1).jpg", "train"), ("Cat", 'odd, "name" ü.png', "train"),
        ("Tiger", "Tiger (1).png", "train"), ("Tiger", "Tiger (2).jpeg", "train"), ("Tiger", "Tiger/same.png", "train"),
        *(("", name, "test") for name in TEST)]
    for record in records:
        damaged = decode_image(record.damaged, settings.shape)
        assert (record.original is None) == (record.split == "test") and record.source == record.id
        if record.damaged.endswith(".png"):
            assert not damaged[count_boxes(record.boxes, settings.shape) > 0].any()
        if record.original and record.original.endswith(".png"):
            original = decode_image(record.original, settings.shape)
            np.testing.assert_array_equal(damaged, blackened(original, [box[:2] for box in record.boxes]))
    assert {e.id: [list(b) for b in e.boxes] for e in records if not e.label} == \
        {name: [[*corner, SIDE, SIDE] for corner in two] for name, two in boxes.items()}


def test_the_same_file_name_in_two_classes_gives_different_ids(tiny):
    settings, *_ = tiny
    folder = get_files_folder(settings) / "Dataset" / "Training_Data"
    shutil.copytree(folder / "Cat", folder / "Dog")
    ids = [e.id for e in competition.read_images(get_files_folder(settings), settings.shape)]
    assert "Cat/Cat-Train (1).jpg" in ids and "Dog/Cat-Train (1).jpg" in ids and len(set(ids)) == len(ids)


def test_a_table_may_lack_the_index_column_and_begin_with_a_byte_order_mark(tiny):
    settings, *_ = tiny
    path = get_files_folder(settings) / "Dataset" / "Testing_Data" / "masked_info.csv"
    before = list_test_images(settings)
    write_rows(path, [row[1:] for row in read_rows(path)])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert list_test_images(settings) == before


def test_a_submission_of_the_originals_scores_0(tiny, tmp_path):
    settings, images, boxes = tiny
    out = tmp_path / "out" / "mine.csv"
    competition.submission.write(out, list_test_images(settings), list_predictions(images), settings)
    competition.submission.check(out, get_files_folder(settings))
    assert read_rows(out) == [HEADER, *([i, f"{np.float32(v):.6f}"] for i, v in graded(images, boxes))]
    write_solution(tmp_path / "solution.csv", images, boxes)
    assert max(csv_scoring.score_csv(out, tmp_path / "solution.csv").values()) < 1e-6
    assert [p.name for p in out.parent.iterdir()] == ["mine.csv"]


def test_a_flat_submission_has_its_known_score(tiny, tmp_path):
    settings, images, boxes = tiny
    grey_images = (np.full((32, 32, 3), 0.5) for _ in images)
    competition.submission.write(tmp_path / "flat.csv", list_test_images(settings), grey_images, settings)
    write_solution(tmp_path / "solution.csv", images, boxes)
    scores = csv_scoring.score_csv(tmp_path / "flat.csv", tmp_path / "solution.csv")
    truth = [value for _, value in graded(images, boxes)]
    assert scores["total"] == pytest.approx(root_mean_squared_error(truth, np.full(len(truth), 0.5)), abs=1e-6)
    assert scores == pytest.approx(GOLDEN, abs=1e-7)


def test_the_header_is_copied_from_the_sample(tiny, tmp_path):
    settings, images, _ = tiny
    sample = get_files_folder(settings) / "sample_submission.csv"
    write_rows(sample, [['row, "id"', "pixel"], *read_rows(sample)[1:]])
    competition.submission.write(tmp_path / "mine.csv", list_test_images(settings), list_predictions(images), settings)
    header = competition.submission.read_header(get_files_folder(settings))
    assert read_rows(tmp_path / "mine.csv")[0] == header == ['row, "id"', "pixel"]


@pytest.mark.parametrize("names", [TEST, ["b.png", "a.png", "c (1).png"]])
@pytest.mark.parametrize("block", [500, 1 << 22])
def test_rows_follow_the_order_of_the_sample(tmp_path, names, block, monkeypatch):
    monkeypatch.setattr(csv_reader, "BLOCK", block)
    settings, images, boxes = build(tmp_path, names)
    sample = get_files_folder(settings) / "sample_submission.csv"
    head, *rows = read_rows(sample)
    shuffled = [rows[k] for k in np.random.default_rng(1).permutation(len(rows))]
    write_rows(sample, [head, *shuffled])
    competition.submission.write(tmp_path / "mine.csv", list_test_images(settings), list_predictions(images), settings)
    competition.submission.check(tmp_path / "mine.csv", get_files_folder(settings))
    values = {i: f"{np.float32(v):.6f}" for i, v in graded(images, boxes)}
    assert read_rows(tmp_path / "mine.csv") == [head, *([i, values[i]] for i, _ in shuffled)]


@pytest.mark.parametrize("names", [TEST, ["b.png", 'a, "c".png']])
@pytest.mark.parametrize("change, plain", [
    (lambda rows: rows, True),
    (lambda rows: [[i, "1e-9"] for i, _ in rows], True),
    (lambda rows: [*rows[:-1], [rows[-1][0], "7"]], False),
    (lambda rows: rows[:-1], False),
    (lambda rows: [*rows, rows[-1]], False),
    (lambda rows: [*rows[1::-1], *rows[2:]], False),
], ids=["as given", "other value", "two values", "short", "long", "swapped"])
def test_a_uniform_sample_is_recognised_by_its_bytes(tmp_path, names, change, plain):
    settings, *_ = build(tmp_path, names)
    records, sample = list_test_images(settings), get_files_folder(settings) / "sample_submission.csv"
    head, *rows = read_rows(sample)
    write_rows(sample, [head, *change([[i, "0.5"] for i, _ in rows])])
    assert box_csv.is_uniform(sample, records) == plain


def test_a_holdout_submission_needs_no_sample(tiny, tmp_path):
    settings, *_ = tiny
    records = [e for e in competition.read_images(get_files_folder(settings), settings.shape) if e.split == "train"][::-2]
    images = [decode_image(e.original, settings.shape) / np.float32(255) for e in records]
    competition.submission.write(tmp_path / "holdout.csv", records, images, settings)
    rows = read_rows(tmp_path / "holdout.csv")
    assert len(rows) == 1 + len(records) * 2 * SIDE * SIDE * 3
    assert rows[1][0].startswith("Tiger/same.png_box1_")
    reversed_rows = competition.submission.read(tmp_path / "holdout.csv", records[::-1], settings)
    assert "does not hold the rows" in refusal(list, reversed_rows)
    rest = competition.submission.read(tmp_path / "holdout.csv", records[:-1], settings)
    assert "does not hold the rows" in refusal(list, rest)


@pytest.mark.parametrize("scale", ["unit", "minmax"])
def test_values_read_back_are_the_submitted_ones(tiny, tmp_path, scale):
    settings = dataclasses.replace(tiny[0], value_scale=scale)
    records = [e for e in competition.read_images(get_files_folder(settings), settings.shape) if e.split == "train"]
    images = [decode_image(e.original, settings.shape) / np.float32(255) for e in records]
    competition.submission.write(tmp_path / "holdout.csv", records, images, settings)
    written = competition.submission.read(tmp_path / "holdout.csv", records, settings)
    for record, image, values in zip(records, images, written, strict=True):
        expected = competition.submission.to_submission_values(image, settings)[record.counts(settings.shape) > 0]
        np.testing.assert_allclose(values, expected, atol=1e-6)


@pytest.mark.parametrize("order", ["bgr", "rgb"])
@pytest.mark.parametrize("scale", ["unit", "minmax"])
def test_channel_order_and_value_scale_agree_with_opencv(tiny, order, scale):
    settings, images, _ = tiny
    settings = dataclasses.replace(settings, channel_order=order, value_scale=scale)
    image = next(iter(images.values()))
    wanted = image / 255.0
    if scale == "minmax":
        wanted = np.dstack([cv2.normalize(c, None, 0, 1, cv2.NORM_MINMAX, cv2.CV_64F) for c in cv2.split(image)])
    wanted = wanted[..., ::-1] if order == "bgr" else wanted
    submitted = competition.submission.to_submission_values(image / np.float32(255), settings)
    got = np.concatenate([box.ravel() for box in box_csv.cut_boxes(submitted, ((3, 4, SIDE, SIDE), (20, 1, SIDE, SIDE)))])
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, np.r_[wanted[3:12, 4:13].ravel(), wanted[20:29, 1:10].ravel()], atol=1e-6)


def test_minmax_of_a_constant_channel_is_0(tiny):
    settings = dataclasses.replace(tiny[0], value_scale="minmax")
    assert not competition.submission.to_submission_values(np.full((32, 32, 3), 0.7, np.float32), settings).any()


def test_box_side_is_in_proportion_to_the_image():
    assert [get_box_side((height, height, 3)) for height in (256, 32, 64, 128, 512)] == [75, 9, 19, 38, 150]


@examples(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([32, 64, 256]))
def test_two_boxes_lie_inside_the_image(seed, side):
    shape = (side, side, 3)
    boxes = draw_two_boxes(np.random.default_rng(seed), shape, get_box_side(shape))
    counts = count_boxes(boxes, shape)
    assert len(boxes) == 2 and counts.sum() == 2 * get_box_side(shape) ** 2 and counts.max() <= 2


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.01, -0.01])
def test_values_outside_0_to_1_leave_no_file(tiny, tmp_path, value):
    settings, *_ = tiny
    records = list_test_images(settings)
    good = np.full((32, 32, 3), 0.5, np.float32)
    bad = good.copy()
    bad[records[1].boxes[1][0], records[1].boxes[1][1], 1] = value
    (tmp_path / "out").mkdir()
    text = refusal(competition.submission.write, tmp_path / "out" / "mine.csv", records, [good, bad, good], settings)
    assert records[1].id in text and not list((tmp_path / "out").iterdir())


# Bad input: the table

def rewritten(change, kind=None):
    """A fault made in a masked_info.csv: of the test images, or of a class."""
    def make(settings):
        folder = get_files_folder(settings) / "Dataset"
        path = folder / (f"Training_Data/{kind}/Masked_Train" if kind else "Testing_Data") / "masked_info.csv"
        write_rows(path, change(read_rows(path)))
        return path
    return make


def replaced(row, column, text):
    return lambda rows: [[*r[:column], text, *r[column + 1:]] if number == row else r for number, r in enumerate(rows)]


@pytest.mark.parametrize("make, reason", [
    (rewritten(lambda rows: [r[:-1] for r in rows]), "has no column box2_col"),
    (rewritten(lambda rows: [r[:1] + r[2:] for r in rows], "Cat"), "has no column filename"),
    (rewritten(lambda rows: []), "has no column filename"),
    (rewritten(lambda rows: [*rows[:2], rows[2][:-1], *rows[3:]]), "line 3: 5 fields where 6 are wanted"),
    (rewritten(replaced(2, 3, "twelve")), "line 3: box1_col is 'twelve', not a whole number"),
    (rewritten(replaced(2, 3, "")), "line 3: box1_col is '', not a whole number"),
    (rewritten(replaced(2, 3, "nan")), "line 3: box1_col is 'nan', not a whole number"),
    (rewritten(replaced(2, 3, "1.5")), "line 3: box1_col is '1.5', not a whole number"),
    (rewritten(replaced(2, 3, "-1")), "line 3: box1_col is '-1', not a whole number"),
    (rewritten(replaced(2, 4, "24"), "Cat"), "line 3: a box of 9 pixels at"),
    (rewritten(replaced(2, 5, "99999999"), "Cat"), "leaves the image of 32x32; set --size"),
    (rewritten(lambda rows: [*rows, rows[1]]), "line 5: same.png stands in line 2 already"),
    (rewritten(replaced(1, 1, "TIGER (7).png")), "line 3: Tiger (7).png and TIGER (7).png (line 2) differ only in case"),
    (rewritten(replaced(1, 1, "../../sample_submission.csv")), "line 2: '../../sample_submission.csv' is no file name"),
    (rewritten(replaced(1, 1, "a\nb.png")), "'a\\nb.png' is no file name"),
    (rewritten(replaced(1, 1, "Same.png")), "lists Same.png, which"),
    (rewritten(replaced(1, 1, "Same.png")), "does not hold; there is same.png"),
    (rewritten(lambda rows: rows[:-1], "Tiger"), "same.png has no row in"),
])
def test_faults_of_the_table_are_errors_with_their_line(tiny, make, reason):
    settings, *_ = tiny
    path = make(settings)
    text = refusal(competition.read_images, get_files_folder(settings), settings.shape)
    assert reason in text and str(path) in text


def test_a_missing_or_binary_table_is_an_error(tiny):
    settings, *_ = tiny
    path = get_files_folder(settings) / "Dataset" / "Training_Data" / "Cat" / "Masked_Train" / "masked_info.csv"
    path.write_bytes(path.read_bytes().replace("ü".encode(), "ü".encode("latin-1")))
    assert f"{path} is not UTF-8 text" in refusal(competition.read_images, get_files_folder(settings), settings.shape)
    path.unlink()
    assert f"{path} is missing" in refusal(competition.read_images, get_files_folder(settings), settings.shape)


@pytest.mark.parametrize("folder", ["Testing_Data", "Training_Data/Cat/Masked_Train", "Training_Data/Cat/Unmasked_Train"])
def test_every_image_has_a_row_and_every_row_an_image(tiny, folder):
    settings, *_ = tiny
    folder = get_files_folder(settings) / "Dataset" / folder
    name = "same.png" if folder.name == "Testing_Data" else "Cat-Train (1).jpg"
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / ".hidden.png").write_bytes(b"x")
    competition.read_images(get_files_folder(settings), settings.shape)
    shutil.copy(folder / name, folder / "new.JPG")
    message = refusal(competition.read_images, get_files_folder(settings), settings.shape)
    assert f"{folder / 'new.JPG'} has no row in" in message and "continue with `pixmend augment`" in message
    (folder / "new.JPG").unlink()
    (folder / name).unlink()
    message = refusal(competition.read_images, get_files_folder(settings), settings.shape)
    assert f"lists {name}, which {folder} does not hold" in message


def test_missing_folders_are_errors(tiny):
    settings, *_ = tiny
    data = get_files_folder(settings) / "Dataset"
    shutil.rmtree(data / "Training_Data" / "Cat" / "Unmasked_Train")
    assert "Unmasked_Train is missing" in refusal(competition.read_images, get_files_folder(settings), settings.shape)
    for kind in ("Cat", "Tiger"):
        shutil.rmtree(data / "Training_Data" / kind)
    assert "holds no class folders" in refusal(competition.read_images, get_files_folder(settings), settings.shape)
    shutil.rmtree(data)
    assert "Training_Data is missing" in refusal(competition.read_images, get_files_folder(settings), settings.shape)


# Bad input: the sample

@pytest.mark.parametrize("change, reason", [
    (lambda rows: [r[:1] for r in rows], "no header of 2 columns"),
    (lambda rows: [[*r, "1"] for r in rows], "no header of 2 columns"),
    (lambda rows: rows[:-1], "has 1457 rows, and the test images' boxes 1458"),
    (lambda rows: [*rows, ["same.png_box1_0_0_0", "0"]], "has 1459 rows, and the test images' boxes 1458"),
    (lambda rows: rows[:1], "has 0 rows"),
    (lambda rows: [], "no header of 2 columns"),
    (lambda rows: [rows[0][::-1], *rows[1:]], "line 1: the columns are value,filename_box_pixel, not filename_box_pixel,value"),
    (lambda rows: [rows[0], *(["img_" + i, v] for i, v in rows[1:])], "first id, 'img_same.png_box1"),
    (lambda rows: [*rows[:5], [*rows[5], "0"], *rows[6:]], "line 6: 3 fields where 2 are wanted"),
])
def test_faults_of_the_sample_are_found_when_images_are_listed(tiny, change, reason):
    settings, *_ = tiny
    path = get_files_folder(settings) / "sample_submission.csv"
    write_rows(path, change(read_rows(path)))
    text = refusal(competition.read_images, get_files_folder(settings), settings.shape)
    assert str(path) in text and reason in text


@pytest.mark.parametrize("change, reason", [
    (lambda rows: [*rows[:9], ["renamed", "0"], *rows[10:]], "lacks the id 'same.png_box1"),
    (lambda rows: [*rows[:9], *rows[8:9], *rows[10:]], "line 10: the id 'same.png_box1"),
])
def test_faults_of_the_sample_are_found_before_writing(tiny, tmp_path, change, reason):
    settings, images, _ = tiny
    records = list_test_images(settings)
    path = get_files_folder(settings) / "sample_submission.csv"
    write_rows(path, change(read_rows(path)))
    (tmp_path / "out").mkdir()
    text = refusal(competition.submission.write, tmp_path / "out" / "mine.csv", records, list_predictions(images), settings)
    assert str(path) in text and reason in text and not list((tmp_path / "out").iterdir())
    assert reason in refusal(competition.submission.sample_order, get_files_folder(settings), records)


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n", b"\n\n\n"], ids=str)
def test_a_sample_may_end_with_any_blank_lines(tiny, ending):
    settings, *_ = tiny
    path = get_files_folder(settings) / "sample_submission.csv"
    before = competition.read_images(get_files_folder(settings), settings.shape)
    path.write_bytes(path.read_bytes().rstrip(b"\r\n") + ending)
    assert competition.read_images(get_files_folder(settings), settings.shape) == before


def test_a_missing_sample_is_an_error(tiny, tmp_path):
    settings, *_ = tiny
    (get_files_folder(settings) / "sample_submission.csv").unlink()
    assert "sample_submission.csv is missing" in refusal(competition.read_images, get_files_folder(settings), settings.shape)


def test_an_edited_submission_is_checked(tiny, tmp_path):
    settings, images, _ = tiny
    competition.submission.write(tmp_path / "mine.csv", list_test_images(settings), list_predictions(images), settings)
    rows = read_rows(tmp_path / "mine.csv")
    write_rows(tmp_path / "mine.csv", [*rows[:7], [rows[7][0], "1.5"], *rows[8:]])
    text = refusal(competition.submission.check, tmp_path / "mine.csv", get_files_folder(settings))
    assert "mine.csv, line 8: value is '1.5', not a number in 0..1" in text
