"""The text of an iPXE script, and what running it needs and results in (iPXE src/core/exec.c, src/image/script.c).

As in iPXE, a line is split at white space only; there is no quoting.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

SCRIPT_MAGIC = (b"#!ipxe", b"#!gpxe")


class Part(StrEnum):
    """The purpose that a file is fetched for."""

    SCRIPT = "script"
    KERNEL = "kernel"
    INITRD = "initrd"


@dataclass(frozen=True, slots=True)
class IpxeImage:
    """A file that iPXE has fetched."""

    name: str  # the name for `initrd=`
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
    WAITS = "waits"  # waits for a user at the console, forever


@dataclass(frozen=True, slots=True)
class Ending:
    """What iPXE does when its script has ended."""

    how: How
    status: int = 0  # of exit
    kernel: IpxeImage | None = None
    initrds: tuple[IpxeImage, ...] = ()
    text: str = ""
    hands_initrd_over: bool = False  # the loader itself passes the initrds to the kernel; iPXE needs initrd= for that


class CommandError(Exception):
    """A command failed; the script continues only after `||`."""


class ScriptError(Exception):
    """A script ended with an error; the text gives the line and the reason."""


class Surroundings(Protocol):
    """The environment of a script."""

    async def fetch(self, url: str, part: Part, seconds: float | None) -> IpxeImage:
        """Return the file at *url*. Raises CommandError."""

    async def dhcp(self) -> None:
        """Request a lease again. Raises CommandError."""

    async def pause(self, seconds: float) -> None:
        """Wait. Raises CommandError once the total is too long."""

    async def boots_disk(self) -> bool:
        """Whether the disk has something to boot."""

    def show(self, text: str) -> None:
        """Show a line on the console."""


def logical_lines(text: str) -> list[str]:
    """Return the script's lines; a line that ends in a backslash is joined to the next."""
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
    """Return the commands of a line, each with the operator before it: "", "||", "&&" or ";"."""
    commands: list[tuple[str, list[str]]] = [("", [])]
    for token in line.split():
        if token.startswith("#"):
            break
        if token in ("||", "&&", ";"):
            commands.append((token, []))
        else:
            commands[-1][1].append(token)
    return commands


# Options that take a value; the others are flags. The single letters are iPXE's.
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
# Commands with no options but these flags. All others accept any option: their effect is not visible on the network.
ONLY_FLAGS: dict[str, tuple[str, ...]] = {
    "echo": ("n",),
    **dict.fromkeys(("set", "isset", "iseq", "inc", "goto", "exit", "imgargs", "clear"), ()),
}


def options_of(name: str, arguments: list[str]) -> tuple[dict[str, str], list[str]]:
    """Return a command's options and the remaining words, as getopt does: options end at the first other word.

    Raises CommandError for an option without its value and for an unknown option, such as a lone hyphen.
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
            raise CommandError(
                f"{word!r} is not an option of {name or 'a command'}; write -- before text that begins with a hyphen"
            )
        if key in VALUED.get(name, {}) and not equals:
            if at == len(arguments):
                raise CommandError(f"--{key} requires a value")
            value = arguments[at]
            at += 1
        options[key] = value
    return options, arguments[at:]


def _option(name: str, word: str) -> tuple[str, str, str]:
    """Return the long name of the option *word*, what joins its value to it, and that value."""
    if word.startswith("--"):
        return word[2:].partition("=")
    by_letter = {letter: long for long, letter in VALUED.get(name, {}).items()}
    if name not in ONLY_FLAGS:
        by_letter = FLAGS | by_letter
    letter = word[1:2]
    return by_letter.get(letter, letter), word[2:3], word[2:]
