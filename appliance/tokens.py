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
_DIGITS = re.compile(r"[0-9a-f]{16,}")


def hide_tokens(text: str, tokens: Callable[[], Iterable[str]]) -> str:
    """Return *text* without *tokens* and without words of their shape.

    *tokens*, which have that shape, is called for words that contain one and more: there are as many as hosts.
    """
    if not _LONG.search(text):
        return text
    known = _Known(tokens)
    return _WORD.sub(lambda word: HIDDEN if _is_secret(word[0], known) else word[0], text)


def hide_values(text: str, tokens: Callable[[], Iterable[str]]) -> str:
    """Return *text* without *tokens*, as they are: for our own text, whose other long words are no secrets."""
    if not _LONG.search(text):
        return text
    for token in filter(None, tokens()):
        text = text.replace(token, HIDDEN)
    return text


def _is_secret(word: str, known: "_Known") -> bool:
    if len(word) < 16:
        return False
    for _ in range(MAX_DECODINGS):
        # An encoded slash or quotation mark ends a word as well.
        if any(map(_SHAPE.fullmatch, _WORD.findall(word))) or _contains(word.lower(), known):
            return True
        plain = unquote(word)
        if plain == word:
            return False
        word = plain
    return True


def _contains(word: str, known: "_Known") -> bool:
    return any(known.is_in(run) for run in _DIGITS.findall(word))


class _Known:
    """The tokens, to look each place of a text up once, however many hosts there are: a client can send 8 kB."""

    def __init__(self, tokens: Callable[[], Iterable[str]]) -> None:
        self._tokens = tokens
        self._known: frozenset[str] | None = None  # until a text needs them
        self._sizes: set[int] = set()  # in practice one

    def is_in(self, digits: str) -> bool:
        if self._known is None:
            self._known = frozenset(token.lower() for token in self._tokens() if token)
            self._sizes = {len(token) for token in self._known}
        known = self._known
        return any(digits[at : at + size] in known for size in self._sizes for at in range(len(digits) - size + 1))
