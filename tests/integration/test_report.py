"""The report: the page in a real browser, its numbers compared with the files, and unusual tables of runs."""

import json
import re
import shutil
import warnings

import cv2
import numpy as np
import pandas
import pytest
from support import chromium
from support.stages import ROOT, SMALL, done, stage

from pixmend import files, run_file
from pixmend.config import UNLIMITED_STEPS, Settings
from pixmend.data import dataset
from pixmend.errors import UserError
from pixmend.evaluation import leaderboard, ledger
from pixmend.flags import parse_flags
from pixmend.reporting import charts, error_section, run_section, submission_section
from pixmend.stages import report
from pixmend.submissions import predictions

TINY = (*SMALL, "--steps", "4", "--evaluate-every", "2", "--run", "tiny", "--lambda", "7")
AFTER_AUGMENT = ("train", "predict", "serialize", "score")
CSS = (ROOT / "src/pixmend/reporting/report.css").read_text()


@pytest.fixture(scope="module")
def reported(module_home):
    """A home with three fills, a small network, its copy with another LAMBDA, a row without a holdout score; and the report."""
    for flags in (*((*SMALL, "--model", fill, "--run", fill) for fill in ("mean", "harmonic", "smooth")), TINY):
        for name in AFTER_AUGMENT:
            done(stage(name, module_home, *flags))
    board = module_home / "submissions/demo/leaderboard.csv"
    twin = module_home / "checkpoints/demo/twin"
    shutil.copytree(module_home / "checkpoints/demo/tiny", twin)
    run_file.save_trained(twin, run_file.read_trained(twin) | {"LAMBDA": 70.0})
    rename_losses(twin / "history.csv")
    row = next(row for row in leaderboard.read_leaderboard(board) if row["run"] == "tiny")
    leaderboard.update_run(board, **row | {"run": "twin", "holdout_rmse": "0.5", "low": "0.4", "high": "10.25"})
    leaderboard.update_run(board, "sent-only", public="0.2", date="2024-01-02")
    done(stage("report", module_home, *TINY))
    return module_home


def rename_losses(path):
    path.write_text(path.read_text().replace("generator", "painter", 1))


@pytest.fixture(scope="module")
def settings(reported):
    return parse_flags(["--home", str(reported), *TINY], environment={})


@pytest.fixture(scope="module")
def text(reported):
    return (reported / "submissions/demo/report.html").read_text()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if chromium.BINARY is None:
        pytest.skip("Chromium is not installed here, so the page is not opened; .ci/run installs it.")
    with chromium.Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def page(browser, reported):
    browser.set_view(width=1200)
    browser.open((reported / "submissions/demo/report.html").as_uri())
    return browser


def head(title):
    return f"[...document.querySelectorAll('thead th')].find(head => head.textContent.trim() === {title!r})"


def column(page, title):
    """The cells of a column from top to bottom."""
    place = page.ask(f"{head(title)}.cellIndex")
    return page.ask(f"[...document.querySelectorAll('tbody tr')].map(row => row.cells[{place}].textContent.trim())")


def sorted_by(page, title):
    return page.ask(f"{head(title)}.getAttribute('aria-sort')")


def button(page, title):
    return f"thead th:nth-child({page.ask(f'{head(title)}.cellIndex') + 1}) button"


def uncovered(page):
    """Return the share of the image that the left view covers, as the browser draws it."""
    clip = page.ask("getComputedStyle(document.querySelector('.stage .left')).clipPath")
    return 1 - float(re.fullmatch(r"inset\(0px ([\d.]+)% 0px 0px\)", clip)[1]) / 100


def numbers(cells):
    return [float(cell.split()[0]) for cell in cells if cell != "–"]


def test_page_opens_without_errors_or_requests(page):
    assert page.ask("document.querySelector('h1').textContent") == "tiny"
    assert not page.get_events("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
    asked = [event["request"]["url"] for event in page.get_events("Network.requestWillBeSent")]
    assert [url for url in asked if not url.startswith("data:")] == [page.ask("location.href")]


def test_first_screen_says_what_the_run_gained(page):
    height = page.ask("document.querySelector('main').getBoundingClientRect().top")
    texts = page.ask("[...document.querySelectorAll('header dt')].map(title => title.textContent)")
    assert height < 600 and any("best baseline" in text for text in texts)
    assert page.ask("document.querySelectorAll('header dd').length") > 4


def test_click_sorts_numbers_both_ways_and_empty_cells_last(page):
    for title in ("holdout RMSE", "95% interval", "steps", "public"):
        for direction in ("ascending", "descending"):
            page.click(button(page, title))
            if title == "holdout RMSE" and direction == "ascending":
                page.click(button(page, title))   # the page is sorted by it at first
            cells = column(page, title)
            assert sorted_by(page, title) == direction
            assert numbers(cells) == sorted(numbers(cells), reverse=direction == "descending")
            assert "–" not in cells[:len(numbers(cells))]
    assert page.ask("document.querySelectorAll('[aria-sort]').length") == 1


def test_keyboard_sorts_words(page):
    assert sorted_by(page, "holdout RMSE") == "ascending"
    assert column(page, "run")[-1] == "sent-only" and column(page, "run")[-2] == "twin"
    page.ask(f"document.querySelector({button(page, 'run')!r}).focus()")
    page.press("Enter", 13)
    assert column(page, "run") == sorted(column(page, "run")) and sorted_by(page, "run") == "ascending"


def test_slider_moves_by_key_and_by_click(page):
    assert uncovered(page) == pytest.approx(0.5)
    page.ask("document.querySelector('.slide input').focus()")
    page.press("ArrowRight", 39)
    assert uncovered(page) == pytest.approx(0.505)
    page.press("Home", 36)
    assert uncovered(page) == 0
    page.click(".stage")
    assert uncovered(page) == pytest.approx(0.5, abs=0.01)


def test_any_two_views_of_an_image_can_be_compared(page):
    page.click("article:nth-of-type(2) .choose")
    page.ask("""{const left = document.querySelector("[name=left]"); left.value = "original";
                left.dispatchEvent(new Event("change", {bubbles: true}))}""")
    shown = page.ask("['.left', '.right'].map(side => document.querySelector('.stage ' + side).src)")
    expected = page.ask("""['original', 'predicted'].map(view =>
                           document.querySelectorAll('article')[1].querySelector(`[data-view=${view}]`).src)""")
    assert shown == expected and shown[0] != shown[1]
    assert page.ask("[...document.querySelectorAll('.tag')].map(tag => tag.textContent)") == ["predicted", "original"]


def test_curves_over_steps_or_minutes_and_hidden_runs(page):
    shown = "[...document.querySelectorAll('.charts')].map(group => group.getClientRects().length > 0)"
    assert page.ask(shown)[:2] == [True, False]
    page.click("label[for=over-minutes]")
    assert page.ask(shown)[:2] == [False, True]
    curve = "document.getElementById('holdout_rmse-minutes-run1').getClientRects().length"
    assert page.ask(curve) == 1
    page.click("[data-run='1']")
    assert page.ask(curve) == 0


@pytest.mark.parametrize("width", [360, 390, 768, 1200])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_is_wider_than_the_window(page, width, dark):
    page.set_view(width=width, dark=dark)
    assert page.ask("document.documentElement.scrollWidth") <= width
    light = page.ask("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert light != dark
    assert page.ask("document.querySelector('.wide').getBoundingClientRect().right") <= width


def test_printed_page_is_white_and_has_the_whole_table(page):
    page.set_view(width=700, dark=True, media="print")
    assert page.ask("getComputedStyle(document.body).color") == "rgb(27, 31, 36)"
    assert page.ask("document.querySelector('.compare').getClientRects().length") == 0
    assert page.ask("document.querySelector('table').getBoundingClientRect().right") <= 700
    assert page.pdf().startswith(b"%PDF")


def test_charts_have_unique_ids_and_colours_with_contrast(text):
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids)) > 20
    papers = re.findall(r"--paper: (#\w+)", CSS)
    assert len(papers) == 2
    assert min(contrast(colour, paper) for colour in charts.COLOURS for paper in papers) >= 3
    assert charts.INK not in text and "currentColor" in text


def contrast(one, other):
    """The contrast of two colours as WCAG 2 defines it."""
    low, high = sorted(luminance(colour.removeprefix("#")) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def luminance(colour):
    colour = colour if len(colour) == 6 else "".join(2 * c for c in colour)
    parts = [int(colour[i:i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_table_equals_the_files(page, reported):
    rows = {row["run"]: row for row in leaderboard.read_leaderboard(reported / "submissions/demo/leaderboard.csv")}
    shown = dict(zip(column(page, "run"), column(page, "holdout RMSE"), strict=True))
    assert shown.pop("sent-only") == "–"
    assert {name: float(value) for name, value in shown.items()} == \
        {name: float(rows[name]["holdout_rmse"]) for name in shown}
    settings = dict(zip(column(page, "run"), column(page, "settings"), strict=True))
    assert settings["tiny"] == "pix2pix_published --size 32 --width 4 --start harmonic --lambda 7 --steps 4 --batch-size 2"
    assert settings["twin"] == settings["tiny"].replace("lambda 7", "lambda 70")
    assert settings["mean"] == "mean --size 32" and settings["sent-only"] == "–"


def test_runs_on_images_of_another_size_are_listed_after_the_others_and_not_ranked_with_them(reported, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(reported, home)
    leaderboard.update_run(home / "submissions/demo/leaderboard.csv", "larger", holdout_rmse="0.01", size=64)
    done(stage("report", home, *TINY))
    text = (home / "submissions/demo/report.html").read_text()
    chosen = parse_flags(["--home", str(home), *TINY], environment={})
    runs = run_section.list_runs(chosen)
    names = [run.name for run in runs]
    ranked = [run.name for run in runs if run.get_number("holdout_rmse") is not None and run.name != "larger"]
    assert names[-1] == "larger" and "sent-only" in names and f"{ranked.index('tiny') + 1} of {len(ranked)}" in text


def test_defaults_of_model_and_competition_are_not_listed():
    stored = {"model": "residual_unet", "learning_rate": 1e-3, "width": 48, "steps": 400, "mask_channel": True, "loss": "l2"}
    settings = Settings()
    run = run_section.Run("a", {}, stored)
    assert run_section.describe_settings(run, settings) == ["residual_unet", "--mask-channel"]
    of_minutes = run_section.Run("timed", {}, {"model": "residual_unet", "steps": UNLIMITED_STEPS, "minutes": 30.0})
    assert run_section.describe_settings(of_minutes, settings) == ["residual_unet", "--minutes 30"]
    mix = {"model": "ensemble", "members": ["a", "b", "c"], "weights": [0.25, 0.75, 0.0]}
    assert run_section.describe_settings(run_section.Run("mix", {}, mix), settings) == ["0.75 b", "0.25 a"]


def test_rank_correlation_equals_pandas(text, reported):
    table = pandas.read_csv(reported / "submissions/demo/leaderboard.csv")
    for score in ("public", "private"):
        both = table[["holdout_rmse", score]].dropna()
        expected = both.corr("spearman").iloc[0, 1]
        assert f"{score} score, over {len(both)} runs: {expected:.2f}, 95% interval" in text


def test_submissions_are_charted_with_score_and_rank(settings, tmp_path):
    chosen = parse_flags(["--home", str(tmp_path), "--run", "a"], environment={})
    assert submission_section.describe_submissions(chosen, [])["sent"] == []
    path = ledger.get_path(chosen.submissions_folder)
    for number in range(3):
        time = f"2026-11-0{number + 1} 10:00:00"
        ledger.add_event(path, ledger.SENT, time, run="a", file=f"{number:012}", left_today=4, per_day=5)
    assert submission_section.describe_submissions(chosen, [])["over_time"] == ""
    ledger.add_event(path, ledger.SCORED, run="a", file=f"{1:012}", ref="8", public="0.2", private="0.3")
    found = submission_section.describe_submissions(chosen, [])
    assert "submissions-public" in found["over_time"] and "submissions-rank" not in found["over_time"] and len(found["sent"]) == 3
    ledger.add_event(path, ledger.SCORED, run="a", file=f"{2:012}", ref="9", public="0.1", rank="12")
    found = submission_section.describe_submissions(chosen, [])
    assert "submissions-rank" in found["over_time"] and "2026-11-03" in found["allowance"]


def make_runs(scores):
    """Runs with these holdout, public and private scores."""
    return [run_section.Run(str(number), {name: "" if value is None else str(value) for name, value in
                                          zip(("holdout_rmse", "public", "private"), row, strict=True)}, {})
            for number, row in enumerate(scores)]


def test_files_that_settle_sent_are_no_runs_to_compare():
    runs = make_runs([(0.1, 0.2, 0.2), (0.2, 0.3, 0.3), (0.3, 0.4, 0.4), (0.4, 0.5, 0.5), (None, 0.9, 0.1), (None, 0.8, 0.1)])
    public, _, both = submission_section.compare_scores(runs)
    assert len(both.runs) == len(public.runs) == 4 and both.correlation.value == 1


def test_runs_with_one_score_have_no_correlation():
    runs = make_runs([(number / 10, 0.5, number / 10) for number in range(5)])
    public, private, both = submission_section.compare_scores(runs)
    assert public.correlation is both.correlation is None and private.correlation is not None
    assert all("5 runs" in one.sentence and one.sentence.endswith("public score.") for one in (public, both))


def test_correlation_of_each_pair_of_scores_or_why_there_is_none():
    runs = make_runs([(0.1, 0.12, 0.2), (0.2, 0.22, 0.3), (0.3, 0.29, None), (0.4, 0.44, 0.25)])
    public, private, both = submission_section.compare_scores(runs)
    assert public.correlation.value == 1 and "over 4 runs: 1.00, 95% interval -0" in public.sentence
    assert private.correlation is both.correlation is None
    assert "needs 4 runs" in private.sentence and "there are 3" in both.sentence


def test_page_lists_submissions_and_escapes_their_messages(reported, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(reported, home)
    path = ledger.get_path(home / "submissions/demo")
    ledger.add_event(path, ledger.SENT, run="tiny", file=f"{1:012}", message="<b>bold</b>", left_today=4, per_day=5)
    ledger.add_event(path, ledger.SCORED, run="tiny", file=f"{1:012}", ref="8", public="0.23456", rank="12", seconds=31)
    ledger.add_event(path, ledger.SENT, run="tiny", file=f"{2:012}", left_today=3, per_day=5)
    done(stage("report", home, *TINY))
    page = (home / "submissions/demo/report.html").read_text()
    section = page[page.index('<section id="submissions">'):page.index('<section id="agreement">')]
    words = ("0.23456", "<td>12</td>", "<td>31</td>", "&lt;b&gt;", "no score yet", "3 of 5", "<svg")
    assert all(word in section for word in words)
    path.write_text("damaged")
    result = stage("report", home, *TINY)
    assert result.returncode == 1 and str(path) in result.stderr and "Traceback" not in result.stderr


def test_lambda_groups_differ_in_lambda_alone(settings):
    listed = run_section.list_runs(settings)
    assert [[run.name for run in group] for group in run_section.group_by_lambda(listed)] == [["tiny", "twin"]]
    assert run_section.group_by_lambda([run for run in listed if run.name != "twin"]) == []


def test_histories_begin_with_this_run_and_are_eight_at_most(settings, tmp_path):
    for number in range(10):
        folder = tmp_path / "checkpoints/demo" / f"r{number}"
        folder.mkdir(parents=True)
        (folder / "history.csv").write_text(f"step,holdout_rmse,minutes\n0,0.9,0\n2,0.{number + 10},1\n")
    chosen = parse_flags(["--home", str(tmp_path), "--run", "r8"], environment={})
    assert list(run_section.read_histories(chosen)) == ["r8", "r0", "r1", "r2", "r3", "r4", "r5", "r6"]


def test_errors_of_all_distances_together_are_the_score(settings):
    score, ready = files.read_json(settings.run_folder / "score.json"), dataset.open_dataset(settings)
    images = predictions.read_images(settings.run_folder / "holdout.npz", ready, ready.split("holdout"))
    found, predicted = error_section.measure_errors(ready, images, {score["ids"][0]})
    for name, sums in (("run", score["sums"]), ("harmonic", score["fills"]["harmonic"])):
        met, values = found.get_rmse_by_distance()
        total = np.sqrt(np.average(np.square(values[name]), weights=found.numbers[met]))
        assert total == pytest.approx(np.sqrt(sum(sums) / sum(score["numbers"])), rel=1e-3)
    assert list(predicted) == [score["ids"][0]]


def test_errors_are_mapped_at_their_position_in_separate_boxes():
    mask = np.zeros((40, 40), bool)
    for top, left in ((2, 3), (20, 8), (26, 14)):
        mask[top:top + 9, left:left + 9] = True
    assert list(error_section.find_separate_boxes(mask)) == [(2, 3, 9, 9)]
    inside = np.argwhere(mask)
    slow = [min(np.abs(inside_pixel - known).max() for known in np.argwhere(~mask)) for inside_pixel in inside]
    assert error_section.measure_distances(mask)[mask].tolist() == slow
    squares = np.where((inside == (6, 7)).all(1), 0.25, 0.0)
    found = error_section.ErrorMaps(mask.shape)
    found.add(np.stack([squares, squares * 4]), mask.astype(np.uint8))
    maps, boxes = found.get_box_maps()
    assert boxes == 1 and maps["run"][4, 4] == 0.5 and maps["harmonic"][4, 4] == 1 and np.count_nonzero(maps["run"]) == 1


def test_the_terminal_names_the_page_and_the_picture(reported):
    printed = done(stage("report", reported, *TINY)).split()
    assert {str(reported / f"submissions/demo/{name}") for name in ("report.html", "before-after.png")} <= set(printed)


def test_before_after_has_three_rows_of_four_images(reported):
    image = cv2.imread(str(reported / "submissions/demo/before-after.png"))
    height, width = image.shape[:2]
    side = (width - 3 * 6) // 4
    assert 600 < width <= 900 and height == 3 * side + 2 * 6
    assert (image[:, side:side + 6] == 255).all() and (image[side:side + 6] == 255).all()
    damaged, whole = image[:side, :side].astype(int), image[:side, -side:]
    known = damaged.max(-1) > 40
    assert np.abs(damaged - whole)[known].mean() < 8 < 25 < np.abs(damaged - whole)[~known].mean()


def test_only_shown_images_are_embedded(text):
    images = len(re.findall("<article ", text))
    assert images <= 9 and text.count("data:image/jpeg") == 5 * images
    assert len(text) < 3_000_000


def test_score_of_another_holdout_is_refused_and_the_page_stays(reported, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(reported, home)
    path = home / "checkpoints/demo/mean/score.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"ids": ["other.png"]}))
    before = (home / "submissions/demo/report.html").read_bytes()
    result = stage("report", home, *SMALL, "--model", "mean", "--run", "mean")
    assert result.returncode == 1 and "pixmend score" in result.stderr and "Traceback" not in result.stderr
    assert (home / "submissions/demo/report.html").read_bytes() == before


def test_score_of_earlier_predictions_is_marked(reported, text, tmp_path):
    home = shutil.copytree(reported, tmp_path / "home")
    assert "score it again" not in text
    done(stage("predict", home, "--run", "tiny", "--tta", "8"))
    assert "score it again" in done(stage("report", home, "--run", "tiny"))
    assert "score it again" in (home / "submissions/demo/report.html").read_text()
    for name in ("serialize", "score"):
        done(stage(name, home, "--run", "tiny"))
    assert "score it again" not in done(stage("report", home, "--run", "tiny"))


def test_run_that_is_not_in_the_leaderboard_is_refused(reported, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(reported, home)
    (home / "submissions/demo/leaderboard.csv").unlink()
    result = stage("report", home, *SMALL, "--model", "mean", "--run", "mean")
    assert result.returncode == 1 and "pixmend score" in result.stderr


def test_next_commands_keep_the_flags_that_decided_the_data():
    def suggest(*flags):
        return "\n".join(report.suggest_commands(parse_flags(list(flags), environment={})))

    flags = ("--competition", "landscapes", "--size", "64", "--hole-colour", "white", "--damage", "depixelation",
             "--home", "my home")
    assert suggest(*flags, "--steps", "9", "--force").endswith(
        "./run_pipeline.sh --competition landscapes --home 'my home' --size 64 --hole-colour white --damage depixelation "
        "--photos FOLDER")
    assert suggest(*flags, "--photos", "mine") == ""
    suggestion = suggest("--competition", "photo_reconstruction", "--run", "a", "--home", "h")
    assert suggestion.endswith("pixmend submit --run a --competition photo_reconstruction --home h")
    assert suggest("--home", "h", "--size", "64").splitlines()[-1].strip() == (
        "./run_pipeline.sh --competition photo_reconstruction --home h --minutes 60 --submit")


def test_scores_of_a_competition_that_is_made_here_are_not_said_to_be_kaggles(text):
    assert "at Kaggle" not in text and "Kaggle's leaderboard" not in text


@pytest.mark.parametrize(("model", "score"), [("locate", {"overlaps": [[1, 2]]}), ("window_unet", {
    "classes": ["x"], "sums": [1.0], "numbers": [4], "scores": {}, "fills": {"harmonic": [1.0]}})])
def test_a_run_that_the_leaderboard_has_without_its_score_is_to_be_scored_again(tmp_path, model, score):
    settings = Settings(home=str(tmp_path), run="a", model=model)
    files.write_json(settings.run_folder / "score.json", {"ids": ["one"]} | score)
    board = settings.submissions_folder / "leaderboard.csv"
    leaderboard.update_run(board, "a", steps="100")   # as a sweep writes it, after the table was moved away
    with pytest.raises(UserError, match=r"leaderboard\.csv.*pixmend score --run a"):
        report.main(settings)


def test_labels_in_any_script_and_of_any_length_leave_room_for_their_bars():
    long, cat = "very-long-name-that-a-museum-gave-its-folder-of-photographs-in-1998", "\u732b"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = charts.plot_classes({long: 0.1, cat: 0.2}, {long: 0.1, cat: 0.2})
    assert cat in drawn and "very-long-n" in drawn and "1998" in drawn and long not in drawn
