"""The JSON Schema of cluster.yaml, made from the models. Descriptions are the strings below the fields."""

import ast
import inspect
from functools import cache
from typing import Any

from appliance.config import nmstate, vocabulary
from appliance.config.foreign import silent_keys

FOREIGN_KEY = "Accepted from a copy of install-config.yaml or agent-config.yaml, and not used."
DIALECT = "http://json-schema.org/draft-07/schema#"  # the version that editors support best


@cache
def json_schema() -> dict[str, Any]:
    """Return the schema as JSON data. All callers get the same object: do not change it."""
    schema = vocabulary.ClusterFile.model_json_schema(by_alias=True)
    for module in (vocabulary, nmstate):
        for title, documented in _documented(inspect.getsource(module)).items():
            model = getattr(module, title)
            target = schema if title == vocabulary.ClusterFile.__name__ else schema["$defs"].get(title)
            for attribute, text in documented.items():
                key = model.model_fields[attribute].alias if attribute in model.model_fields else attribute
                if target is not None and key in target["properties"]:
                    target["properties"][key]["description"] = text
    tidied: dict[str, Any] = _tidy(schema)
    for steps in silent_keys():
        section = tidied
        for step in steps[:-1]:
            section = _below(tidied, section, 0 if step == "[]" else step)
        properties_of(section, tidied)[steps[-1]] = {"description": FOREIGN_KEY}
    return {"$schema": DIALECT, "title": "cluster.yaml of ocp-appliance"} | tidied


def schema_at(path: tuple[str | int, ...]) -> dict[str, Any]:
    """Return the part of the schema for the value at *path*; {} if that path is not allowed."""
    here: dict[str, Any] = json_schema()
    for part in path:
        here = schema_below(here, part)
    choices = _choices(json_schema(), here)
    return next((choice for choice in choices if "properties" in choice or "examples" in choice), here)


def schema_below(schema: dict[str, Any], part: str | int) -> dict[str, Any]:
    """Return the part of *schema* for the key or item *part*; {} where there is none."""
    return _below(json_schema(), schema, part)


def properties_of(schema: dict[str, Any], root: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the keys that *schema*, a part of *root*, knows, each with its schema; {} where any key is allowed."""
    choices = _choices(root or json_schema(), schema)
    return next((choice["properties"] for choice in choices if "properties" in choice), {})


def _below(root: dict[str, Any], schema: dict[str, Any], part: str | int) -> dict[str, Any]:
    choices = _choices(root, schema)
    if isinstance(part, int):
        return next((choice["items"] for choice in choices if "items" in choice), {})
    return next((choice["properties"][part] for choice in choices if part in choice.get("properties", {})), {})


def _choices(root: dict[str, Any], schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Return *schema* and each form that it allows, references resolved in *root*."""
    forms = [schema, *schema.get("allOf", []), *schema.get("anyOf", [])]
    return [schema, *(_resolved(root, form) for form in forms)]


def _resolved(root: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    definition: dict[str, Any] = root["$defs"][name] if name else schema
    return definition


def _documented(source: str) -> dict[str, dict[str, str]]:
    """Return class → attribute → the string below it, with inherited attributes."""
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
    """Return *node* without pydantic's superfluous additions: titles of fields, and null beside a type."""
    if isinstance(node, list):
        return [_tidy(item) for item in node]
    if not isinstance(node, dict):
        return node
    tidied = {key: _tidy(value) for key, value in node.items() if not (key == "title" and isinstance(value, str))}
    if tidied.get("default", ...) is None:
        del tidied["default"]
    if "anyOf" in tidied:
        choices = [choice for choice in tidied["anyOf"] if choice != {"type": "null"}]
        tidied["anyOf"] = choices
        # Without null, a single choice may be left.
        if len(choices) == 1:
            del tidied["anyOf"]
            tidied = choices[0] | tidied
    return tidied
