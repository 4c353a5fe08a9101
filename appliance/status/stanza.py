"""The entry in cluster.yaml that would make an unknown machine a host, to copy and complete."""

import re
from collections.abc import Iterable

from appliance.model import MacAddress
from appliance.status.oui import vendor_of
from appliance.status.shapes import SeenRow, StrangerRow

MAC = re.compile("[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def seen(machines: Iterable[StrangerRow]) -> list[SeenRow]:
    """Return *machines*, each with the vendor of its card and its entry for cluster.yaml.

    The first call in a process takes about 0.2 s, for the list of vendors.
    """
    return [_with_entry(machine, _vendor(machine["mac"])) for machine in machines]


def _vendor(address: str) -> str:
    try:
        octets = bytes.fromhex(address.replace(":", ""))
    except ValueError:
        return ""  # neither Ethernet nor InfiniBand
    # A GUID (EUI-64) begins with its vendor's three octets, as a MAC address does.
    return vendor_of(MacAddress(octets[:3] + octets[-3:]))


def _with_entry(machine: StrangerRow, vendor: str) -> SeenRow:
    return {**machine, "vendor": vendor, "stanza": stanza(machine, vendor)}


def stanza(machine: StrangerRow, vendor: str) -> str:
    """Return the entry for `hosts:` in cluster.yaml that would add *machine*; *vendor* becomes a comment, if not "".

    A machine whose card is not Ethernet gets a comment alone, because it cannot be added.
    """
    if not MAC.fullmatch(machine["mac"]):
        return f"# {machine['mac']} is not an Ethernet card; boot this machine from one, and add that card's address"
    # x86_64 is the default and needs no line.
    arch = "  arch: aarch64\n" if "arm64" in machine["arch"] or "aarch64" in machine["arch"] else ""
    comment = f"  # {vendor}" if vendor else ""
    # Quoted, because YAML 1.1 reads a bare MAC address of decimal digits as a number in base 60.
    return (
        f'- hostname: NAME  # choose a name\n  role: worker\n  macAddress: "{machine["mac"]}"{comment}\n{arch}'
        "  address: ADDRESS  # choose a free address in its machine network"
    )
