"""A cluster moved to the loopback network and to high ports, for machines that allow no network namespace."""

import re
from ipaddress import IPv4Address
from pathlib import Path

import yaml

from appliance.errors import SimulationError
from appliance.simulate.lab import free_base_port, free_port


def moved_to_loopback(source: Path, target: Path) -> None:
    """Write the cluster.yaml *source* to *target*, with its networks moved to 127.16 and every port to a free one.

    The first two octets of the appliance's address become 127.16 wherever they occur.
    Raises SimulationError if that is an IPv6 address.
    """
    # BaseLoader keeps every scalar as text.
    own = str(yaml.load(source.read_text(), yaml.BaseLoader)["appliance"]["address"])  # noqa: S506 - it creates strings only
    octets = own.split(".")
    if len(octets) != 4:
        raise SimulationError(f"appliance.address is {own}, and the loopback interface can only stand in for IPv4")
    text = re.sub(rf"\b{octets[0]}\.{octets[1]}\.(?=\d)", "127.16.", source.read_text())
    text = re.sub(r"(?m)^listen:.*\n(?:[ #].*\n|\n)*", "", text)
    address = IPv4Address(f"127.16.{octets[2]}.{octets[3]}")
    http, dns, tftp = (free_port(address) for _ in range(3))
    listen = {
        "dns": [f"{address}:{dns}"],
        "dhcp": ["lo"],
        "dhcpPort": free_base_port(),
        "tftp": [f"{address}:{tftp}"],
        "http": [f"{address}:{http}"],
        "dashboard": [f"127.0.0.1:{free_port(IPv4Address('127.0.0.1'))}"],
    }
    target.write_text(f"{text.rstrip()}\n{yaml.safe_dump({'listen': listen}, sort_keys=False)}")
