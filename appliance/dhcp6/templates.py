"""A reply's options, except for those that depend on the client's own identity and on its IAs.

The one rule: what a host is told is laid out here and nowhere else; `protocol.py` decides
who gets which reply.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from appliance.boot.chains import boot_file
from appliance.dhcp.clients import ClientProfile
from appliance.dhcp.pins import BasePin
from appliance.dhcp6.options import (
    OPT_BOOT_URL,
    OPT_CLIENT_FQDN,
    OPT_DNS_SERVERS,
    OPT_NTP_SERVERS,
    OPT_SEARCH,
    OPT_SNTP_SERVERS,
    OPT_VENDOR_CLASS,
    encode_option,
)
from appliance.dhcp6.segments import Segment
from appliance.events import Program
from appliance.model import Loader

# Of the network's options, those that are given up last come first.
_BY_NEED = (OPT_DNS_SERVERS, OPT_SEARCH, OPT_NTP_SERVERS, OPT_SNTP_SERVERS)
INTEL = (343).to_bytes(4, "big")  # the enterprise whose vendor classes PXE and UEFI use
_HTTP_CLIENT = b"HTTPClient"


@dataclass(frozen=True, slots=True)
class Pin(BasePin[Segment]):
    """One MAC address of one host, and the IPv6 address that is fixed to it.

    Its host has the IPv6 address first, so that every URL leads to an IPv6 address of ours.
    """


@dataclass(frozen=True, slots=True)
class Template:
    """The options of a reply that depend on host, program and the list of requested options only."""

    needed: bytes
    others: tuple[bytes, ...]  # each an option; those at the end are left out first if a reply would be too long
    boot: str  # the boot file's URL, for the event; "" without one
    wants_name: bool  # whether the client has requested its name, or made no list


def build_template(pin: Pin, profile: ClientProfile, *, boots: bool, loader: Loader, requested: bytes) -> Template:
    """Return the options for *pin*.

    *boots* is whether it gets a boot file, *loader* which one with `loader: auto`, and *requested* the client's
    option 6.
    """
    steps = pin.chain(profile, loader, starts_disk=not boots)
    boot = _boot_url(pin, boot_file(steps))
    wanted = requested_codes(requested)
    values: Mapping[int, bytes] = pin.segment.values
    return Template(
        # UEFI HTTP Boot also gets a URL if it is to go on to its next boot entry.
        needed=_boot_options(boot or (steps[0].target if steps else ""), profile),
        # A client without a list gets every option, except for the one that repeats another.
        others=tuple(
            encode_option(code, values[code])
            for code in _BY_NEED
            if code in values and (code in wanted if wanted else code != OPT_SNTP_SERVERS)
        ),
        boot=boot,
        wants_name=OPT_CLIENT_FQDN in wanted or not wanted,
    )


def requested_codes(requested: bytes) -> frozenset[int]:
    """Return the codes in an option request option."""
    return frozenset(int.from_bytes(requested[at : at + 2], "big") for at in range(0, len(requested) - 1, 2))


def _boot_url(pin: Pin, file: str) -> str:
    """Return the URL of the boot file; "" for none. RFC 5970 knows only URLs, also for a file that TFTP serves."""
    return file if not file or "://" in file else f"tftp://[{pin.segment.server_text}]/{file}"


def _boot_options(boot: str, profile: ClientProfile) -> bytes:
    """Return the options that lead to the URL *boot*; sent whether they were requested or not, as DHCPv4 does."""
    if not boot:
        return b""
    url = encode_option(OPT_BOOT_URL, boot.encode("ascii"))
    if profile.program is not Program.HTTP:
        # Without a vendor class: to edk2, PXEClient would mean that it has to ask for the boot file once more, by
        # unicast on port 4011.
        return url
    # UEFI HTTP Boot takes an offer without it for one of another kind (UEFI 2.10 section 24.7.3).
    return url + encode_option(OPT_VENDOR_CLASS, INTEL + len(_HTTP_CLIENT).to_bytes(2, "big") + _HTTP_CLIENT)
