"""The words of a grub.cfg: quotes, variables, comments and separators (GRUB manual, "Quoting"). Pure."""

import re
from dataclasses import dataclass
from enum import StrEnum

MAX_TEXT_BYTES = 1 << 20
BLANKS = " \t"
# `$name`, `${name}`, a positional parameter or a special one.
VARIABLE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*|[0-9]+|[?#@*])\}|([A-Za-z_][A-Za-z0-9_]*|[0-9]+|[?#@*]))")


class GrubSyntaxError(Exception):
    """The text is not a configuration that GRUB could run; it says where."""


class Kind(StrEnum):
    """What a part of a word is."""

    TEXT = "text"
    QUOTED = "quoted"  # text in quotes, which is neither a reserved word nor split
    VARIABLE = "variable"
    QUOTED_VARIABLE = "quoted variable"  # in double quotes: one word, whatever its value


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a word: text, or the name of a variable."""

    kind: Kind
    text: str


Word = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Token:
    """A word, or a separator: a newline, ";", "{", "}" or the end."""

    word: Word
    mark: str  # "" for a word
    line: int

    @property
    def bare(self) -> str:
        """The text of a word without quotes and variables, which may be a reserved word; otherwise ""."""
        return self.word[0].text if len(self.word) == 1 and self.word[0].kind is Kind.TEXT else ""


def tokens_of(text: str) -> list[Token]:
    """Return the tokens of *text*. Raises GrubSyntaxError."""
    if len(text) > MAX_TEXT_BYTES:
        raise GrubSyntaxError(f"{len(text):,} characters are too many for a grub.cfg")
    found: list[Token] = []
    at, line = 0, 1
    while at < len(text):
        char = text[at]
        if text.startswith("\\\n", at):  # a line that goes on in the next
            at, line = at + 2, line + 1
        elif char in BLANKS or char == "\r":
            at += 1
        elif char == "#":
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
        elif char == "\n":
            found.append(Token((), "newline", line))
            at, line = at + 1, line + 1
        elif char in ";{}":
            found.append(Token((), char, line))
            at += 1
        elif char in "|&<>":
            raise GrubSyntaxError(f"line {line}: {char!r} outside quotes; GRUB has no pipes, redirections or && and ||")
        else:
            word, end = _word(text, at, line)
            found.append(Token(word, "", line))
            line += text.count("\n", at, end)
            at = end
    return [*found, Token((), "newline", line), Token((), "end", line)]


def _word(text: str, at: int, line: int) -> tuple[Word, int]:
    """Return the word at *at*, and where it ends."""
    parts: list[Part] = []
    while at < len(text) and text[at] not in BLANKS + "\r\n;{}|&<>":
        char = text[at]
        if char == "\\":
            if not text.startswith("\\\n", at):
                parts.append(Part(Kind.QUOTED, text[at + 1 : at + 2]))
            at += 2
        elif char == "'":
            end = text.find("'", at + 1)
            if end < 0:
                raise GrubSyntaxError(f"line {line}: a single quote without its end")
            parts.append(Part(Kind.QUOTED, text[at + 1 : end]))
            at = end + 1
        elif char == '"':
            inside, at = _double_quoted(text, at + 1, line)
            parts += inside
        elif char == "$" and (match := VARIABLE.match(text, at)):
            parts.append(Part(Kind.VARIABLE, match[1] or match[2]))
            at = match.end()
        else:
            end = at + 1
            while end < len(text) and text[end] not in BLANKS + "\r\n\\'\"$;{}|&<>":
                end += 1
            parts.append(Part(Kind.TEXT, text[at:end]))
            at = end
    return tuple(parts), min(at, len(text))


def _double_quoted(text: str, at: int, line: int) -> tuple[list[Part], int]:
    """Return the parts of the text in double quotes that begins at *at*, and the place after it."""
    parts = [Part(Kind.QUOTED, "")]  # even "" is a word
    plain = ""
    while at < len(text) and text[at] != '"':
        if text[at] == "\\" and text[at + 1 : at + 2] in ("$", '"', "\\"):
            plain += text[at + 1]
            at += 2
        elif text.startswith("\\\n", at):
            at += 2
        elif text[at] == "$" and (match := VARIABLE.match(text, at)):
            parts += [Part(Kind.QUOTED, plain), Part(Kind.QUOTED_VARIABLE, match[1] or match[2])]
            plain = ""
            at = match.end()
        else:
            plain += text[at]
            at += 1
    if at >= len(text):
        raise GrubSyntaxError(f"line {line}: a double quote without its end")
    return [*parts, Part(Kind.QUOTED, plain)], at + 1
