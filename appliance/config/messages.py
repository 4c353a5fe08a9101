"""Pydantic's errors, each at its line and in the operator's words."""

from collections.abc import Iterable, Iterator

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from appliance.config.document import Block, Document, Path_, Value, describe, spell_path
from appliance.config.keys import FOREIGN, unknown_key, unread_keys
from appliance.config.schema import schema_at
from appliance.errors import Problem


def without_foreign(document: Document) -> tuple[dict[str, Value], list[Problem]]:
    """Return the document's mapping without keys that only its neighbours read, and a warning for each of those."""
    kept: dict[str, Value] = dict(document.root or {})
    networking = kept.get("networking")
    if isinstance(networking, Block):
        kept["networking"] = inner = Block(networking.line)
        inner.update((key, value) for key, value in networking.items() if f"networking.{key}" not in FOREIGN)
        passed_over: list[Path_] = [("networking", key) for key in networking.lines if f"networking.{key}" in FOREIGN]
    else:
        passed_over = []
    passed_over += [(key,) for key in (document.root.lines if document.root else ()) if key in FOREIGN]
    warnings = [
        Problem(
            document.file,
            document.line_of(path),
            spell_path(path),
            f"is not read here: {FOREIGN[spell_path(path)]}",
            True,
        )
        for path in passed_over
    ]
    return {key: value for key, value in kept.items() if key not in FOREIGN}, warnings


def problems_of(error: ValidationError | None, document: Document) -> Iterator[Problem]:
    """Yield the problems that *error* tells of *document*, and the unknown keys that validation does not see."""
    details = error.errors(include_url=False, include_input=False) if error else []
    paths = [*unread_keys(document), *(detail["loc"] for detail in details if detail["type"] == "extra_forbidden")]
    unknown = {path: unknown_key(path, document) for path in paths}
    for path, key in unknown.items():
        yield Problem(document.file, document.line_of(path), spell_path(path), key.message)
    meant = {key.meant for key in unknown.values()}
    for detail in details:
        if detail["type"] == "extra_forbidden" or (detail["type"] == "missing" and detail["loc"] in meant):
            continue  # told above, at the key that was meant to be this one
        path = _path(detail["loc"], document)
        if detail["type"] == "too_short" and document.value_at(path):
            continue  # the list has entries, and each of them has a problem of its own
        is_in_mapping = isinstance(document.value_at(path), dict)
        key_path = (*path, detail["loc"][len(path)]) if is_in_mapping and len(path) < len(detail["loc"]) else path
        message = _message(detail, key_path, document)
        yield Problem(document.file, document.line_of(path), spell_path(key_path), message)


def _path(loc: Iterable[str | int], document: Document) -> Path_:
    """Return as much of pydantic's *loc* as is written in the document (one value may stand for a list of it)."""
    path: Path_ = ()
    for part in loc:
        longer = (*path, part)
        is_there = document.has_key(longer) if isinstance(part, str) else _is_item(longer, document)
        if not is_there:
            break
        path = longer
    return path


def _is_item(path: Path_, document: Document) -> bool:
    items, index = document.value_at(path[:-1]), path[-1]
    return isinstance(items, list) and isinstance(index, int) and index < len(items)


def _message(detail: ErrorDetails, path: Path_, document: Document) -> str:
    """Return what is wrong at *path*."""
    found = describe(document.value_at(path))
    match detail["type"]:
        case "value_error":
            return str(detail["ctx"]["error"])
        case "missing":
            empty = "has nothing behind it" if document.has_key(path) else "is missing"
            return f"{empty}; write it as {_example(path)}"
        case "too_short":
            return "is an empty list; at least one entry belongs here"
        case "tuple_type" | "list_type":
            return f"{found} stands here; write a list, each entry behind a `- `"
        case "model_type" | "model_attributes_type" | "dict_type" | "dataclass_type":
            return f"{found} stands here; write a mapping, `key: value` on lines of their own"
        case "literal_error":
            return f"{found} is not known here; write {detail['ctx']['expected'].strip(chr(39))}"
        case _:
            return f"{found} is not right here: {detail['msg']}"


def _example(path: Path_) -> str:
    key = str(path[-1])
    examples = schema_at(path).get("examples")
    return f"`{key}: {examples[0]}`" if examples else f"`{key}:` with its entries below it"
