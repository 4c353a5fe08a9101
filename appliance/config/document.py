"""A YAML file as text: every scalar as it is spelled, and the line of everything.

YAML 1.1 turns the bare MAC 52:54:00:12:34:56 into 41135085296, 4.10 into 4.1 and
`no` into false. So nothing but an empty value or null is interpreted here.
"""

import re
from dataclasses import dataclass
from typing import TypeAlias

from appliance.errors import Problem

_USUAL_KEY = re.compile(r"[A-Za-z0-9_-]{1,60}")

Path_: TypeAlias = tuple[str | int, ...]
Value: TypeAlias = "str | Block | Items | None"


class Block(dict[str, "Value"]):
    """A mapping; `lines` holds the line of each key, also of those whose value is empty and so not here."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: dict[str, int] = {}
        self.weight = 1


class Items(list["Value"]):
    """A list; `lines` holds the line of each item."""

    def __init__(self, line: int) -> None:
        super().__init__()
        self.line = line
        self.lines: list[int] = []
        self.weight = 1


@dataclass(frozen=True, slots=True)
class Document:
    """One file as it was read. *root* is None when nothing could be made of it; *problems* then says why."""

    file: str
    root: Block | None
    raw: bytes
    problems: tuple[Problem, ...]

    def line_of(self, path: Path_) -> int:
        """Return the line of the value at *path*, or of the nearest thing around it that is there."""
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
        """Whether the key at *path* is written there, if only with nothing behind it."""
        here: Value = self.root
        for part in path[:-1]:
            here = _child(here, part)
        return isinstance(here, Block) and path[-1] in here.lines

    def value_at(self, path: Path_) -> Value:
        """Return what stands at *path*; None where nothing does."""
        here: Value = self.root
        for part in path:
            here = _child(here, part)
        return here


def _child(here: Value, part: str | int) -> Value:
    if isinstance(here, Block) and isinstance(part, str):
        return here.get(part)
    if isinstance(here, Items) and isinstance(part, int) and 0 <= part < len(here):
        return here[part]
    return None


def spell_path(path: Path_) -> str:
    """Return *path* as people write it: hosts[2].macAddress."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{_spell_key(part)}" for part in path)
    return text.removeprefix(".")


def _spell_key(key: str) -> str:
    return key if _USUAL_KEY.fullmatch(key) else describe(key)


def describe(value: object) -> str:
    """Return what stands somewhere, for a message: the text in quotes, or what kind of thing it is."""
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
