"""A token is in no text that was hidden, wherever it stood and however it was spelled."""

import time
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.tokens import HIDDEN, hide_tokens, hide_values

TOKEN = "0123456789abcdef0123456789abcdef"
TOKENS = ("", TOKEN, "fedcba9876543210fedcba9876543210")
AROUND = st.text(max_size=30) | st.sampled_from(["/ignition/", ".ign", "?t=", "x", "\0", "\x01", "%2F", "é%", " "])


def encoded(token: str, times: int, which: int) -> str:
    """Return *token* with those characters percent-encoded whose bit is in *which*, so many times."""
    text = "".join(f"%{ord(char):02x}" if which >> place & 1 else char for place, char in enumerate(token))
    for _ in range(times):
        text = quote(text)
    return text


SPELLINGS = st.builds(encoded, st.sampled_from([TOKEN, TOKEN.upper()]), st.integers(0, 3), st.integers(0, 2**32 - 1))


def contains_token(text: str) -> bool:
    for _ in range(12):
        if TOKEN in text.lower():
            return True
        text = unquote(text)
    return False


@given(AROUND, SPELLINGS, AROUND)
def test_no_spelling_of_a_token_is_left(before: str, token: str, after: str) -> None:
    assert not contains_token(hide_tokens(before + token + after, lambda: TOKENS))


@given(st.text())
def test_text_without_long_words_stays_as_it_is(text: str) -> None:
    short = " ".join(text[at : at + 5] for at in range(0, len(text), 5))
    assert hide_tokens(short, lambda: TOKENS) == short


@given(st.text(), st.text())
def test_value_is_hidden_and_nothing_else(before: str, after: str) -> None:
    assert hide_values(f"{before}{TOKEN}{after}", lambda: TOKENS) == f"{before}{HIDDEN}{after}"


def test_digests_stay_in_our_own_text() -> None:
    text = f"the sha256 is {'ab' * 32}"
    assert hide_values(text, lambda: TOKENS) == text


NESTED = st.builds(
    lambda before, count, after: (before + "%" + "25" * count + after)[-1500:],
    st.text(max_size=30),
    st.integers(0, 750),
    st.text(max_size=30),
)
NAMES = NESTED | st.lists(NESTED | st.text(), max_size=20).map(lambda parts: "/".join(parts)[:1500])


@given(NAMES)
def test_any_name_is_hidden_or_stays_and_nothing_is_raised(name: str) -> None:
    assert isinstance(hide_tokens(name, lambda: TOKENS), str)


def test_token_below_more_escapes_than_anybody_writes_is_hidden() -> None:
    assert hide_tokens("%" + "25" * 400 + "30" + TOKEN[1:], lambda: TOKENS) == HIDDEN


MANY = [f"{number:032x}" for number in range(1000)]


@pytest.mark.parametrize(
    "unit",
    [
        "%" + "25" * 12 + "2f",
        "%2525252f",
        "x" + "0" * 17 + "/",
        "x%25252541" + "0" * 17 + "/",
        "x%25252525252541000/",
        "%41",
        "%" + "25" * 4000,
    ],
)
def test_longest_target_is_searched_in_milliseconds(unit: str) -> None:
    target = (unit * 8192)[:8192]
    started = time.process_time()
    hide_tokens(target, lambda: MANY)
    assert time.process_time() - started < 0.1  # 20 ms


def test_tokens_are_collected_once_for_a_text() -> None:
    calls = []

    def tokens() -> list[str]:
        calls.append(1)
        return MANY

    hide_tokens("/x0123456789abcdef01" * 100, tokens)
    assert len(calls) == 1
