"""Where the services listen: no two need the same port, in one file or in several."""

from collections.abc import Iterator, Sequence

from appliance.boot.urls import endpoint_of, server_url
from appliance.config.document import Placed
from appliance.config.draft import Draft
from appliance.config.words import DEFAULT_PORTS
from appliance.errors import Problem
from appliance.model import BOOT_SERVER_DISTANCE, Endpoint

STREAMS = ("dns", "http", "dashboard")
DATAGRAMS = ("dns", "tftp")


def problems_between(drafts: Sequence[Draft]) -> Iterator[Problem]:
    """Yield what is wrong with `listen` in *drafts*, whose endpoints one appliance opens together."""
    # Defaults come first, so that a conflict is reported at a value in a file.
    defaults = [
        (key, endpoint)
        for draft in drafts
        for key in DEFAULT_PORTS
        if not _is_written(draft, key)
        for endpoint in draft.endpoints(key)
    ]
    written = [(key, endpoint) for draft in drafts for key in DEFAULT_PORTS for endpoint in _written(draft, key)]
    reported: list[Placed[Endpoint]] = []
    for keys, protocol in ((STREAMS, "TCP"), (DATAGRAMS, "UDP")):
        taken: list[tuple[str, Placed[Endpoint]]] = []
        for key, endpoint in (each for each in [*defaults, *written] if each[0] in keys):
            other = _clash(key, endpoint.value, taken)
            if other and endpoint not in reported:  # DNS can conflict with itself in both protocols
                reported.append(endpoint)
                where = f"{other.owner} ({other.place(endpoint.document)})"
                yield endpoint.error(f"{endpoint.value} is already the {protocol} port of {where}; choose another port")
            taken.append((key, endpoint))
    for draft in drafts:
        yield from _dhcp_ports(draft)
        yield from _without_web_server(draft)
    for draft in drafts[1:]:
        yield from _one_appliance(drafts[0], draft)


def _is_written(draft: Draft, key: str) -> bool:
    return draft.document.has("listen", key)


def _written(draft: Draft, key: str) -> list[Placed[Endpoint]]:
    return draft.endpoints(key) if _is_written(draft, key) else []


def _clash(key: str, endpoint: Endpoint, taken: list[tuple[str, Placed[Endpoint]]]) -> Placed[Endpoint] | None:
    for other_key, other in taken:
        # Several clusters can share one socket.
        is_shared = key == other_key and endpoint == other.value
        if not is_shared and collide(endpoint, other.value):
            return other
    return None


def collide(endpoint: Endpoint, other: Endpoint) -> bool:
    """Whether sockets of one protocol cannot listen on both."""
    if endpoint.port != other.port or endpoint.address.version != other.address.version:
        return False
    return endpoint.address == other.address or endpoint.address.is_unspecified or other.address.is_unspecified


def _dhcp_ports(draft: Draft) -> Iterator[Problem]:
    server = draft.file.listen.dhcp_port
    uses = {
        server: "the DHCP server",
        server + 1: "DHCP clients",
        server + BOOT_SERVER_DISTANCE: "the proxy DHCP server",
    }
    for endpoint in (endpoint for key in DATAGRAMS for endpoint in _written(draft, key)):
        if use := uses.get(endpoint.value.port):
            yield endpoint.error(f"{endpoint.value} is the UDP port of {use}; choose another port")


def _without_web_server(draft: Draft) -> Iterator[Problem]:
    """Yield the appliance's addresses that URLs for machines contain, but that listen.http does not cover."""
    endpoints = [endpoint.value for endpoint in _written(draft, "http")]
    entries = draft.document.value_at(("listen", "http"))
    if not endpoints or (isinstance(entries, list) and len(endpoints) < len(entries)):
        return  # the default covers every address, and an unreadable entry has an error of its own
    for address, server in {server.value: server for server in draft.appliance_addresses}.items():
        if endpoint_of(address, endpoints) is None:
            where = f"{server.owner} ({server.place(draft.document)})"
            yield draft.document.here("listen", "http").warning(
                f"does not include {address}, {where}, but machines will be sent to {server_url(address, endpoints)};"
                f" add {address}, unless something else forwards that address to the appliance"
            )


def _one_appliance(first: Draft, other: Draft) -> Iterator[Problem]:
    for key, attribute in (("dhcpPort", "dhcp_port"), ("tftpSinglePort", "tftp_single_port")):
        own, others = (_setting(draft, key, attribute) for draft in (other, first))
        if own is not None and others is not None and own != others:
            is_written = other.document.has("listen", key)
            where = other.document.here("listen", key) if is_written else other.document.here("listen")
            yield where.error(
                f"is {own} here and {others} in {first.document.file}; one appliance "
                "has one value: write the same in both"
            )


def _setting(draft: Draft, key: str, attribute: str) -> str | None:
    """Return the value of `listen.<key>`, or its default, as it is spelled; None if it cannot be read."""
    listen = draft.file.listen
    is_unreadable = draft.document.has("listen", key) and attribute not in listen.model_fields_set
    return None if is_unreadable else str(getattr(listen, attribute)).lower()
