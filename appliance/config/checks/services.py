"""Where the services listen: that no two want the same port."""

from collections.abc import Iterator

from appliance.config import fields
from appliance.config.facts import Fact, Facts
from appliance.errors import Problem
from appliance.model import Endpoint

PROXY_PORT_DISTANCE = 4011 - 67

DEFAULT_PORTS = {"dns": 53, "tftp": 69, "http": 80, "dashboard": 8080}
STREAMS = ("dns", "http", "dashboard")
DATAGRAMS = ("dns", "tftp")


def problems_in(facts: Facts) -> Iterator[Problem]:
    """Yield what is wrong with `listen` in one file."""
    said = {
        key: facts.all_at(fields.parse_endpoint(port), "listen", key, owner=f"listen.{key}")
        for key, port in DEFAULT_PORTS.items()
    }
    for keys, protocol in ((STREAMS, "TCP"), (DATAGRAMS, "UDP")):
        taken: list[Fact[Endpoint]] = []
        for endpoint in (endpoint for key in keys for endpoint in said[key]):
            other = next((other for other in taken if _collide(endpoint.value, other.value)), None)
            if other:
                where = f"{other.owner} ({other.place(endpoint.document)})"
                yield endpoint.error(f"{endpoint.value} is the {protocol} port of {where} too; give it another port")
            taken.append(endpoint)
    yield from _dhcp_ports(facts, [endpoint for key in DATAGRAMS for endpoint in said[key]])


def _dhcp_ports(facts: Facts, datagrams: list[Fact[Endpoint]]) -> Iterator[Problem]:
    said = facts.at(fields.parse_whole(1, 65535), "listen", "dhcpPort")
    server = said.value if said else 67
    uses = {
        server: "the DHCP server",
        server + 1: "DHCP clients",
        server + PROXY_PORT_DISTANCE: "the proxy DHCP server",
    }
    for endpoint in datagrams:
        if use := uses.get(endpoint.value.port):
            yield endpoint.error(f"{endpoint.value} is the UDP port of {use}; give it another port")


def _collide(one: Endpoint, other: Endpoint) -> bool:
    if one.port != other.port or one.address.version != other.address.version:
        return False
    return one.address == other.address or one.address.is_unspecified or other.address.is_unspecified
