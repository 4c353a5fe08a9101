"""Every record type: from cluster.yaml to the wire and back, checked by dnspython and dnslib."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dnslib
import pytest

import appliance
from appliance.dns.compile import encoded_value
from appliance.dns.message import MessageError, question_end, records
from appliance.dns.rdata import RecordDataError, RecordType
from appliance.dns.records import BY_NAME, BY_NUMBER, FILE_TYPES, record_type
from appliance.dns.records.txt import strings

# Data of each type as in cluster.yaml. The tests below fail for types without an example here.
WRITTEN = {
    "A": "192.0.2.40",
    "AAAA": "2001:DB8:0::40",
    "CNAME": "lb1",
    "DNAME": "other.example.net",
    "MX": "010 mail",
    "NS": "ns1",
    "PTR": "lb1.example.com",
    "SOA": "ns1 hostmaster 2026010100 3600 900 604800 300",
    "SRV": "0 10 389 ldap",
    "TXT": r'"a \"b\"" c\032d "\000\255"',
}

every_type = pytest.mark.parametrize("kind", BY_NAME.values(), ids=list(BY_NAME))
types_with_names = pytest.mark.parametrize(
    "kind", [kind for kind in BY_NAME.values() if kind.name_words], ids=lambda kind: kind.name
)


def full(name: str) -> str:
    return name.lower() if "." in name else f"{name}.example.com"


def value_of(kind: RecordType) -> str:
    """Return the value in the zone for the example in WRITTEN."""
    return kind.parse(WRITTEN[kind.name], full)


def as_dnspython_reads(kind: RecordType) -> dns.rdata.Rdata:
    return dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.from_text(kind.name), kind.master_text(value_of(kind)))


def compressed(kind: RecordType) -> bytes:
    """Return a message with one record, in which dnspython has compressed names where that is allowed."""
    message = dns.message.make_query("mail.example.com", kind.name)
    owner = dns.name.from_text("mail.example.com")
    message.answer.append(dns.rrset.from_rdata(owner, 60, as_dnspython_reads(kind)))
    return message.to_wire()


@every_type
def test_number_of_the_type_is_dnspythons(kind: RecordType) -> None:
    assert kind.number == dns.rdatatype.from_text(kind.name)


@every_type
def test_value_is_read_again_as_itself(kind: RecordType) -> None:
    assert kind.parse(value_of(kind), full) == value_of(kind)


@every_type
def test_wire_form_is_dnspythons_of_the_same_text(kind: RecordType) -> None:
    assert encoded_value(kind.name, value_of(kind)) == as_dnspython_reads(kind).to_wire()


@every_type
def test_record_comes_unchanged_out_of_dnslib(kind: RecordType) -> None:
    (found,) = dns.message.from_wire(bytes(dnslib.DNSRecord.parse(compressed(kind)).pack())).answer
    assert found[0] == as_dnspython_reads(kind)


@every_type
def test_names_of_a_record_are_found_in_any_message(kind: RecordType) -> None:
    wire = compressed(kind)
    (record,) = records(wire, question_end(wire) + 4, 1)
    assert kind.expanded(wire, record) == as_dnspython_reads(kind).to_wire()


@types_with_names
def test_name_that_points_past_the_message_is_an_error(kind: RecordType) -> None:
    data = bytes(kind.bytes_before_names) + b"\xff\xff" * len(kind.name_words)
    wire = b"\0" + kind.number.to_bytes(2) + b"\0\1" + bytes(4) + len(data).to_bytes(2) + data
    (record,) = records(wire, 0, 1)
    with pytest.raises(MessageError):
        kind.expanded(wire, record)


@types_with_names
def test_names_have_trailing_dots_in_a_master_file_only(kind: RecordType) -> None:
    value = value_of(kind)
    assert [f"{name}." in kind.master_text(value).split() for name in kind.names(value)] == [True] * len(
        kind.name_words
    )
    assert not any(word.endswith(".") for word in value.split())


@every_type
def test_type_is_found_by_name_and_by_number(kind: RecordType) -> None:
    assert record_type(kind.name) is BY_NUMBER[kind.number] is kind


@pytest.mark.parametrize("name", FILE_TYPES)
def test_example_of_a_type_is_data_of_it(name: str) -> None:
    kind = record_type(name)
    assert kind.parse(kind.example, full)


def test_cluster_yaml_takes_no_records_that_the_zone_makes_itself() -> None:
    assert FILE_TYPES == ("A", "AAAA", "CNAME", "MX", "PTR", "SRV", "TXT")


REFUSED = [
    ("A", "192.0.2.1/24", "has a prefix length; expected an address without one, such as 192.0.2.40"),
    ("A", "::1", "is not an IPv4 address; expected one such as 192.0.2.40, or type AAAA for IPv6"),
    (
        "A",
        "192.0.2.010",
        "is not an IPv4 address; expected four numbers up to 255 without leading zeros, such as 192.0.2.40",
    ),
    ("AAAA", "192.0.2.1", "is not an IPv6 address; expected one such as 2001:db8::40, or type A for IPv4"),
    ("AAAA", "fe80::1%eno1", "has an interface after %; expected an address without one, such as 2001:db8::40"),
    ("AAAA", "2001:db8::g", "is not an IPv6 address; expected one such as 2001:db8::40"),
    ("CNAME", "192.0.2.9", 'has an address as its target; expected a name, as in "lb1"'),
    ("SRV", "0 10 389 2001:db8::1", 'has an address as its target; expected a name, as in "0 10 389 ldap"'),
    ("MX", "mail", 'is not MX data; expected "preference target", as in "10 mail"'),
    ("MX", "-1 mail", "has a preference that is not a whole number from 0 to 65535"),
    ("MX", "\u0661 mail", "has a preference that is not a whole number from 0 to 65535"),
    ("SRV", f"0 {'9' * 5000} 1 x", "has a weight that is not a whole number from 0 to 65535"),
    ("TXT", '"a', "has a quote that is not closed, or a backslash at its end; leave out quotes for text"),
    ("TXT", '"a" b\\', "has a quote that is not closed, or a backslash at its end; leave out quotes for text"),
    ("TXT", r'"\256"', r"has the escape \256; expected three digits from \000 to \255, or \\ for a backslash"),
    ("TXT", r'"\1x"', r"has the escape \1; expected three digits from \000 to \255, or \\ for a backslash"),
    ("TXT", "x" * 65_000, "takes 65255 octets; a TXT record has room for 65000"),
]


@pytest.mark.parametrize(
    ("name", "text", "expected"), REFUSED, ids=[f"{name}-{text[:20]}" for name, text, _ in REFUSED]
)
def test_bad_data_is_refused_with_what_would_be_right(name: str, text: str, expected: str) -> None:
    with pytest.raises(RecordDataError, match=f"^{re.escape(expected)}$"):
        record_type(name).parse(text, full)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ('"one two" three', [b"one two", b"three"]),
        ('"one""two"', [b"one", b"two"]),
        (r'"a \"b\" c\\d"', [b'a "b" c\\d']),
        (r'"\000\255"', [b"\0\xff"]),
        (r"a\ b c", [b"a b", b"c"]),
        ('""', [b""]),
    ],
)
def test_strings_are_read_as_a_master_file_has_them(value: str, expected: list[bytes]) -> None:
    assert list(strings(value)) == expected


def test_plain_text_is_one_string_whatever_blanks_it_holds() -> None:
    assert list(strings(record_type("TXT").parse("v=spf1  mx -all", full))) == [b"v=spf1  mx -all"]


CAA = '''"""CAA: who may issue certificates for a name (RFC 8659 section 4)."""

from appliance.dns.rdata import RecordType

RECORD = RecordType(
    "CAA",
    257,
    lambda text, _full_name: text,
    encoder_arguments=lambda value: (int(value.split()[0]), value.split()[1], value.split()[2]),
    example="0 issue ca.example.net",
)
'''

SERVE_CAA = """
from dataclasses import replace
import appliance.dns.records.caa
from appliance.config.records import rdata
from appliance.config.words import RECORD_TYPES
from appliance.dns.compile import compile_dns
from appliance.dns.protocol import own_answer
from appliance.model import Record
from tests.clusters import reference_cluster
assert "CAA" in RECORD_TYPES
value = rdata("CAA", "0 issue ca.example.net", "example.localdomain")
cluster = reference_cluster()
record = Record("example.localdomain", "CAA", 60, value)
table = compile_dns((replace(cluster, dns=replace(cluster.dns, records=(record,))),), lambda _zone, _digest: 1)
print(own_answer(table, bytes.fromhex("{query}")).hex())
"""


def test_a_new_type_is_one_new_file(tmp_path: Path) -> None:
    """Nothing else has to change, from the types in cluster.yaml to the reply."""
    package = Path(appliance.__file__).parent
    shutil.copytree(package, tmp_path / "appliance", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "appliance/dns/records/caa.py").write_text(CAA)
    wire = dns.message.make_query("example.localdomain", "CAA", flags=0).to_wire()
    script = SERVE_CAA.replace("{query}", wire.hex())
    path = f"{tmp_path}:{package.parent}"  # the copy of the package first, and the tests from their original place
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (found,) = dns.message.from_wire(bytes.fromhex(done.stdout)).answer
    assert found.to_text() == 'example.localdomain. 60 IN CAA 0 issue "ca.example.net"'
