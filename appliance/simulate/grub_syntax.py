"""The text of a grub.cfg as commands (GRUB manual, "Writing full configuration files directly").

Pure: text in, commands out. What the text means is in `grub_shell.py`.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

MAX_TEXT_BYTES = 1 << 20
MAX_NESTING = 50  # blocks within blocks; a real file has three
METACHARACTERS = "{}|&$;<>"
BLANKS = " \t"
# `$name`, `${name}`, a positional parameter or a special one.
VARIABLE = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*|[0-9]+|[?#@*])\}|([A-Za-z_][A-Za-z0-9_]*|[0-9]+|[?#@*]))")
RESERVED = frozenset(
    "! [[ ]] { } case do done elif else esac fi for function if in menuentry select then time until while".split()  # noqa: SIM905 - as the manual lists them
)


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


@dataclass(frozen=True, slots=True)
class Simple:
    """A command and its words; menuentry and submenu have a block."""

    words: tuple[Word, ...]
    line: int
    block: "tuple[Command, ...] | None" = None


@dataclass(frozen=True, slots=True)
class If:
    """Conditions, each with its commands, and the commands of `else`."""

    branches: "tuple[tuple[tuple[Command, ...], tuple[Command, ...]], ...]"
    otherwise: "tuple[Command, ...]"


@dataclass(frozen=True, slots=True)
class For:
    """A loop over words."""

    name: str
    words: tuple[Word, ...]
    body: "tuple[Command, ...]"


@dataclass(frozen=True, slots=True)
class While:
    """A loop with a condition, or, with *until*, with the opposite of one."""

    condition: "tuple[Command, ...]"
    body: "tuple[Command, ...]"
    until: bool


@dataclass(frozen=True, slots=True)
class Function:
    """The definition of a function."""

    name: str
    body: "tuple[Command, ...]"


@dataclass(frozen=True, slots=True)
class Not:
    """A command whose result is negated."""

    command: "Command"


Command = Simple | If | For | While | Function | Not


def parse(text: str) -> tuple[Command, ...]:
    """Return the commands in *text*. Raises GrubSyntaxError."""
    if len(text) > MAX_TEXT_BYTES:
        raise GrubSyntaxError(f"{len(text):,} characters are too many for a grub.cfg")
    parser = _Parser(_tokens(text))
    commands = parser.commands(frozenset())
    if parser.token.mark != "end":
        raise GrubSyntaxError(f"line {parser.token.line}: unexpected {parser.found}")
    return commands


def _tokens(text: str) -> list[Token]:
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


class _Parser:
    """Commands from tokens, by recursive descent."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    @property
    def token(self) -> Token:
        return self._tokens[self._at]

    @property
    def found(self) -> str:
        """The current token, for messages."""
        return repr(self.token.mark or self.token.bare or "a word")

    def _next(self) -> Token:
        token = self.token
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def commands(self, ends: frozenset[str]) -> tuple[Command, ...]:
        """Return the commands up to one of the reserved words *ends*, "}" or the end, which stays."""
        self._depth += 1
        if self._depth > MAX_NESTING:
            raise GrubSyntaxError(f"line {self.token.line}: more than {MAX_NESTING} blocks within each other")
        found: list[Command] = []
        while True:
            while self.token.mark in ("newline", ";"):
                self._next()
            if self.token.mark in ("end", "}") or self.token.bare in ends:
                self._depth -= 1
                return tuple(found)
            found.append(self._command())

    def _command(self) -> Command:
        word = self.token.bare
        if self.token.mark:
            raise GrubSyntaxError(f"line {self.token.line}: expected a command, got {self.found}")
        if word == "if":
            return self._if()
        if word == "for":
            return self._for()
        if word in ("while", "until"):
            return self._while()
        if word == "function":
            self._next()
            name = self._next().bare
            return Function(name, self._block())
        if word == "!":
            self._next()
            return Not(self._command())
        if word in RESERVED and word != "menuentry" and not word.startswith("["):
            raise GrubSyntaxError(f"line {self.token.line}: unexpected {self.found}")
        return self._simple()

    def _simple(self) -> Simple:
        line, words = self.token.line, []
        while not self.token.mark:
            words.append(self._next().word)
        is_menu = words[0] and words[0][0].text in ("menuentry", "submenu") and len(words[0]) == 1
        if self.token.mark == "{" and is_menu:
            return Simple(tuple(words), line, self._block())
        return Simple(tuple(words), line)

    def _block(self) -> tuple[Command, ...]:
        while self.token.mark == "newline":
            self._next()
        self._expect_mark("{")
        body = self.commands(frozenset())
        self._expect_mark("}")
        return body

    def _if(self) -> If:
        branches = []
        self._next()
        while True:
            condition = self.commands(frozenset({"then"}))
            self._expect("then")
            body = self.commands(frozenset({"elif", "else", "fi"}))
            branches.append((condition, body))
            if self.token.bare != "elif":
                break
            self._next()
        otherwise: tuple[Command, ...] = ()
        if self.token.bare == "else":
            self._next()
            otherwise = self.commands(frozenset({"fi"}))
        self._expect("fi")
        return If(tuple(branches), otherwise)

    def _for(self) -> For:
        self._next()
        name = self._next().bare
        self._expect("in")
        words = []
        while not self.token.mark:
            words.append(self._next().word)
        return For(name, tuple(words), self._loop_body())

    def _while(self) -> While:
        is_until = self._next().bare == "until"
        condition = self.commands(frozenset({"do"}))
        return While(condition, self._loop_body(), is_until)

    def _loop_body(self) -> tuple[Command, ...]:
        while self.token.mark in ("newline", ";"):
            self._next()
        self._expect("do")
        body = self.commands(frozenset({"done"}))
        self._expect("done")
        return body

    def _expect(self, word: str) -> None:
        if self.token.bare != word:
            raise GrubSyntaxError(f"line {self.token.line}: expected {word!r}, got {self.found}")
        self._next()

    def _expect_mark(self, mark: str) -> None:
        if self.token.mark != mark:
            raise GrubSyntaxError(f"line {self.token.line}: expected {mark!r}, got {self.found}")
        self._next()
