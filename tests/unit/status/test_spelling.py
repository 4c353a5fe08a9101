"""How sizes and times are written; tests/browser/test_words.py tests the dashboard with the same values."""

import pytest

from appliance.status.spelling import age, duration, printable, size
from tests.spellings import AGES, DURATIONS, SIZES, TEXTS


@pytest.mark.parametrize(("count", "written"), SIZES.items())
def test_size_has_about_three_digits(count, written):
    assert size(count) == written


@pytest.mark.parametrize(("seconds", "written"), AGES.items())
def test_age_is_in_whole_units(seconds, written):
    assert age(seconds) == written


@pytest.mark.parametrize(("seconds", "written"), DURATIONS.items())
def test_duration_shows_what_is_short(seconds, written):
    assert duration(seconds) == written


def test_printable_text_has_no_control_characters():
    assert printable("a\x1b[2J\nb") == "a�[2J�b"


@pytest.mark.parametrize(("text", "written"), TEXTS.items())
def test_no_character_of_foreign_text_controls_the_terminal(text, written):
    assert printable(text) == written
