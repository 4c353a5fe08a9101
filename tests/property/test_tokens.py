"""A token is in no text that was hidden, wherever it stood and however it was spelled."""

from urllib.parse import quote, unquote

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
