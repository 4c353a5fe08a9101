"""pydantic's errors in the user's words."""

from pydantic_core import ErrorDetails

from appliance.config.document import Document, Path_, describe
from appliance.config.schema import schema_at


def invalid(detail: ErrorDetails, path: Path_, document: Document) -> str:
    """Return what is wrong with the value at *path*, which pydantic rejects with *detail*."""
    found = describe(document.value_at(path))
    match detail["type"]:
        case "value_error":
            return str(detail["ctx"]["error"])
        case "too_short":
            return "is an empty list; add at least one entry"
        case "tuple_type" | "list_type":
            return f'expected a list, got {found}; start each item with "- "'
        case "model_type" | "model_attributes_type" | "dict_type" | "dataclass_type":
            return f'expected a mapping, got {found}; write each "key: value" on a line of its own'
        case "literal_error":
            return f"expected {detail['ctx']['expected'].strip(chr(39))}, got {found}"
        case _:
            return f"{found} is not valid: {detail['msg']}"


def lacking(path: Path_, document: Document) -> str:
    """Return what is wrong with the key at *path*, which is missing or has no value."""
    empty = "has no value" if document.has_key(path) else "is missing"
    return f"{empty}; {_example(path)}"


def _example(path: Path_) -> str:
    key = str(path[-1])
    examples = schema_at(path).get("examples")
    return f"for example `{key}: {examples[0]}`" if examples else f"write `{key}:`, and its keys indented below it"
