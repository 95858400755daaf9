"""The registry of competitions, and what a competition must define."""

import pytest

from pixmend import competitions
from pixmend.competitions import COMPETITIONS, get_competition, get_competition_name
from pixmend.competitions.base import Competition
from pixmend.errors import FlagError, UserError
from pixmend.submissions.pixel_csv import PixelCsv


@pytest.mark.parametrize("name", COMPETITIONS)
def test_every_registered_competition_loads(name):
    competition = get_competition(name)
    assert isinstance(competition, Competition) and competition is get_competition(name)


def test_slugs_differ():
    assert len({get_competition(name).slug for name in COMPETITIONS}) == len(COMPETITIONS)


def test_kaggles_spelling_is_accepted_and_a_misspelt_name_is_answered_with_the_nearest():
    assert get_competition_name("photo-reconstruction") == "photo_reconstruction"
    with pytest.raises(FlagError, match="Did you mean landscapes"):
        get_competition_name("landscape")


def test_a_missing_method_is_an_error_when_the_competition_is_loaded(tmp_path, monkeypatch):
    (tmp_path / "incomplete.py").write_text(
        "from pixmend.competitions.base import Competition\n"
        "from pixmend.submissions.pixel_csv import PixelCsv\n"
        "class Incomplete(Competition):\n"
        "    def read_images(self, folder, shape):\n"
        "        return []\n"
        "VALUE = Incomplete(slug='incomplete', submission=PixelCsv())\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(competitions.COMPETITIONS, "incomplete", "incomplete:VALUE")
    with pytest.raises(UserError, match="draw_mask"):
        get_competition("incomplete")


def test_a_misspelt_optional_method_is_refused():
    with pytest.raises(TypeError, match="did you mean apply_constraint"):
        class Misspelt(Competition):
            def aply_constraint(self, prediction, damaged, mask):
                return prediction


def test_a_misspelt_field_is_refused():
    with pytest.raises(TypeError, match="metric"):
        type(get_competition("landscapes"))(slug="a", submission=PixelCsv(), metric={})
