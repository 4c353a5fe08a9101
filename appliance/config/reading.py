"""From a file to its tree: every scalar as it is spelled, every key once; size, depth and count are bounded.

The tree is built from parser events, which keep lines and spelling. yaml.compose
keeps them too, but libyaml's recurses in C, and a file of nothing but brackets crashes it.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from appliance.config.document import Block, Document, Items, Value, describe, spell_path
from appliance.errors import Problem

MAX_FILE_BYTES = 4 << 20  # twenty times the size of a file of 1,000 hosts
MAX_DEPTH = 32  # networkConfig, the deepest section, needs 9
TOO_DEEP = f"is nested deeper than {MAX_DEPTH} levels; is a bracket still open?"
MAX_VALUES = 200_000  # 1,000 hosts with a networkConfig each have 60,000; an alias counts as all values of its anchor

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TEXT_TAGS = frozenset({None, "!", "tag:yaml.org,2002:str"})
# YAML 1.1 section 5.1, less the surrogates, which UTF-8 cannot carry.
_NOT_PRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# libyaml reads 1,000 hosts in 30 ms, the parser in Python in 900 ms.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(path: Path) -> Document:
    """Return the document in *path*, with the problems of its text. Raises nothing."""
    file = str(path)
    try:
        raw = _read_bytes(path)
        text = _decode(raw)
        reader = _Reader(file)
        root = reader.document(text)
    except _UnusableError as error:
        return Document(file, None, b"", (Problem(file, error.line, "", error.message),))
    return Document(file, root, raw, tuple(reader.problems))


class _UnusableError(Exception):
    """The file as a whole cannot be used."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


def _read_bytes(path: Path) -> bytes:
    try:
        # open() would wait forever on a FIFO without a writer; with O_NONBLOCK it reads as empty.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            os.set_blocking(file.fileno(), True)
            raw = file.read(MAX_FILE_BYTES + 1)
    except IsADirectoryError as error:
        raise _UnusableError(0, "is a directory; name the cluster.yaml in it") from error
    except FileNotFoundError as error:
        raise _UnusableError(0, "not found; give the path of a cluster.yaml") from error
    except PermissionError as error:
        raise _UnusableError(0, "permission denied; run `chmod a+r` on it, or run this command as its owner") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _UnusableError(0, f"cannot be read: {reason}") from error
    if len(raw) > MAX_FILE_BYTES:
        raise _UnusableError(0, f"is larger than {MAX_FILE_BYTES >> 20} MiB; a cluster.yaml of 1,000 hosts has 200 kB")
    return raw


def _decode(raw: bytes) -> str:
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _UnusableError(
            line, f"is not UTF-8 text: byte 0x{raw[error.start]:02x} at offset {error.start}; save it as UTF-8"
        ) from error
    if odd := _NOT_PRINTABLE.search(text):
        line = text.count("\n", 0, odd.start()) + 1
        raise _UnusableError(line, f"contains the character U+{ord(odd[0]):04X}, which YAML does not allow")
    return text


@dataclass(slots=True)
class _Reader:
    """Builds the tree from parser events; keeps the path of the current value, for messages about duplicate keys."""

    file: str
    problems: list[Problem] = field(default_factory=list)
    path: list[str | int] = field(default_factory=list)
    anchors: dict[str, Value] = field(default_factory=dict)
    weight: int = 0

    def document(self, text: str) -> Block:
        events = yaml.parse(text, Loader=_LOADER)
        try:
            return self._document(events)
        except yaml.MarkedYAMLError as error:
            raise _syntax_error(error, text) from error
        except yaml.YAMLError as error:
            raise _UnusableError(1, f"is not YAML: {error}") from error

    def _document(self, events: Iterator[yaml.Event]) -> Block:
        root: Value = None
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _UnusableError(
                        _line(event),
                        "a second YAML document begins here; use one file for each cluster",
                    )
            elif isinstance(event, yaml.NodeEvent):
                root = self._value(event, events)
        if root is None:
            raise _UnusableError(0, "is empty; begin with `baseDomain:`, or copy an example from data/")
        if not isinstance(root, Block):
            raise _UnusableError(
                1, f"expected a mapping, got {describe(root)}; a cluster.yaml has keys such as `baseDomain:`"
            )
        return root

    def _value(self, event: yaml.Event, events: Iterator[yaml.Event]) -> Value:
        line = _line(event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event.anchor or "", line)
        value: Value
        if isinstance(event, yaml.ScalarEvent):
            if event.tag not in _TEXT_TAGS:
                self._note(line, f"the tag {event.tag} is not supported; remove it")
            value = None if _is_plain(event) and event.value in _NULLS else event.value
            self._weigh(1, line)
        else:
            if len(self.path) >= MAX_DEPTH:
                raise _UnusableError(line, TOO_DEEP)
            before = self.weight
            self._weigh(1, line)
            build = self._block if isinstance(event, yaml.MappingStartEvent) else self._items
            value = build(line, events)
            value.weight = self.weight - before
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            self.anchors[event.anchor] = value
        return value

    def _alias(self, anchor: str, line: int) -> Value:
        if anchor not in self.anchors:
            raise _UnusableError(line, f"*{anchor} has no complete &{anchor} above it; define &{anchor} first")
        value = self.anchors[anchor]
        # The values of an anchor are visited again for each alias: nine levels of nine make 400 million.
        self._weigh(value.weight if isinstance(value, Block | Items) else 1, line)
        return value

    def _weigh(self, values: int, line: int) -> None:
        self.weight += values
        if self.weight > MAX_VALUES:
            raise _UnusableError(line, f"has more than {MAX_VALUES:,} values, with every alias counted in full")

    def _items(self, line: int, events: Iterator[yaml.Event]) -> Items:
        items = Items(line)
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            self.path.append(len(items))
            items.lines.append(_line(event))
            items.append(self._value(event, events))
            self.path.pop()
        return items

    def _block(self, line: int, events: Iterator[yaml.Event]) -> Block:
        block = Block(line)
        merged: list[Block] = []
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            key_line = _line(event)
            key = self._key(event, events)
            is_merge = key == "<<" and isinstance(event, yaml.ScalarEvent) and _is_plain(event)
            is_duplicate = not is_merge and key is not None and key in block.lines
            self.path.append(key or "")
            if is_duplicate:
                first = block.lines[key or ""]
                self._note(key_line, f"duplicate key (first on line {first}); keep one of them")
            value = self._value(next(events), events)
            if is_merge:
                merged += self._merge_sources(value, key_line)
            elif key is not None and not is_duplicate:
                block.lines[key] = key_line
                if value is not None:
                    block[key] = value
            self.path.pop()
        for source in merged:
            for key, value in source.items():
                if key not in block.lines:
                    block[key], block.lines[key] = value, source.lines[key]
        return block

    def _key(self, event: yaml.Event, events: Iterator[yaml.Event]) -> str | None:
        if isinstance(event, yaml.ScalarEvent):
            self._weigh(1, _line(event))
            return event.value
        self.path.append("?")
        value = self._value(event, events)
        self.path.pop()
        if isinstance(value, str):
            return value
        self._note(_line(event), f"expected a key, got {describe(value)}; a key is a word")
        return None

    def _merge_sources(self, value: Value, line: int) -> list[Block]:
        sources = value if isinstance(value, Items) else [value]
        blocks = [source for source in sources if isinstance(source, Block)]
        if len(blocks) != len(sources):
            self._note(line, "<< merges the keys of a mapping; write `<<: *name`, and &name before a mapping above")
        return blocks

    def _note(self, line: int, message: str) -> None:
        self.problems.append(Problem(self.file, line, spell_path(tuple(self.path)), message))


def _is_plain(event: yaml.ScalarEvent) -> bool:
    return not event.style  # libyaml says "", the parser in Python None


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _syntax_error(error: yaml.MarkedYAMLError, text: str) -> _UnusableError:
    """Return the error that says what the parser refused, where, and the usual cause."""
    problem = (error.problem or "it cannot be parsed").replace("\n", " ")
    last = text.rstrip().count("\n") + 1
    # A missing closing quote or bracket is noticed at the end of the file; report where it was opened.
    noticed = _mark_line(error.problem_mark or error.context_mark)
    begun = _mark_line(error.context_mark or error.problem_mark)
    line = min(noticed, last)
    if "maximum nesting depth" in problem:  # libyaml looks ahead, and has a bound of its own
        return _UnusableError(line, TOO_DEEP)
    if "end of stream" in problem:
        line, remedy = begun, "the quote that opens here is never closed"
    elif "could not find expected ':'" in problem:
        line, remedy = begun, "write `key: value`, with a space after the colon"
    elif error.context in {"while parsing a flow sequence", "while parsing a flow mapping"}:
        line = begun if noticed > last else line
        where = "here" if line == begun else f"on line {begun}"
        remedy = f"is the bracket that opens {where} closed, and is there a comma between the entries?"
    elif "cannot start any token" in problem:
        remedy = "YAML indents with spaces, not tabs, and a value that begins with @ ` or % needs quotes"
    elif "mapping values are not allowed" in problem:
        remedy = (
            "is the indentation wrong, does a value contain `: ` without quotes, or does the line above lack a colon?"
        )
    elif "expected" in problem:
        remedy = "is the indentation wrong, or a quote or bracket still open above?"
    else:
        remedy = "check this line and the one above it"
    return _UnusableError(line, f"is not YAML: {problem}; {remedy}")


def _mark_line(mark: yaml.Mark | None) -> int:
    return mark.line + 1 if mark else 1
