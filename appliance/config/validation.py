"""A document validated against the vocabulary: the values that can be read, and a problem for everything else.

pydantic returns either all values or none, so it runs a second time where it
found errors, on the same tree without the values that it rejected. Needed keys
have defaults (see `sections`), so the second run always succeeds.
"""

from collections.abc import Collection, Iterable, Iterator

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from appliance.config.document import UNREADABLE, Block, Document, Items, Path_, Value, spell_path
from appliance.config.foreign import foreign_places
from appliance.config.keys import unknown_key, unread_keys
from appliance.config.messages import invalid, lacking
from appliance.config.sections import missing
from appliance.config.vocabulary import ClusterFile
from appliance.errors import Problem


def validated(document: Document) -> tuple[ClusterFile, list[Problem]]:
    """Return the values of *document* as far as they can be read, and what is wrong with the others."""
    foreign = dict(foreign_places(document))
    kept = _without(document.root, set(foreign))
    try:
        file, details = ClusterFile.model_validate(kept), []
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        refused = {_place(detail, document) for detail in details if not _is_of_entries(detail, document)}
        file = ClusterFile.model_validate(_without(kept, refused))
    problems = [_warning(document, path, warning) for path, warning in foreign.items() if warning]
    problems += _problems(details, file, document)
    return file, problems


def _without(here: Value, paths: Collection[Path_]) -> Value:
    """Return *here* without the values at *paths*; an entry of a list is replaced by UNREADABLE."""
    if not paths:
        return here
    below: dict[str | int, set[Path_]] = {}
    for path in paths:
        below.setdefault(path[0], set()).add(path[1:])
    if isinstance(here, Block):
        block = Block(here.line)
        for key, value in here.items():
            if () not in below.get(key, ()):
                block[key] = _without(value, below.get(key, ()))
        return block
    if isinstance(here, Items):
        items = Items(here.line)
        items += [
            UNREADABLE if () in below.get(index, ()) else _without(value, below.get(index, ()))
            for index, value in enumerate(here)
        ]
        return items
    return here


def _problems(details: Iterable[ErrorDetails], file: ClusterFile, document: Document) -> Iterator[Problem]:
    def problem(path: Path_, message: str) -> Problem:
        return Problem(document.file, document.line_of(path), spell_path(path), message)

    extra = [detail["loc"] for detail in details if detail["type"] == "extra_forbidden"]
    # pydantic gets only keys with values, so it does not report unknown keys without one.
    unknown = {path: unknown_key(path, document) for path in (*unread_keys(document), *extra)}
    for path, key in unknown.items():
        yield problem(path, key.message)
    refused = set()
    for detail in details:
        if detail["type"] != "extra_forbidden" and not _is_of_entries(detail, document):
            path = _place(detail, document)
            refused.add(path)
            yield problem(path, invalid(detail, path, document))
    meant = {key.meant for key in unknown.values()}
    for path in missing(file):
        # A value that was rejected is not missing, nor is a key that is only misspelled.
        is_reported = path in meant or any(path[:length] in refused for length in range(1, len(path) + 1))
        if not is_reported:
            yield problem(path, lacking(path, document))


def _is_of_entries(detail: ErrorDetails, document: Document) -> bool:
    """Whether a list is too short only because each of its entries has an error of its own."""
    return detail["type"] == "too_short" and bool(document.value_at(_place(detail, document)))


def _place(detail: ErrorDetails, document: Document) -> Path_:
    """Return as much of pydantic's path as the document has: a single value may stand for a list of it."""
    path: Path_ = ()
    for part in detail["loc"]:
        longer = (*path, part)
        is_there = document.has_key(longer) if isinstance(part, str) else _is_item(longer, document)
        if not is_there:
            break
        path = longer
    return path


def _is_item(path: Path_, document: Document) -> bool:
    items, index = document.value_at(path[:-1]), path[-1]
    return isinstance(items, list) and isinstance(index, int) and index < len(items)


def _warning(document: Document, path: Path_, message: str) -> Problem:
    return document.here(*path).warning(message)
