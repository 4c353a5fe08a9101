"""The JSON Schema of cluster.yaml, from the models; its descriptions are the strings below the fields."""

import ast
import inspect
from functools import cache
from typing import Any

from appliance.config import networkconfig, vocabulary

DIALECT = "http://json-schema.org/draft-07/schema#"  # what editors know best


@cache
def json_schema() -> dict[str, Any]:
    """Return the schema as JSON data. One object for all callers: do not change it."""
    schema = vocabulary.ClusterFile.model_json_schema(by_alias=True)
    for module in (vocabulary, networkconfig):
        for title, documented in _documented(inspect.getsource(module)).items():
            model = getattr(module, title)
            target = (
                schema if title == vocabulary.ClusterFile.__name__ else schema["$defs"].get(_name_of(model, schema))
            )
            for attribute, text in documented.items():
                key = model.model_fields[attribute].alias if attribute in model.model_fields else attribute
                if target is not None and key in target["properties"]:
                    target["properties"][key]["description"] = text
    tidied: dict[str, Any] = _tidy(schema)
    return {"$schema": DIALECT, "title": "cluster.yaml of ocp-appliance"} | tidied


def schema_at(path: tuple[str | int, ...]) -> dict[str, Any]:
    """Return the part of the schema for what may stand at *path*; {} where nothing may."""
    here: dict[str, Any] = json_schema()
    for part in path:
        here = schema_below(here, part)
    choices = _choices(here)
    return next((choice for choice in choices if "properties" in choice or "examples" in choice), here)


def schema_below(schema: dict[str, Any], part: str | int) -> dict[str, Any]:
    """Return the part of *schema* for the key or item *part*; {} where there is none."""
    choices = _choices(schema)
    if isinstance(part, int):
        return next((choice["items"] for choice in choices if "items" in choice), {})
    return next((choice["properties"][part] for choice in choices if part in choice.get("properties", {})), {})


def properties_of(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the keys that *schema* knows, each with its schema; {} where any may stand."""
    return next((choice["properties"] for choice in _choices(schema) if "properties" in choice), {})


def _choices(schema: dict[str, Any]) -> list[dict[str, Any]]:
    resolved = [_resolved(choice) for choice in [schema, *schema.get("allOf", []), *schema.get("anyOf", [])]]
    return [schema, *resolved]


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    definition: dict[str, Any] = json_schema()["$defs"][name] if name else schema
    return definition


def _name_of(model: type, schema: dict[str, Any]) -> str:
    # pydantic gives two classes of one name, as Route, names by their modules.
    long_name = f"{model.__module__}__{model.__qualname__}".replace(".", "__")
    return long_name if long_name in schema["$defs"] else model.__name__


def _documented(source: str) -> dict[str, dict[str, str]]:
    """Return class → attribute → the string below it; inherited attributes among them."""
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            bases = [found.get(base.id, {}) for base in node.bases if isinstance(base, ast.Name)]
            texts = {name: text for base in bases for name, text in base.items()}
            for statement, after in zip(node.body, node.body[1:], strict=False):
                if (
                    isinstance(statement, ast.AnnAssign)
                    and isinstance(statement.target, ast.Name)
                    and isinstance(after, ast.Expr)
                    and isinstance(after.value, ast.Constant)
                ):
                    texts[statement.target.id] = str(after.value.value)
            found[node.name] = texts
    return {name: texts for name, texts in found.items() if texts}


def _tidy(node: Any) -> Any:
    """Return *node* without what pydantic adds and nobody reads: titles of fields, null beside a type."""
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    tidied = {key: _tidy(value) for key, value in node.items() if not (key == "title" and isinstance(value, str))}
    if tidied.get("default", ...) is None:
        del tidied["default"]
    if "anyOf" in tidied:
        choices = [choice for choice in tidied["anyOf"] if choice != {"type": "null"}]
        # An array of arrays of choices: what OneOrMany makes of an optional list.
        tidied["anyOf"] = choices
        if len(choices) == 1:
            del tidied["anyOf"]
            tidied = choices[0] | tidied
    return tidied
