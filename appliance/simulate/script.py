"""An iPXE script's text, and what a run of one needs and comes to (iPXE src/core/exec.c, src/image/script.c).

As iPXE does: a line is split at white space and nothing else; there are no quotes.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

SCRIPT_MAGIC = (b"#!ipxe", b"#!gpxe")


class Part(StrEnum):
    """What a file is fetched for."""

    SCRIPT = "script"
    KERNEL = "kernel"
    INITRD = "initrd"


@dataclass(frozen=True, slots=True)
class Image:
    """A file that iPXE has fetched."""

    name: str  # as `initrd=` names it
    url: str
    size: int
    body: bytes = b""  # of scripts only
    arguments: str = ""


class How(StrEnum):
    """How a script ended."""

    BOOT = "boot"
    EXIT = "exit"
    SANBOOT = "sanboot"
    REBOOT = "reboot"
    POWEROFF = "poweroff"
    WAITS = "waits"  # for somebody at the console, for ever


@dataclass(frozen=True, slots=True)
class Ending:
    """What iPXE does once its script is done."""

    how: How
    status: int = 0  # of exit
    kernel: Image | None = None
    initrds: tuple[Image, ...] = ()
    text: str = ""


class CommandError(Exception):
    """A command failed; the script goes on only after `||`."""


class ScriptError(Exception):
    """A script ended with an error: the line, and why."""


class Surroundings(Protocol):
    """What a script can reach."""

    async def fetch(self, url: str, part: Part, seconds: float | None) -> Image:
        """Return the file at *url*. Raises CommandError."""

    async def dhcp(self) -> None:
        """Ask for a lease again. Raises CommandError."""

    async def pause(self, seconds: float) -> None:
        """Wait. Raises CommandError once it has been too long in all."""

    async def boots_disk(self) -> bool:
        """Whether there is something on the disk to boot."""

    def show(self, text: str) -> None:
        """Show a line on the console."""


def logical_lines(text: str) -> list[str]:
    """Return the script's lines, with those that end in a backslash joined to the next."""
    lines: list[str] = []
    carried = ""
    for line in text.replace("\r\n", "\n").split("\n"):
        if line.endswith("\\"):
            carried += line[:-1]
        else:
            lines.append(carried + line)
            carried = ""
    return [*lines, carried] if carried else lines


def commands_of(line: str) -> list[tuple[str, list[str]]]:
    """Return the commands of a line, each with what joins it to the one before: "", "||", "&&" or ";"."""
    commands: list[tuple[str, list[str]]] = [("", [])]
    for token in line.split():
        if token.startswith("#"):
            break
        if token in ("||", "&&", ";"):
            commands.append((token, []))
        else:
            commands[-1][1].append(token)
    return commands


# Options that take a value; the others are flags. Single letters as iPXE has them.
VALUED = {
    "chain": {"name": "n", "timeout": "t"},
    "kernel": {"name": "n", "timeout": "t"},
    "initrd": {"name": "n", "timeout": "t"},
    "module": {"name": "n", "timeout": "t"},
    "imgfetch": {"name": "n", "timeout": "t"},
    "imgselect": {"name": "n", "timeout": "t"},
    "menu": {"name": "n"},
    "item": {"menu": "m", "key": "k"},
    "choose": {"menu": "m", "default": "d", "timeout": "t"},
    "prompt": {"key": "k", "timeout": "t"},
    "sleep": {},
    "sanboot": {"drive": "d", "filename": "f", "extra": "e", "label": "l", "uuid": "u"},
    "reboot": {},
}
FLAGS = {"g": "gap", "k": "keep", "a": "autofree", "r": "replace", "n": "no-describe"}
# Commands with no other options than these flags. Others take any: what they mean is not seen on the network.
ONLY_FLAGS: dict[str, tuple[str, ...]] = {
    "echo": ("n",),
    **dict.fromkeys(("set", "isset", "iseq", "inc", "goto", "exit", "imgargs", "clear"), ()),
}


def options_of(name: str, arguments: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return a command's options and the rest, as getopt does: options end at the first word that is none.

    Raises CommandError for an option without its value, and for one that is none, as a lone hyphen.
    """
    options: dict[str, str] = {}
    at = 0
    while at < len(arguments) and arguments[at].startswith("-"):
        word = arguments[at]
        at += 1
        if word == "--":
            break
        key, equals, value = _option(name, word)
        if not key or key not in ONLY_FLAGS.get(name, (key,)):
            raise CommandError(f"{word!r} is no option of {name or 'a command'}; text that begins so stands after --")
        if key in VALUED.get(name, {}) and not equals:
            if at == len(arguments):
                raise CommandError(f"--{key} wants a value")
            value = arguments[at]
            at += 1
        options[key] = value
    return options, arguments[at:]


def _option(name: str, word: str) -> tuple[str, str, str]:
    """Return the option that *word* is, by its long name, what joins its value to it, and that value."""
    if word.startswith("--"):
        return word[2:].partition("=")
    by_letter = {letter: long for long, letter in VALUED.get(name, {}).items()}
    if name not in ONLY_FLAGS:
        by_letter = FLAGS | by_letter
    letter = word[1:2]
    return by_letter.get(letter, letter), word[2:3], word[2:]
