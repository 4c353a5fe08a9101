"""The spelling of addresses in cluster.yaml: Ethernet and IP addresses, networks and endpoints.

As in fields.py, parsers raise ValueError with a complete message.
"""

import ipaddress
import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from appliance.config.fields import parse_domain, parse_whole, wrong
from appliance.model import Address, Cidr, Endpoint, MacAddress

_MAC_OCTETS = re.compile(r"[0-9A-Fa-f]{1,2}([:-][0-9A-Fa-f]{1,2})+")
_DOTTED = re.compile(r"\d+(\.\d+){3}", re.ASCII)
_BIND = re.compile(r"(?P<v4>\d{1,3}(\.\d{1,3}){3}):\d+|\[(?P<v6>[0-9A-Fa-f:.]+)\](:\d+)?", re.ASCII)
_PORT = re.compile(r"\d{1,5}", re.ASCII)


def parse_mac(text: str) -> MacAddress:
    """Return the unicast Ethernet address that *text* spells."""
    try:
        mac = MacAddress.parse(text)
    except ValueError:
        if _MAC_OCTETS.fullmatch(text.strip()):
            count = len(re.split("[:-]", text.strip()))
            if count != 6:
                raise wrong(text, f"has {count} bytes; a MAC address has 6") from None
        raise wrong(text, "is not a MAC address; for example 52:54:00:12:34:56") from None
    if mac.octets[0] & 1:
        raise wrong(text, "is a multicast address; the first byte of an interface's own address is even")
    if not any(mac.octets):
        raise wrong(text, "is not the address of an interface; write the machine's own")
    return mac


def parse_address(text: str) -> Address:
    """Return the IPv4 or IPv6 address that *text* spells."""
    return parse_ipv6(text) if ":" in text else parse_ipv4(text)


def as_ipv4(address: Address | None) -> IPv4Address | None:
    """Return *address* if it is IPv4."""
    return address if isinstance(address, IPv4Address) else None


def as_ipv6(address: Address | None) -> IPv6Address | None:
    """Return *address* if it is IPv6."""
    return address if isinstance(address, IPv6Address) else None


def parse_ipv4(text: str) -> IPv4Address:
    """Return the IPv4 address that *text* spells."""
    try:
        return IPv4Address(text.strip())
    except ValueError:
        if "/" in text:
            raise wrong(text, "has a prefix length; write only the address, for example 192.0.2.21") from None
        if ":" in text:
            raise wrong(
                text, "is not an IPv4 address, and only IPv4 is supported here; for example 192.0.2.21"
            ) from None
        if _DOTTED.fullmatch(text.strip()):
            # Nine digits decide it, and int() refuses texts of more than 4,300 digits.
            is_large = any(int(part[:9]) > 255 for part in text.split("."))
            reason = "has a part above 255" if is_large else "has leading zeros"
            raise wrong(text, f"{reason}; for example 192.0.2.21") from None
        raise wrong(text, "is not an IPv4 address; for example 192.0.2.21") from None


def parse_time_server(text: str) -> Address | str:
    """Return the address or name that *text* spells."""
    if ":" in text or "/" in text or _DOTTED.fullmatch(text.strip()):
        return parse_address(text)
    return parse_domain(text)


def parse_ipv6(text: str) -> IPv6Address:
    """Return the IPv6 address that *text* spells; an address with a zone, such as fe80::1%eth0, is refused."""
    try:
        address = IPv6Address(text.strip())
    except ValueError:
        if match := _BIND.fullmatch(text.strip()):
            reason = "has brackets" if text.strip().endswith("]") else "has a port"
            raise wrong(text, f"{reason}; write only the address, {match['v4'] or match['v6']}") from None
        raise wrong(text, "is not an IPv6 address; for example 2001:db8::21") from None
    if address.scope_id is not None:
        raise wrong(text, "contains an interface name; write only the address, for example 2001:db8::21")
    return address


def parse_scoped_address(text: str) -> Address:
    """Return the address that *text* spells; a link-local IPv6 address may have a zone, such as fe80::1%eno1."""
    try:
        address = IPv6Address(text.strip())
    except ValueError:
        return parse_address(text)
    return address if address.is_link_local else parse_ipv6(text)


def parse_cidr(text: str) -> Cidr:
    """Return the network that *text* spells."""
    try:
        network = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        network = None
    if network is None or "/" not in text:
        raise wrong(text, "is not a network; for example 192.0.2.0/24")
    if ipaddress.ip_interface(text.strip()).ip != network.network_address:
        raise wrong(text, f"has bits set after the prefix; the network is {network}")
    return network


def parse_cidr4(text: str) -> IPv4Network:
    """Return the IPv4 network that *text* spells."""
    network = parse_cidr(text)
    if isinstance(network, IPv6Network):
        raise wrong(text, "is an IPv6 network, and only IPv4 is supported here; for example 192.0.2.0/24")
    return network


def parse_range(text: str) -> Cidr:
    """Return the network that *text* spells; an address is a network of one."""
    if not re.search(r"[0-9:]", text):
        raise wrong(text, "is neither a network nor an address; for example 192.0.2.0/24")
    return parse_cidr(text) if "/" in text else ipaddress.ip_network(parse_address(text))


def parse_endpoint(default_port: int) -> Callable[[str], Endpoint]:
    """Return the parser of an address with an optional port, which is *default_port* if the text has none."""

    def parse(text: str) -> Endpoint:
        spelled = text.strip()
        if "://" in spelled:
            raise wrong(text, f"is a URL; write only the address, for example 192.0.2.5:{default_port}")
        if spelled.startswith("["):
            address, port_text = _bracketed(text, spelled, default_port)
        elif spelled.count(":") > 1:
            address, port_text = parse_ipv6(spelled), ""
        else:
            host, colon, port_text = spelled.partition(":")
            address = _endpoint_address(text, host, port_text, default_port)
            if colon and not port_text:
                raise wrong(text, f"ends with a colon; write {address}:{default_port}")
        return Endpoint(address, parse_whole(1, 65535)(port_text) if port_text else default_port)

    return parse


def _bracketed(text: str, spelled: str, default_port: int) -> tuple[Address, str]:
    """Return the IPv6 address in brackets, and the text of the port after it."""
    inner, bracket, rest = spelled[1:].partition("]")
    if not bracket or (rest and not rest.startswith(":")):
        raise wrong(text, f"is not an address and port; for example [2001:db8::1]:{default_port}")
    if _DOTTED.fullmatch(inner):
        raise wrong(text, f"has brackets, which are only for IPv6; write {inner}{rest}")
    return parse_ipv6(inner), rest.removeprefix(":")


def _endpoint_address(text: str, host: str, port_text: str, default_port: int) -> IPv4Address:
    """Return the IPv4 address *host*, the part of the endpoint *text* before its port."""
    if _DOTTED.fullmatch(host) or "/" in host:
        return parse_ipv4(host)
    # Either "53" or ":53".
    if _PORT.fullmatch(port := host or port_text) and not (host and port_text):
        raise wrong(text, f"is only a port; write 192.0.2.5:{port}, or 0.0.0.0:{port} for every address")
    port = port_text if _PORT.fullmatch(port_text) else str(default_port)
    if host == "*":
        raise wrong(text, f"uses * for every address; write 0.0.0.0:{port}, or [::]:{port} for IPv6")
    if re.search("[A-Za-z]", host):
        raise wrong(text, f"is a host name; write its address, for example 192.0.2.5:{port} or [2001:db8::5]:{port}")
    raise wrong(text, f"is not an address; for example 192.0.2.5:{port} or [2001:db8::5]:{port}")
