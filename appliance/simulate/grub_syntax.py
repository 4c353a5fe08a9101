"""The text of a grub.cfg as commands (GRUB manual, "Writing full configuration files directly").

Pure: text in, commands out. What the text means is in `grub_shell.py`.
"""

from dataclasses import dataclass

from appliance.simulate.grub_words import GrubSyntaxError, Token, Word, tokens_of

MAX_NESTING = 50  # blocks within blocks; a real file has three
RESERVED = frozenset(
    "! [[ ]] { } case do done elif else esac fi for function if in menuentry select then time until while".split()  # noqa: SIM905 - as the manual lists them
)


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
    parser = _Parser(tokens_of(text))
    commands = parser.commands(frozenset())
    if parser.token.mark != "end":
        raise GrubSyntaxError(f"line {parser.token.line}: unexpected {parser.found}")
    return commands


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
