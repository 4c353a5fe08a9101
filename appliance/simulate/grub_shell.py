"""GRUB's shell: it runs a grub.cfg, shows its menu, and boots what an entry loads (GRUB manual, "Commands").

As in GRUB, a command that fails does not end the file: the rest still runs.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from appliance.simulate.grub_syntax import Command, For, Function, If, Not, Simple, While
from appliance.simulate.grub_syntax import parse as parse_grub
from appliance.simulate.grub_words import GrubSyntaxError, Kind, Word
from appliance.simulate.script import CommandError, Ending, How, IpxeImage, Part

MAX_COMMANDS = 20_000  # of one power-on; a loop without a pause would never end
MAX_DEPTH = 40  # functions and sourced files within each other
MAX_VALUE_CHARACTERS = 10_000  # of a variable
NEVER = -1  # a menu without a timeout


class StuckError(CommandError):
    """The configuration would never end; no command of it goes on after this."""


class ReplacedSignal(Exception):  # noqa: N818 - not an error: it ends a file from within any depth
    """`configfile` has been given another configuration, which takes the place of this one."""

    def __init__(self, text: str) -> None:
        self.text = text


class Surroundings(Protocol):
    """The machine, as GRUB's commands see it."""

    has_disk: bool  # whether its disk has something to boot

    async def fetch(self, path: str, root: str, part: Part) -> IpxeImage:
        """Return the file at *path*, `(device)/name` or a name on the device *root*. Raises CommandError."""

    async def pause(self, seconds: float) -> None:
        """Wait. Raises CommandError once the total is too long."""

    def show(self, text: str) -> None:
        """Show a line on the console."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the menu."""

    title: str
    id: str
    body: tuple[Command, ...]
    arguments: tuple[str, ...]  # $1 and so on while it runs: the title, then the words after it


@dataclass(slots=True)
class Shell:
    """What a configuration reads and changes."""

    around: Surroundings
    table: "CommandTable"
    variables: dict[str, str]
    choice: str = ""  # the title or id of the entry that a user at the console chooses
    entries: list[Entry] = field(default_factory=list)
    functions: dict[str, tuple[Command, ...]] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    kernel: IpxeImage | None = None
    initrds: list[IpxeImage] = field(default_factory=list)
    starts_disk: bool = False  # the boot program of the disk has been loaded
    commands: int = 0
    depth: int = 0
    failure: str = ""  # of the last command that failed
    _status: int = 0

    async def run_file(self, text: str) -> Ending:
        """Run *text*, then its menu, or what takes its place; return what GRUB does. Raises CommandError."""
        while True:
            self.entries = []
            try:
                await self.source(text)
                if self.entries:
                    return await self._menu()
                return Ending(How.WAITS, text=f"at its prompt{self._why}")
            except ReplacedSignal as signal:
                text = signal.text

    async def source(self, text: str) -> int:
        """Run *text* in this shell; return the status of its last command. Raises CommandError."""
        try:
            commands = parse_grub(text)
        except GrubSyntaxError as error:
            raise CommandError(str(error)) from error
        return await self._nested(commands)

    async def _nested(self, commands: Sequence[Command]) -> int:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise StuckError(f"{MAX_DEPTH} functions or files within each other")
        try:
            return await self._run_all(commands)
        finally:
            self.depth -= 1

    async def _menu(self) -> Ending:
        tries = [self.choice] if self.choice else [self.variables.get("default", "0")]
        if not self.choice:
            if self._timeout() == NEVER:
                return Ending(How.WAITS, text=f"in a menu without a timeout{self._why}")
            tries += self.variables.get("fallback", "").split()
        for wanted in tries:
            entry = self._entry(wanted)
            self.around.show(f"menu entry: {entry.title}")
            self.arguments = entry.arguments
            self.variables["chosen"] = entry.id
            await self._run_all(entry.body)
            if self.kernel or self.starts_disk:
                await self._command("boot", [])
        return Ending(How.WAITS, text=f"in its menu, because no entry started{self._why}")

    @property
    def _why(self) -> str:
        return f"; the last error: {self.failure}" if self.failure else ""

    def _timeout(self) -> int:
        text = self.variables.get("timeout", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else NEVER

    def _entry(self, wanted: str) -> Entry:
        by_id = next((entry for entry in self.entries if wanted in (entry.id, entry.title)), None)
        if by_id:
            return by_id
        number = int(wanted) if wanted.isascii() and wanted.isdigit() and len(wanted) < 6 else 0
        if self.choice:
            raise CommandError(f"the menu has no entry {wanted!r}; it has {', '.join(e.id for e in self.entries)}")
        # GRUB takes the first entry where the default is not in the menu.
        return self.entries[number if number < len(self.entries) else 0]

    async def _run_all(self, commands: Sequence[Command]) -> int:
        status = 0
        for command in commands:
            status = self._status = await self._run(command)
        return status

    async def _run(self, command: Command) -> int:
        match command:
            case Simple():
                return await self._simple(command)
            case If():
                for condition, body in command.branches:
                    if await self._run_all(condition) == 0:
                        return await self._run_all(body)
                return await self._run_all(command.otherwise)
            case For():
                status = 0
                for word in self._expand_all(command.words):
                    self.variables[command.name] = word
                    status = await self._run_all(command.body)
                return status
            case While():
                status = 0
                while (await self._run_all(command.condition) == 0) != command.until:
                    status = await self._run_all(command.body)
                return status
            case Function():
                self.functions[command.name] = command.body
                return 0
            case Not():
                return int(not await self._run(command.command))

    async def _simple(self, command: Simple) -> int:
        words = self._expand_all(command.words)
        if not words:
            return 0
        if command.block is not None:
            self._add_entry(words[1:], command.block)
            return 0
        name, rest = words[0], words[1:]
        if "=" in name and name.partition("=")[0].isidentifier():
            name, rest = "set", [name]
        return await self._command(name, rest)

    async def _command(self, name: str, rest: list[str]) -> int:
        """Run one command; return its status. A command that fails says so on the console."""
        self.commands += 1
        if self.commands > MAX_COMMANDS:
            raise StuckError(f"{MAX_COMMANDS:,} commands and no end")
        if body := self.functions.get(name):
            outside, self.arguments = self.arguments, tuple(rest)
            try:
                return await self._nested(body)
            finally:
                self.arguments = outside
        try:
            return await self.table.get(name, _no_such_command(name))(self, rest)
        except StuckError:
            raise
        except CommandError as error:
            self.failure = str(error)
            self.around.show(f"error: {error}")
            return 1

    def _add_entry(self, words: list[str], body: tuple[Command, ...]) -> None:
        title = words[0] if words else ""
        given = ""
        rest: list[str] = []
        at = 1
        while at < len(words):
            name, equals, value = words[at].partition("=")
            if name in ("--id", "--class", "--users", "--hotkey", "--source"):
                if not equals:
                    at += 1
                    value = words[at] if at < len(words) else ""
                given = value if name == "--id" else given
            elif name != "--unrestricted":
                rest.append(words[at])
            at += 1
        self.entries.append(Entry(title, given or title, body, (title, *rest)))

    def _expand_all(self, words: Sequence[Word]) -> list[str]:
        return [text for word in words for text in self._expand(word)]

    def _expand(self, word: Word) -> list[str]:
        """Return what *word* expands to: one word, none if it is an empty variable, several if its value has blanks."""
        done: list[str] = []
        current, is_word = "", False
        for part in word:
            if part.kind in (Kind.TEXT, Kind.QUOTED):
                current, is_word = current + part.text, True
            elif part.kind is Kind.QUOTED_VARIABLE:
                current, is_word = current + self.value(part.text), True
            else:
                pieces = self.value(part.text).split(" ")
                current += pieces[0]
                is_word = is_word or bool(pieces[0])
                for piece in pieces[1:]:
                    if is_word:
                        done.append(current)
                    current, is_word = piece, bool(piece)
        return [*done, current] if is_word else done

    def value(self, name: str) -> str:
        """Return the value of `$name`; "" when it is not set."""
        if name == "?":
            return str(self._status)
        if name == "#":
            return str(len(self.arguments))
        if name in ("@", "*"):
            return " ".join(self.arguments)
        if name.isdigit():
            number = int(name[:4])
            return self.arguments[number - 1] if 1 <= number <= len(self.arguments) else ""
        return self.variables.get(name, "")


def _no_such_command(name: str) -> Callable[[Shell, list[str]], Awaitable[int]]:
    async def fail(_shell: Shell, _rest: list[str]) -> int:
        raise CommandError(f"can't find command `{name}'")

    return fail


CommandTable = Mapping[str, Callable[[Shell, list[str]], Awaitable[int]]]
