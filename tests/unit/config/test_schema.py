"""The JSON Schema of cluster.yaml, and docs/cluster-yaml.md, which agrees with it."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args, get_origin

import jsonschema
import pytest
import yaml
from pydantic import BaseModel

from appliance.config.schema import json_schema, schema_at
from appliance.config.spelled import OneOrMany
from appliance.config.vocabulary import ClusterFile
from tests.config_files import CLEAN, check_text, edited, spelled

MANUAL = (Path(__file__).parents[3] / "docs" / "cluster-yaml.md").read_text()


def properties(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the path of each property, its key and its schema."""
    for name, part in [("", schema), *schema.get("$defs", {}).items()]:
        for key, value in part.get("properties", {}).items():
            yield f"{name}.{key}".removeprefix("."), key, value


def leaves(schema: Any) -> Iterator[dict[str, Any]]:
    """Yield every mapping in *schema*."""
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from leaves(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from leaves(value)


def test_schema_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(json_schema())


def test_every_key_has_a_description() -> None:
    assert [way for way, _, schema in properties(json_schema()) if not schema.get("description")] == []


def test_descriptions_are_each_key_s_own() -> None:
    assert schema_at(("hosts", 0, "networkConfig", "routes", "config", 0, "destination"))["description"] == (
        "The destination network; 0.0.0.0/0 is the default route."
    )


def test_examples_satisfy_their_own_schema() -> None:
    for schema in leaves(json_schema()):
        for example in schema.get("examples", []) if "type" in schema else []:
            jsonschema.validate(example, schema, jsonschema.Draft7Validator)


def test_no_key_may_be_null() -> None:
    assert [schema for schema in leaves(json_schema()) if schema.get("type") == "null"] == []


def test_words_are_enums() -> None:
    assert schema_at(("hosts", 0, "role"))["enum"] == ["bootstrap", "master", "arbiter", "worker", "infra", "other"]


def test_unknown_keys_are_refused_everywhere() -> None:
    objects = [schema for schema in leaves(json_schema()) if "properties" in schema]

    assert [schema for schema in objects if schema.get("additionalProperties") is not False] == []


@pytest.mark.parametrize("mac", ["52:54:00:12:34:56", "52-54-00-12-34-56", "5254.0012.3456", "525400123456"])
def test_pattern_of_macs_takes_every_spelling(mac: str) -> None:
    choices = schema_at(("hosts", 0))["properties"]["macAddress"]

    jsonschema.validate(mac, choices, jsonschema.Draft7Validator)
    jsonschema.validate([mac], choices, jsonschema.Draft7Validator)


def lists_of_values(model: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[tuple[type[BaseModel], str]]:
    """Yield the model and name of each field below *model* that is a list of strings."""
    if model in seen:
        return
    seen.add(model)
    for name, field in model.model_fields.items():
        parts = [field.annotation, *get_args(field.annotation)]
        items = [part for each in parts if get_origin(each) is tuple for part in get_args(each)[:1]]
        for part in [*parts, *items]:
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from lists_of_values(part, seen)
        if any(not (isinstance(item, type) and issubclass(item, BaseModel)) for item in items):
            yield model, name


def test_one_value_may_stand_for_every_list_of_values() -> None:
    lists = list(lists_of_values(ClusterFile, set()))
    alone = [
        f"{model.__name__}.{name}"
        for model, name in lists
        if not any(isinstance(each, OneOrMany) for each in model.model_fields[name].metadata)
    ]

    assert alone == []
    assert len(lists) > 15


ONE_VALUE = [
    "additionalNTPSources: 192.0.2.60",
    "roles: {master: {kernelArguments: quiet}}",
    "dhcp: {search: example.com}",
    "listen: {dns: 192.0.2.5}",
]


@pytest.mark.parametrize("lines", ONE_VALUE)
def test_one_value_is_read_as_a_list_of_it(tmp_path: Path, lines: str) -> None:
    text = f"{CLEAN}{lines}\n"
    jsonschema.validate(yaml.load(text, yaml.BaseLoader), json_schema(), jsonschema.Draft7Validator)

    assert check_text(tmp_path, text).problems == ()


def test_one_value_is_what_a_list_of_it_is(tmp_path: Path) -> None:
    single = edited(
        ("forwarders: [198.51.100.53]", "forwarders: 198.51.100.53\n  allowRecursion: 192.0.2.0/24"),
        ("    - 172.30.0.0/16\n", ""),
        ("serviceNetwork:", "serviceNetwork: 172.30.0.0/16"),
        ("gateway: 192.0.2.1\n", "gateway: 192.0.2.1\n      dnsServers: 192.0.2.7\n      ntp: 192.0.2.8\n"),
    )
    several = edited(
        ("53]", "53]\n  allowRecursion: [192.0.2.0/24]"),
        ("gateway: 192.0.2.1\n", "gateway: 192.0.2.1\n      dnsServers: [192.0.2.7]\n      ntp: [192.0.2.8]\n"),
    )
    (first,), (second,) = check_text(tmp_path, single).clusters, check_text(tmp_path, several).clusters

    assert replace(first, digest="") == replace(second, digest="")


def test_manual_has_every_key() -> None:
    spans = re.findall(r"`([^`\n]+)`|^#+ (.*)$", MANUAL, re.MULTILINE)
    words = {word for span in spans for word in re.findall(r"[\w-]+", "".join(span))}

    assert [way for way, key, _ in properties(json_schema()) if key not in words] == []


def test_manual_has_no_key_that_is_not_there() -> None:
    rows = re.findall(r"(?m)^\| (`[^|]+) \|", MANUAL)
    keys = {name.rpartition(".")[2] for row in rows for name in re.findall(r"`([\w.\-]+)`", row)}
    known = {key for _, key, _ in properties(json_schema())}

    assert keys - known == set()


def manual_file() -> str:
    """Return the first complete file in the manual."""
    blocks: list[str] = re.findall(r"```yaml\n(.*?)```", MANUAL, re.DOTALL)
    return next(block for block in blocks if "hosts:" in block)


def test_least_file_of_the_manual_is_right(tmp_path: Path) -> None:
    assert check_text(tmp_path, manual_file()).problems == ()


def test_problems_that_the_manual_shows_are_those_that_are_reported(tmp_path: Path) -> None:
    text = edited(
        ("52:54:00:10:00:21", "52:54:00:10:00"),
        ("192.0.2.22", "192.0.3.22"),
        ("address: 192.0.2.23", "adress: 192.0.2.23"),
        text=manual_file(),
    )
    shown = re.findall(r"(?m)^cluster\.yaml:\d+: .*$", MANUAL)

    assert spelled(tmp_path, check_text(tmp_path, text)) == shown


def test_modeline_of_the_manual_names_the_schema() -> None:
    assert "\n# yaml-language-server: $schema=cluster.schema.json\n" in MANUAL
