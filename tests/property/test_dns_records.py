"""Properties of the data of every record type in cluster.yaml, and of RDATA from the network."""

import contextlib

import dns.rdata
import dns.rdataclass
import dns.rdatatype
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.config.records import rdata
from appliance.dns.compile import encoded_value
from appliance.dns.message import MAX_NAME_BYTES, MessageError, records
from appliance.dns.rdata import RecordType
from appliance.dns.records import BY_NAME, FILE_TYPES, record_type

number = st.integers(0, 65535).map(str)
name = st.from_regex(r"[a-z0-9_]([a-z0-9_-]{0,8}[a-z0-9_])?(\.[a-z][a-z0-9]{0,8}){0,3}\.?", fullmatch=True)
character_string = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters='"\\'), max_size=300).map(lambda text: f'"{text}"'),
    st.integers(0, 255).map(lambda octet: f'"\\{octet:03d}"'),
    st.sampled_from([r'"a\"b"', r'"\\"', "bare", r"back\032slash", '""']),
)
DATA = {
    "A": st.ip_addresses(v=4).map(str),
    "AAAA": st.ip_addresses(v=6).map(str),
    "CNAME": name,
    "MX": st.builds("{} {}".format, number, name),
    "PTR": name,
    "SRV": st.builds("{} {} {} {}".format, number, number, number, name),
    "TXT": st.one_of(st.text(), st.lists(character_string, min_size=1, max_size=5).map(" ".join)),
}


@st.composite
def typed_data(draw: st.DrawFn) -> tuple[RecordType, str]:
    kind = draw(st.sampled_from(FILE_TYPES))
    return record_type(kind), draw(DATA[kind])


def value_of(kind: RecordType, text: str) -> str | None:
    """Return the value in the zone, or None if cluster.yaml is refused."""
    with contextlib.suppress(ValueError):
        return rdata(kind.name, text, "example.com")
    return None


@settings(max_examples=500)
@given(case=typed_data())
def test_data_that_is_taken_is_the_same_on_the_wire_as_in_the_master_file(case: tuple[RecordType, str]) -> None:
    kind, text = case
    value = value_of(kind, text)
    if value is not None:
        read = dns.rdata.from_text("IN", kind.name, kind.master_text(value))
        assert encoded_value(kind.name, value) == read.to_wire()


@given(case=typed_data())
def test_value_in_a_zone_is_one_line_of_printable_ascii(case: tuple[RecordType, str]) -> None:
    kind, text = case
    value = value_of(kind, text) or ""
    assert value.isascii()
    assert value.isprintable() or not value


@given(kind=st.sampled_from(sorted(BY_NAME)), text=st.text())
def test_any_text_is_data_of_a_type_or_refused(kind: str, text: str) -> None:
    with contextlib.suppress(ValueError):
        assert rdata(kind, text, "example.com").isascii()


@settings(max_examples=500)
@given(kind=st.sampled_from(sorted(BY_NAME)), data=st.binary(max_size=600), before=st.binary(max_size=64))
def test_names_in_any_rdata_are_expanded_or_a_message_error(kind: str, data: bytes, before: bytes) -> None:
    found = record_type(kind)
    wire = before + b"\0" + found.number.to_bytes(2) + b"\0\1" + bytes(4) + len(data).to_bytes(2) + data
    (record,) = records(wire, len(before), 1)
    with contextlib.suppress(MessageError):
        assert len(found.expanded(wire, record)) <= len(data) + len(found.name_words) * MAX_NAME_BYTES
