"""Single values: what is accepted, and the errors for everything else."""

import re
from collections.abc import Callable

import pytest

from appliance.config import addresses, fields
from appliance.config.records import rdata
from appliance.model import INFINITE_LEASE, Release

port = addresses.parse_endpoint(53)

TAKEN: list[tuple[Callable[[str], object], str, object]] = [
    (fields.parse_release, "4.5", Release(4, 5)),
    (fields.parse_release, "4.16.3", Release(4, 16)),
    (fields.parse_release, "4.15.0-0.okd-2024-03-10-010116", Release(4, 15)),
    (fields.parse_release, "4.16.0-rc.1", Release(4, 16)),
    (fields.parse_lease, "infinite", INFINITE_LEASE),
    (fields.parse_lease, "7d", 604800),
    (fields.parse_lease, "2W", 1209600),
    (fields.parse_lease, "3600", 3600),
    (fields.parse_truth, "Yes", True),
    (fields.parse_truth, "off", False),
    (fields.parse_mailbox, "Root@Example.com", "root.example.com"),
    (fields.parse_mailbox, "root.example.com.", "root.example.com"),
    (fields.parse_record_name, "_Etcd._TCP", "_etcd._tcp"),
    (fields.parse_record_name, "*.dev.", "*.dev."),
    (fields.parse_record_name, "2001:DB8::0:1", "2001:db8::1"),
    (fields.parse_disk, "/dev/disk/by-path/pci-0000:00:1f.2-ata-1", "/dev/disk/by-path/pci-0000:00:1f.2-ata-1"),
    (fields.parse_file_name, "4.16/kernel", "4.16/kernel"),
    (fields.parse_kernel_argument, "rd.break=pre-mount,x", "rd.break=pre-mount,x"),
    (fields.parse_sha256, "AB" * 32, "ab" * 32),
]


@pytest.mark.parametrize(
    ("parse", "text", "expected"), TAKEN, ids=lambda value: value if isinstance(value, str) else ""
)
def test_spelling_is_taken(parse: Callable[[str], object], text: str, expected: object) -> None:
    assert parse(text) == expected


REFUSED: list[tuple[Callable[[str], object], str, str]] = [
    (fields.parse_release, "416.94", '"416.94" is not a release; for example 4.16 or 4.16.3'),
    (fields.parse_release, "4.0", '"4.0" is too old; machines are installed with Ignition since 4.1'),
    (fields.parse_release, "\u0664.\u0665", '"\u0664.\u0665" is not a release; for example 4.16 or 4.16.3'),
    (
        fields.parse_image_release,
        "x",
        '"x" is not an RHCOS release or a CoreOS build; write it as in the images\' names, for example 4.16.3',
    ),
    (addresses.parse_range, "any", '"any" is neither a network nor an address; for example 192.0.2.0/24'),
    (addresses.parse_address, "192.0.2.8:6443", '"192.0.2.8:6443" has a port; write only the address, 192.0.2.8'),
    (addresses.parse_address, "[2001:db8::8]:80", '"[2001:db8::8]:80" has a port; write only the address, 2001:db8::8'),
    (addresses.parse_address, "[2001:db8::8]", '"[2001:db8::8]" has brackets; write only the address, 2001:db8::8'),
    (addresses.parse_ipv6, "2001:db8::g", '"2001:db8::g" is not an IPv6 address; for example 2001:db8::21'),
    (
        addresses.parse_ipv6,
        "fe80::1%eno1",
        '"fe80::1%eno1" contains an interface name; write only the address, for example 2001:db8::21',
    ),
    (
        addresses.parse_cidr4,
        "2001:db8::/64",
        '"2001:db8::/64" is an IPv6 network, and only IPv4 is supported here; for example 192.0.2.0/24',
    ),
    (addresses.parse_cidr, "192.0.2.0/33", '"192.0.2.0/33" is not a network; for example 192.0.2.0/24'),
    (
        addresses.parse_cidr,
        "2001:db8::1/64",
        '"2001:db8::1/64" has bits set after the prefix; the network is 2001:db8::/64',
    ),
    (fields.parse_domain, ".", '"." is not a name; for example m1.ocp45.example.com'),
    (fields.parse_domain, "a." * 128, f'"{"a." * 28}a..." has 255 characters; a domain name has at most 253'),
    (
        fields.parse_domain,
        "\u212a.example",
        (
            '"\u212a.example" has "k", which is not a valid name (RFC 1123); use letters, digits and hyphens, '
            "with no hyphen at either end"
        ),
    ),
    (port, "[2001:db8::1", '"[2001:db8::1" is not an address and port; for example [2001:db8::1]:53'),
    (port, "[2001:db8::1]53", '"[2001:db8::1]53" is not an address and port; for example [2001:db8::1]:53'),
    (port, "192.0.2.1:", '"192.0.2.1:" ends with a colon; write 192.0.2.1:53'),
    (port, "192.0.2.1:0", '"0" is not a whole number from 1 to 65535'),
    (
        port,
        "dns.example",
        '"dns.example" is a host name; write its address, for example 192.0.2.5:53 or [2001:db8::5]:53',
    ),
    (
        port,
        "localhost:80",
        '"localhost:80" is a host name; write its address, for example 192.0.2.5:80 or [2001:db8::5]:80',
    ),
    (port, "8080", '"8080" is only a port; write 192.0.2.5:8080, or 0.0.0.0:8080 for every address'),
    (port, ":8080", '":8080" is only a port; write 192.0.2.5:8080, or 0.0.0.0:8080 for every address'),
    (port, "*:80", '"*:80" uses * for every address; write 0.0.0.0:80, or [::]:80 for IPv6'),
    (port, "*", '"*" uses * for every address; write 0.0.0.0:53, or [::]:53 for IPv6'),
    (port, "", '"" is not an address; for example 192.0.2.5:53 or [2001:db8::5]:53'),
    (port, "8.8.8.8.8", '"8.8.8.8.8" is not an address; for example 192.0.2.5:53 or [2001:db8::5]:53'),
    (port, "192.0.2.256:53", '"192.0.2.256" has a part above 255; for example 192.0.2.21'),
    (port, "9" * 99, f'"{"9" * 57}..." is not an address; for example 192.0.2.5:53 or [2001:db8::5]:53'),
    (port, "http://192.0.2.5", '"http://192.0.2.5" is a URL; write only the address, for example 192.0.2.5:53'),
    (port, "[192.0.2.5]:53", '"[192.0.2.5]:53" has brackets, which are only for IPv6; write 192.0.2.5:53'),
    (fields.parse_whole(1, 9, "bytes"), "1.0", '"1.0" is not a whole number from 1 to 9 (bytes)'),
    (fields.parse_whole(1, 9), "9" * 5000, f'"{"9" * 57}..." is not a whole number from 1 to 9'),
    (fields.parse_lease, "10s", '"10s" is 10 s; expected 60 s to 4294967294 s'),
    (
        fields.parse_mailbox,
        "a.b@example.com",
        (
            '"a.b@example.com" has characters other than letters, digits, _ and - before the @; for '
            "example hostmaster@example.com"
        ),
    ),
    (fields.parse_directory, " ", '" " is not a valid directory; for example /var/lib/ocp-appliance'),
    (
        fields.parse_disk,
        "/dev/../etc/passwd",
        '"/dev/../etc/passwd" is not a path under /dev; write /dev/sda or /dev/disk/by-id/wwn-0x5000c500a1b2c3d4',
    ),
    (
        fields.parse_kernel_argument,
        "||",
        '"||" cannot be passed through iPXE; remove single quotes, backslashes, ${ and && || ; #',
    ),
    (
        fields.parse_mailbox,
        f"root@{'.'.join(['x' * 62] * 4)}",
        f'"root@{"x" * 52}..." has 256 characters; a mailbox has at most 253',
    ),
    (
        lambda text: rdata("TXT", text, "x"),
        r'"a\999"',
        r'""a\999"" has the escape \999; expected three digits from \000 to \255, or \\ for a backslash',
    ),
    (
        lambda text: rdata("TXT", text, "x"),
        r'"a\12"',
        r'""a\12"" has the escape \12; expected three digits from \000 to \255, or \\ for a backslash',
    ),
    (
        lambda text: rdata("TXT", text, "x"),
        '"a',
        '""a" has a quote that is not closed, or a backslash at its end; leave out quotes for text',
    ),
    (
        lambda text: rdata("A", text, "x"),
        "::1",
        '"::1" is not an IPv4 address; expected one such as 192.0.2.40, or type AAAA for IPv6',
    ),
    (
        lambda text: rdata("AAAA", text, "x"),
        "1.2.3.4",
        '"1.2.3.4" is not an IPv6 address; expected one such as 2001:db8::40, or type A for IPv4',
    ),
    (
        lambda text: rdata("SRV", text, "x"),
        "0 10 ldap",
        '"0 10 ldap" is not SRV data; expected "priority weight port target", as in "0 10 389 ldap"',
    ),
    (
        lambda text: rdata("SRV", text, "x"),
        "0 10 99999 ldap",
        '"0 10 99999 ldap" has a port that is not a whole number from 0 to 65535',
    ),
]


@pytest.mark.parametrize(
    ("parse", "text", "expected"), REFUSED, ids=lambda value: value[:20] if isinstance(value, str) else ""
)
def test_spelling_is_refused_with_what_would_be_right(parse: Callable[[str], object], text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        parse(text)


@pytest.mark.parametrize(
    "argument",
    [
        'coreos.inst.persistent-kargs="rd.multipath=default root=/dev/disk/by-label/dm-mpath-root rw"',
        'ignition.config.url="http://192.0.2.5/x.ign"',
        '"quiet"',
    ],
)
def test_quotes_around_a_value_stand_as_they_are_written(argument: str) -> None:
    assert fields.parse_kernel_argument(argument) == argument


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ('a="b', "has a quote without a second one"),
        ('a="b" c', "contains a space"),
        ('a="b  c"', "contains several spaces in a row"),
        ('a="b\tc"', "contains several spaces in a row, or a tab"),
        ('a="b || c"', "cannot be passed through iPXE"),
        ('a="b #c"', "cannot be passed through iPXE"),
        ('a="b ${c}"', "cannot be passed through iPXE"),
        ("a='b'", "cannot be passed through iPXE"),
    ],
)
def test_quotes_protect_nothing_from_ipxe(argument: str, expected: str) -> None:
    with pytest.raises(ValueError, match=re.escape(expected)):
        fields.parse_kernel_argument(argument)
