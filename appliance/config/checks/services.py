"""Where the services listen: that no two want the same port, in one file or in several."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address

from appliance.boot.urls import endpoint_of, server_url
from appliance.config import addresses, fields
from appliance.config.build import DASHBOARD
from appliance.config.facts import Fact, Facts
from appliance.errors import Problem
from appliance.model import Endpoint

DHCP_PORT = 67
PROXY_PORT_DISTANCE = 4011 - DHCP_PORT

DEFAULT_PORTS = {"dns": 53, "tftp": 69, "http": 80, "dashboard": DASHBOARD.port}
STREAMS = ("dns", "http", "dashboard")
DATAGRAMS = ("dns", "tftp")


def problems_between(files: Sequence[Facts]) -> Iterator[Problem]:
    """Yield what is wrong with `listen` in *files*, whose endpoints one appliance opens together."""
    # What is not said comes first, so that a clash is told at what somebody wrote.
    defaults = [(key, fact) for facts in files for key in DEFAULT_PORTS for fact in _defaults(facts, key)]
    said = [(key, fact) for facts in files for key in DEFAULT_PORTS for fact in _said(facts, key)]
    told: list[Fact[Endpoint]] = []
    for keys, protocol in ((STREAMS, "TCP"), (DATAGRAMS, "UDP")):
        taken: list[tuple[str, Fact[Endpoint]]] = []
        for key, endpoint in (each for each in [*defaults, *said] if each[0] in keys):
            other = _clash(key, endpoint.value, taken)
            if other and endpoint not in told:  # DNS may clash with itself in both protocols
                told.append(endpoint)
                where = f"{other.owner} ({other.place(endpoint.document)})"
                yield endpoint.error(f"{endpoint.value} is the {protocol} port of {where} too; give it another port")
            taken.append((key, endpoint))
    for facts in files:
        yield from _dhcp_ports(facts, [fact for key in DATAGRAMS for fact in _said(facts, key)])
        yield from _without_web_server(facts)
    for facts in files[1:]:
        yield from _one_appliance(files[0], facts)


def _said(facts: Facts, key: str) -> list[Fact[Endpoint]]:
    return facts.all_at(addresses.parse_endpoint(DEFAULT_PORTS[key]), "listen", key, owner=f"listen.{key}")


def _defaults(facts: Facts, key: str) -> list[Fact[Endpoint]]:
    if facts.has("listen", key):
        return []
    owner = f"listen.{key} by default"
    if key == "dashboard":
        return [Fact(DASHBOARD, ("listen",), facts.document, owner)]
    own: list[Fact[IPv4Address]] = [*([facts.appliance] if facts.appliance else []), *facts.servers]
    return [Fact(Endpoint(each.value, DEFAULT_PORTS[key]), each.path, facts.document, owner) for each in own]


def _clash(key: str, endpoint: Endpoint, taken: list[tuple[str, Fact[Endpoint]]]) -> Fact[Endpoint] | None:
    for other_key, other in taken:
        # One socket serves all that ask for it.
        is_shared = key == other_key and endpoint == other.value
        if not is_shared and _collide(endpoint, other.value):
            return other
    return None


def _collide(one: Endpoint, other: Endpoint) -> bool:
    if one.port != other.port or one.address.version != other.address.version:
        return False
    return one.address == other.address or one.address.is_unspecified or other.address.is_unspecified


def _dhcp_ports(facts: Facts, datagrams: list[Fact[Endpoint]]) -> Iterator[Problem]:
    said = facts.at(fields.parse_whole(1, 65535), "listen", "dhcpPort")
    server = said.value if said else DHCP_PORT
    uses = {
        server: "the DHCP server",
        server + 1: "DHCP clients",
        server + PROXY_PORT_DISTANCE: "the proxy DHCP server",
    }
    for endpoint in datagrams:
        if use := uses.get(endpoint.value.port):
            yield endpoint.error(f"{endpoint.value} is the UDP port of {use}; give it another port")


def _without_web_server(facts: Facts) -> Iterator[Problem]:
    """Yield the appliance's addresses that URLs for machines contain, but that listen.http does not cover."""
    endpoints = [fact.value for fact in _said(facts, "http")]
    if not endpoints or len(endpoints) < facts.count("listen", "http"):
        return  # the default covers every address, and an unreadable entry has an error of its own
    named = {server.value: server for server in (*([facts.appliance] if facts.appliance else []), *facts.servers)}
    for address, server in named.items():
        if endpoint_of(address, endpoints) is None:
            where = f"{server.owner} ({server.place(facts.document)})"
            yield facts.here("listen", "http").warning(
                f"does not include {address}, {where}, but machines will be sent to {server_url(address, endpoints)};"
                f" add {address}, unless something else forwards that address to the appliance"
            )


def _one_appliance(first: Facts, other: Facts) -> Iterator[Problem]:
    for key, usual in (("dhcpPort", str(DHCP_PORT)), ("tftpSinglePort", "false")):
        here, there = (facts.document.value_at(("listen", key)) or usual for facts in (other, first))
        if here != there:
            where = other.here("listen", key) if other.has("listen", key) else other.here("listen")
            yield where.error(f"is {here}, and {there} in {first.document.file}; one appliance has one: say it in both")
