"""Encoding an installation as text, and decoding it."""

import json
import zlib
from dataclasses import fields, replace

import pytest

from appliance.install.installation import Installation, Recipe
from appliance.state.encoding import UNREADABLE, decoded, encoded, is_intact
from tests.state_examples import FULL


def test_example_holds_no_default():
    default = Installation("")
    assert [field.name for field in fields(FULL) if getattr(FULL, field.name) == getattr(default, field.name)] == []
    recipe, without = FULL.recipe, default.recipe
    assert [field.name for field in fields(recipe) if getattr(recipe, field.name) == getattr(without, field.name)] == []


def test_installation_of_an_appliance_without_recipes_is_read():
    text = encoded(replace(FULL, recipe=Recipe()))
    assert "recipe" not in text
    assert decoded(text).recipe == Recipe()


def test_installation_of_an_appliance_without_a_load_balancer_is_read():
    known = encoded(replace(FULL, balancer={}, reinstalled_at=None, bootstrapped_at=None, bootstrapped_by=""))
    document = json.loads(known)
    for name in ("sum", "reinstalled_at", "bootstrapped_at", "bootstrapped_by"):
        del document[name]
    assert "balancer" not in document
    text = json.dumps(document)[:-1]
    assert decoded(f'{text}, "sum": "{zlib.crc32(text.encode()):08x}"}}') == decoded(known)


def test_order_of_a_newer_appliance_is_kept():
    record = replace(FULL, balancer={"api-6443": "half"})
    assert decoded(encoded(record)) == record


def test_every_field_of_an_installation_is_kept():
    assert decoded(encoded(FULL)) == FULL


def test_installation_of_a_newer_appliance_is_read_as_far_as_it_is_known():
    text = encoded(FULL)[: -len(', "sum": "01234567"}')] + ', "phase": {"moon": 1}'
    assert decoded(f'{text}, "sum": "{zlib.crc32(text.encode()):08x}"}}') == FULL


def test_installation_of_an_appliance_without_checksums_is_read():
    assert decoded(encoded(FULL)[: -len(', "sum": "01234567"}')] + "}") == FULL


@pytest.mark.parametrize("changed", ['"stage": 1', '"number": 2', '"sun"'])
def test_installation_that_is_not_as_it_was_written_is_refused(changed):
    original = {'"stage": 1': '"stage": 7', '"number": 2': '"number": 3', '"sun"': '"sum"'}[changed]
    text = encoded(FULL)
    assert original in text
    with pytest.raises(ValueError, match="damaged"):
        decoded(text.replace(original, changed))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        '{"host": 1}',
        '{"host": "a", "stage": 99}',
        '{"host": "a", "stage": true}',
        '{"host": "a", "order": "wipe"}',
        '{"host": "a", "number": -1}',
        '{"host": "a", "balancer": {"": 1}}',
        '{"host": "a", "balancer": ["maint"]}',
        '{"host": "a", "number": 1e3}',
        '{"host": "a", "is_held": 1}',
        '{"host": "a", "ready_at": NaN}',
        '{"host": "a", "ready_at": 1e999}',
        '{"host": "a", "reached": 7}',
        '{"host": "a", "reached": {"1": "x"}}',
        '{"host": "a", "repeats": {"x": null}}',
        '{"host": "a", "condition": ["x"]}',
        '{"host": "a", "doubt": 7}',
        '{"host": "a", "recipe": 7}',
        '{"host": "a", "recipe": {"loads": "1"}}',
        '{"host": "a", "recipe": {"is_refused": 1}}',
        '{"host": "a", "recipe": {"loaded_at": NaN}}',
        '{"host": "a", "recipe": {"loader": null}}',
        '{"host": "a", "unknown": 7}',
    ],
)
def test_text_that_is_not_an_installation_is_refused(text):
    with pytest.raises(UNREADABLE):
        decoded(text)


def test_record_of_another_place_is_not_intact():
    assert is_intact(FULL.host, FULL.number, encoded(FULL))
    assert not is_intact("m2.example", FULL.number, encoded(FULL))
    assert not is_intact(FULL.host, FULL.number + 1, encoded(FULL))
