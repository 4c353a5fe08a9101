"""A cluster is the same however its YAML is written."""

import tempfile
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import yaml
from hypothesis import given
from hypothesis import strategies as st

from appliance import config
from appliance.config import addresses, fields
from appliance.config.reading import read
from appliance.config.records import owner_name, rdata
from appliance.dns.records.txt import strings
from appliance.model import Cluster, MacAddress
from tests.config_files import CLEAN

macs = st.binary(min_size=6, max_size=6).filter(lambda octets: not octets[0] & 1 and any(octets)).map(MacAddress)
labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
names = st.lists(labels, min_size=1, max_size=4).map(".".join)
plain_text = st.text(st.characters(codec="ascii", min_codepoint=0x20, max_codepoint=0x7E), max_size=30)


@st.composite
def spellings(draw: st.DrawFn) -> str:
    """Return CLEAN as PyYAML might write it, with other styles, widths and orders."""
    document = yaml.load(CLEAN, yaml.BaseLoader)
    keys = draw(st.permutations(list(document)))
    return yaml.dump(
        {key: document[key] for key in keys},
        Dumper=yaml.SafeDumper,
        sort_keys=draw(st.booleans()),
        default_flow_style=draw(st.sampled_from([True, False, None])),
        default_style=draw(st.sampled_from([None, '"', "'"])),
        indent=draw(st.integers(2, 8)),
        width=draw(st.integers(20, 200)),
        explicit_start=draw(st.booleans()),
    )


def loaded(text: str) -> Cluster:
    """Return the cluster in *text*, without the fields that depend on the file itself."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "cluster.yaml"
        path.write_text(text)
        (cluster,) = config.load([path], Path("/data"))
    return replace(cluster, source=Path(), digest="")


@given(spellings())
def test_style_and_order_make_no_difference(text: str) -> None:
    assert loaded(text) == loaded(CLEAN)


@given(macs, st.sampled_from([":", "-", "."]), st.booleans())
def test_mac_is_the_same_in_every_spelling(mac: MacAddress, separator: str, is_upper: bool) -> None:
    text = mac.octets.hex(separator, 2 if separator == "." else 1)

    assert addresses.parse_mac(text.upper() if is_upper else text) == mac


@given(st.integers(0, 0xFFFFFFFF).map(IPv4Address), st.integers(1, 65535))
def test_endpoint_is_read_as_it_is_printed(address: IPv4Address, port: int) -> None:
    parse = addresses.parse_endpoint(53)

    assert str(parse(f"{address}:{port}")) == f"{address}:{port}"
    assert str(parse(str(address))) == f"{address}:53"


@given(st.ip_addresses(), st.integers(1, 65535))
def test_endpoint_of_either_family_survives_printing(address: object, port: int) -> None:
    text = str(addresses.parse_endpoint(port)(str(address)))

    assert str(addresses.parse_endpoint(1)(text)) == text


@given(names)
def test_domain_name_is_read_without_its_dot_and_case(name: str) -> None:
    assert fields.parse_domain(f"{name.upper()}.") == name


@given(st.ip_addresses())
def test_pointer_record_is_owned_by_the_address_s_reverse_name(address: IPv4Address) -> None:
    assert owner_name(str(address), "example.com") == address.reverse_pointer


@given(names)
def test_owner_is_in_the_zone_once(name: str) -> None:
    owner = owner_name(name, "example.com")

    assert owner_name(owner, "example.com") == owner == owner_name(f"{owner}.", "example.com")


@given(plain_text | st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
def test_path_of_a_check_is_one_word_without_signs_of_haproxy(text: str) -> None:
    """HAProxy ends words at spaces, comments at #, and expands what follows $ and %[ in some places."""
    try:
        path = fields.parse_url_path(f"/{text}")
    except ValueError:
        return
    assert path.isascii()
    assert path.startswith("/")
    assert not set(path) & set(" \t\r\n\0#$\"'\\[]{}()")
    assert len(path) <= 200


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=600).filter(lambda text: not text.startswith('"')))
def test_text_record_keeps_its_octets(text: str) -> None:
    found = list(strings(rdata("TXT", text, "example.com")))

    assert b"".join(found) == text.encode()
    assert all(len(string) <= 255 for string in found)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), plain_text, min_size=1, max_size=6))
def test_scalar_is_read_as_a_yaml_reader_without_types_reads_it(values: dict[str, str]) -> None:
    text = yaml.safe_dump(values)
    with tempfile.TemporaryDirectory() as directory:
        (Path(directory) / "x").write_text(text)
        document = read(Path(directory) / "x")

    assert document.root == yaml.load(text, yaml.BaseLoader)
