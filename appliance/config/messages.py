"""pydantic's errors in the user's words."""

from pydantic_core import ErrorDetails

from appliance.config.document import Document, Path_, describe
from appliance.config.schema import schema_at


def invalid(detail: ErrorDetails, path: Path_, document: Document) -> str:
    """Return what is wrong with the value at *path*, which pydantic refuses with *detail*."""
    found = describe(document.value_at(path))
    match detail["type"]:
        case "value_error":
            return str(detail["ctx"]["error"])
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


def lacking(path: Path_, document: Document) -> str:
    """Return what is wrong with the key at *path*, which has no value or is not there."""
    empty = "has nothing behind it" if document.has_key(path) else "is missing"
    return f"{empty}; write it as {_example(path)}"


def _example(path: Path_) -> str:
    key = str(path[-1])
    examples = schema_at(path).get("examples")
    return f"`{key}: {examples[0]}`" if examples else f"`{key}:` with its entries below it"
