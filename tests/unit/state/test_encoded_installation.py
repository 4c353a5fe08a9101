"""Encoding an installation as text, and decoding it."""

from dataclasses import fields

import pytest

from appliance.install.installation import Installation, Order
from appliance.state.encoding import decoded, decoded_or_held, encoded
from tests.state_examples import FULL


def test_example_holds_no_default():
    default = Installation("")
    assert [field.name for field in fields(FULL) if getattr(FULL, field.name) == getattr(default, field.name)] == []


def test_every_field_of_an_installation_is_kept():
    assert decoded(encoded(FULL)) == FULL


def test_installation_of_a_newer_appliance_is_read_as_far_as_it_is_known():
    text = encoded(FULL).replace('"number": 3', '"number": 3, "phase": {"moon": 1}')
    assert decoded(text) == FULL


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"host": 1}', '{"host": "a", "stage": 99}', '{"host": "a", "reached": 7}']
)
def test_text_that_is_not_an_installation_is_refused(text):
    with pytest.raises((ValueError, TypeError, AttributeError)):
        decoded(text)


def test_text_that_cannot_be_read_gives_a_held_installation():
    held = decoded_or_held("m1.example", 4, "{")
    assert (held.host, held.number, held.is_held, held.order) == ("m1.example", 4, True, Order.HOLD)
