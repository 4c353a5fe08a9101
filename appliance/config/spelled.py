"""What connects a field of a pydantic model to its parser and its JSON Schema."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from appliance.config.document import UNREADABLE, describe


@dataclass(frozen=True, eq=False)  # compared by identity: typing hashes it, and the schema is not hashable
class Spelled:
    """Makes pydantic read an annotated field with *parse*, and describe it with *schema*."""

    parse: Callable[[str], object]
    schema: dict[str, Any]

    def read(self, value: object) -> object:
        """Return what *value* spells, and None for UNREADABLE; raises ValueError."""
        if value is UNREADABLE:
            return None
        if not isinstance(value, str):
            raise ValueError(f"expected a single value, got {describe(value)}" + _as_example(self.schema))  # noqa: TRY004
        return self.parse(value)

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return dict(self.schema)


@dataclass(frozen=True)
class OneOrMany:
    """Accepts one value in place of a list."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(
            lambda value: value if isinstance(value, list) else [value], handler(source)
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        several = handler(schema)
        # The schema of an optional list is a choice between the list and null.
        items = next(choice for choice in [several, *several.get("anyOf", [])] if "items" in choice)
        return {"anyOf": [items["items"], items]}


@dataclass(frozen=True)
class Alone:
    """Accepts a text in place of a mapping with only this *key*."""

    key: str

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_before_validator_function(
            lambda value: {self.key: value} if isinstance(value, str) else value, handler(source)
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "string"}, handler(schema)]}


def _as_example(schema: dict[str, Any]) -> str:
    examples = schema.get("examples", ())
    return f"; for example {examples[0]}" if examples else ""
