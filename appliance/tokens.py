"""Hides the tokens of installations in text: pure and total.

One rule: a token is hidden wherever its value stands and however it is spelled, and so is
whatever has the shape of one, because a token of an earlier installation is a secret too.
"""

import re
from collections.abc import Callable, Iterable
from urllib.parse import unquote

HIDDEN = "…"
# Percent-encoding grows a text threefold. A token that is encoded more often than this is nobody's path.
MAX_DECODINGS = 8

# What could contain a token: nearly every text has none of these, and costs one search.
_LONG = re.compile(r"[0-9A-Za-z%\\]{16}")
_WORD = re.compile(r"[^/?#&=;,:@\s\"']+")
_SHAPE = re.compile(r"[0-9A-Fa-f]{16,}")


def hide_tokens(text: str, tokens: Callable[[], Iterable[str]]) -> str:
    """Return *text* without *tokens* and without words of their shape.

    *tokens* is called for long words of another shape only: there are as many as hosts.
    """
    if not _LONG.search(text):
        return text
    return _WORD.sub(lambda word: HIDDEN if _is_secret(word[0], tokens) else word[0], text)


def hide_values(text: str, tokens: Callable[[], Iterable[str]]) -> str:
    """Return *text* without *tokens*, as they are: for our own text, whose other long words are no secrets."""
    if not _LONG.search(text):
        return text
    for token in filter(None, tokens()):
        text = text.replace(token, HIDDEN)
    return text


def _is_secret(word: str, tokens: Callable[[], Iterable[str]]) -> bool:
    if len(word) < 16:
        return False
    for _ in range(MAX_DECODINGS):
        if _SHAPE.fullmatch(word) or _contains(word.lower(), tokens()):
            return True
        # An encoded slash or quotation mark ends a word as well.
        plain = unquote(word)
        if plain == word:
            return False
        if any(_is_secret(part, tokens) for part in _WORD.findall(plain)):
            return True
        word = plain
    return True


def _contains(word: str, tokens: Iterable[str]) -> bool:
    return any(token and token.lower() in word for token in tokens)
