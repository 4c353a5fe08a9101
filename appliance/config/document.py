"""A YAML file as text: every scalar as it is spelled, and the line of every value.

YAML 1.1 turns the unquoted MAC address 52:54:00:12:34:56 into 41135085296, 4.10 into
4.1 and `no` into false. So only empty values and null are interpreted here.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from appliance.errors import Problem

_USUAL_KEY = re.compile(r"[A-Za-z0-9_-]{1,60}")

T = TypeVar("T")
V_co = TypeVar("V_co", covariant=True)

Path_: TypeAlias = tuple[str | int, ...]
Value: TypeAlias = "str | Block | Items | None"


class Block(dict[str, "Value"]):
    """A mapping. `lines` has the line of each key, including keys without a value, which are not in the mapping.

    `weight` is the number of values in it, as which each alias of it counts."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}
        self.weight = 1


class Items(list["Value"]):
    """A list. `lines` has the line of each item, and `weight` is as in Block."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: list[int] = []
        self.weight = 1


# Takes the place of a list's entry that cannot be read, so that the entries after it keep their numbers.
# To a section it is an empty mapping, to a single value nothing at all.
UNREADABLE = Block(0)


@dataclass(frozen=True, slots=True)
class Document:
    """One file as it was read. *root* is None if it is not a YAML mapping; *problems* then says why."""

    file: str
    root: Block | None
    raw: bytes
    problems: tuple[Problem, ...]

    def line_of(self, path: Path_) -> int:
        """Return the line of the value at *path*, or of the nearest enclosing value that the file has."""
        here: Value = self.root
        line = 1
        for part in path:
            if isinstance(here, Block) and isinstance(part, str) and part in here.lines:
                line, here = here.lines[part], here.get(part)
            elif isinstance(here, Items) and isinstance(part, int) and part < len(here):
                line, here = here.lines[part], here[part]
            else:
                break
        return line

    def has_key(self, path: Path_) -> bool:
        """Whether the file has the key at *path*, with or without a value."""
        here: Value = self.root
        for part in path[:-1]:
            here = _child(here, part)
        return isinstance(here, Block) and path[-1] in here.lines

    def value_at(self, path: Path_) -> Value:
        """Return the value at *path*; None if there is none."""
        here: Value = self.root
        for part in path:
            here = _child(here, part)
        return here

    def has(self, *path: str | int) -> bool:
        """Whether the file has a value at *path*, readable or not."""
        return self.value_at(path) is not None

    def here(self, *path: str | int) -> "Placed[None]":
        """Return the place *path*, whatever its value."""
        return Placed(None, path, self)

    def at(self, value: T | None, *path: str | int, owner: str = "") -> "Placed[T] | None":
        """Return *value* with its place; None where *value* is None, that is, missing or unreadable."""
        return None if value is None else Placed(value, path, self, owner or spell_path(path))

    def all_at(self, values: Iterable[T | None] | None, *path: str | int, owner: str = "") -> "list[Placed[T]]":
        """Return the readable ones of *values*, each with its place in the list at *path*.

        Where the file has a single value instead of a list, its place is *path* itself.
        """
        if values is None:
            return []
        is_list = isinstance(self.value_at(path), Items)
        found = (
            self.at(value, *path, *((index,) if is_list else ()), owner=owner) for index, value in enumerate(values)
        )
        return [placed for placed in found if placed is not None]


@dataclass(frozen=True, slots=True)
class Placed(Generic[V_co]):
    """A value and its place in a file. *owner* names it in messages about other values, such as "the gateway"."""

    value: V_co
    path: Path_
    document: Document
    owner: str = ""

    def error(self, message: str) -> Problem:
        """Return a problem at this place."""
        return Problem(self.document.file, self.document.line_of(self.path), spell_path(self.path), message)

    def warning(self, message: str) -> Problem:
        """Return a warning at this place."""
        return Problem(self.document.file, self.document.line_of(self.path), spell_path(self.path), message, True)

    def place(self, seen_from: Document) -> str:
        """Return where this is, for a message in *seen_from*: its line there, or file and line."""
        line = self.document.line_of(self.path)
        return f"line {line}" if seen_from is self.document else f"{self.document.file}:{line}"


def _child(here: Value, part: str | int) -> Value:
    if isinstance(here, Block) and isinstance(part, str):
        return here.get(part)
    if isinstance(here, Items) and isinstance(part, int) and 0 <= part < len(here):
        return here[part]
    return None


def spell_path(path: Path_) -> str:
    """Return *path* in its usual notation, such as hosts[2].macAddress."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{_spell_key(part)}" for part in path)
    return text.removeprefix(".")


def _spell_key(key: str) -> str:
    return key if _USUAL_KEY.fullmatch(key) else describe(key)


def describe(value: object) -> str:
    """Return a value as messages show it: a text in quotes, shortened to 60 characters, or the kind of value."""
    match value:
        case None:
            return "nothing"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case _:
            text = str(value)
            shown = text if len(text) <= 60 else f"{text[:57]}..."
            return '"' + "".join(c if c.isprintable() else repr(c)[1:-1] for c in shown) + '"'
