"""Reading, splitting and placing options."""

from dataclasses import replace

from scapy.layers.dhcp import BOOTP, DHCP

from appliance.dhcp.compile import DhcpTable, compile_dhcp
from appliance.dhcp.options import encode_option, lay_out, parse_options
from appliance.model import Cluster
from tests.clusters import reference_cluster
from tests.dhcp_messages import BIOS, IPXE, SYSTEM, ask, request


def message(options: bytes, file: bytes = b"", sname: bytes = b"") -> bytes:
    return bytes(44) + sname.ljust(64, b"\0") + file.ljust(128, b"\0") + b"\x63\x82\x53\x63" + options


def test_option_in_several_pieces_is_joined() -> None:
    assert parse_options(message(b"\x2b\x02ab\x0c\x01x\x2b\x02cd\xff")) == {43: b"abcd", 12: b"x"}


def test_padding_is_skipped() -> None:
    assert parse_options(message(b"\0\0\x35\x01\x01\0\xff")) == {53: b"\1"}


def test_nothing_is_read_behind_the_end_mark() -> None:
    assert parse_options(message(b"\xff\x35\x01\x01")) == {}


def test_missing_end_mark_is_forgiven() -> None:
    assert parse_options(message(b"\x35\x01\x01")) == {53: b"\1"}


def test_options_in_file_and_sname_are_read_where_option_52_says_so() -> None:
    overloaded = message(b"\x34\x01\x03\x2b\x01a\xff", file=b"\x2b\x01b\xff", sname=b"\x2b\x01c\xff")
    assert parse_options(overloaded) == {52: b"\3", 43: b"abc"}


def test_file_and_sname_are_not_read_otherwise() -> None:
    assert parse_options(message(b"\x34\x01\x02\xff", file=b"\x2b\x01b\xff", sname=b"\x2b\x01c\xff")) == {
        52: b"\2",
        43: b"c",
    }


def test_option_cut_off_in_an_overloaded_field_is_malformed() -> None:
    assert parse_options(message(b"\x34\x01\x01\xff", file=b"\x2b\xff")) is None


def test_value_of_256_bytes_is_sent_as_two_options() -> None:
    assert encode_option(119, b"x" * 256) == b"\x77\xff" + b"x" * 255 + b"\x77\x01x"


def test_options_that_fit_stay_in_their_field() -> None:
    assert lay_out([(1, b"a"), (2, b"b")], 9, file_is_free=True).main == b"\1\1a\2\1b"


OPTION = b"\x0c\x3c" + b"x" * 60


def test_options_that_do_not_fit_go_to_file_and_then_to_sname() -> None:
    layout = lay_out([(12, b"x" * 60)] * 4, 70, file_is_free=True)
    assert layout.main == OPTION + b"\x34\x01\x03"
    assert (layout.file, layout.sname) == (OPTION * 2 + b"\xff", OPTION + b"\xff")


def test_field_with_the_boot_file_holds_no_options() -> None:
    layout = lay_out([(12, b"x" * 60)] * 2, 70, file_is_free=False)
    assert (layout.main, layout.file, layout.sname) == (OPTION + b"\x34\x01\x02", b"", OPTION + b"\xff")


def test_option_that_fits_nowhere_whole_is_split_in_reading_order() -> None:
    value = bytes(range(200))
    layout = lay_out([(119, value)], 40, file_is_free=True)
    assert parse_options(message(layout.main, layout.file, layout.sname)) == {52: b"\3", 119: value}


def test_option_that_does_not_fit_even_in_pieces_is_left_out_whole() -> None:
    layout = lay_out([(119, bytes(300)), (12, b"x")], 40, file_is_free=True)
    assert (layout.main, layout.file, layout.sname) == (b"\x0c\x01x", b"", b"")


def crowded() -> Cluster:
    """Return a cluster whose search list is longer than an option can be."""
    cluster = reference_cluster()
    search = tuple(f"{'x' * 40}{number}.example.localdomain" for number in range(5))
    return replace(cluster, networks=(replace(cluster.networks[0], search=search),))


def crowded_table() -> DhcpTable:
    return compile_dhcp((crowded(),))


def scapy_options(payload: bytes) -> dict[object, object]:
    """Return the options, also those in file and sname, parsed by scapy."""
    packet = BOOTP(payload)
    areas = (packet[DHCP], DHCP(bytes(packet.file)), DHCP(bytes(packet.sname)))
    return {option[0]: option[1:] for area in areas for option in area.options if isinstance(option, tuple)}


def test_reply_spreads_over_the_header_for_a_client_of_the_least_size() -> None:
    asked = request(
        "discover", (55, bytes([1, 3, 6, 12, 15, 28, 42, 51, 58, 59])), (61, b"\xff" * 90), (82, b"\1" * 90)
    )
    payload = ask(crowded_table(), asked).payload
    assert len(payload) <= 576 - 28
    assert {"subnet_mask", "router", "name_server", "hostname", "domain", "lease_time"} <= set(scapy_options(payload))


def test_reply_to_a_client_that_takes_more_is_not_spread() -> None:
    payload = ask(crowded_table(), request("discover", *SYSTEM)).payload
    assert "dhcp-option-overload" not in scapy_options(payload)
    assert parse_options(payload)[119].count(b"localdomain") == 5  # type: ignore[index]


def test_what_fits_nowhere_is_left_out_and_the_lease_stays() -> None:
    asked = request("discover", (55, bytes([119, 1, 3, 6, 12, 15])), (61, b"\xff" * 200), (82, b"\1" * 100))
    found = parse_options(ask(crowded_table(), asked).payload)
    assert found is not None
    assert 119 not in found
    assert {1, 3, 6, 12, 51, 53, 54, 61, 82} <= set(found)


def test_essential_options_go_first_when_room_is_short() -> None:
    cluster = crowded()
    search = cluster.networks[0].search[:2]
    table = compile_dhcp((replace(cluster, networks=(replace(cluster.networks[0], search=search),)),))
    wanted = (55, bytes([119, 15, 28, 3, 6]))
    found = parse_options(ask(table, request("discover", *BIOS[3:], wanted, (61, b"\xff" * 200))).payload)
    assert found is not None
    assert {1, 3, 6, 12, 51, 53, 54, 58, 59, 66, 67} <= set(found)


def test_boot_rom_keeps_its_boot_file_in_the_header_when_options_are_spread() -> None:
    payload = ask(crowded_table(), request("discover", *BIOS[:1], (61, b"\xff" * 200), *BIOS[2:])).payload
    assert payload[108:236].rstrip(b"\0") == b"undionly.kpxe"


def test_ipxe_finds_its_script_in_option_67_when_options_are_spread() -> None:
    payload = ask(crowded_table(), request("discover", *IPXE[1:], (82, b"\1" * 160))).payload
    found = parse_options(payload)
    assert found is not None
    assert (found[52], found[67]) == (b"\1", b"http://172.16.0.101/pxeboot.ipxe")


def test_absurd_maximum_sizes_are_not_believed() -> None:
    small = ask(crowded_table(), request("discover", (55, bytes([119, 1, 3])), (57, b"\0\1"))).payload
    large = ask(crowded_table(), request("discover", (55, bytes([119, 1, 3])), (57, b"\xff\xff"))).payload
    assert 300 <= len(small) <= 576 - 28
    assert len(large) <= 1500 - 28
