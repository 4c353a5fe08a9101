"""The interfaces of this machine that have an IPv6 address, from /proc/net/if_inet6."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

IF_INET6 = Path("/proc/net/if_inet6")
ARPHRD_ETHER = 1  # linux/if_arp.h


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface."""

    index: int
    name: str
    addresses: tuple[int, ...]  # as numbers


def list_interfaces() -> dict[int, Interface]:
    """Return the interfaces that have an IPv6 address, by index; none where the kernel has no IPv6."""
    try:
        text = IF_INET6.read_text()
    except OSError:
        return {}
    return read_interfaces(text.splitlines())


def mac_of(name: str) -> bytes:
    """Return the MAC address of the interface *name*; b"" if it is not Ethernet, or was removed."""
    place = Path("/sys/class/net") / name
    try:
        is_ethernet = int((place / "type").read_text()) == ARPHRD_ETHER
        return bytes.fromhex((place / "address").read_text().strip().replace(":", "")) if is_ethernet else b""
    except (OSError, ValueError):
        return b""


def read_interfaces(lines: Iterable[str]) -> dict[int, Interface]:
    """Return the interfaces in *lines*, each with an address, an index, three numbers in hexadecimal and a name."""
    found: dict[int, Interface] = {}
    for line in lines:
        address, index, _prefix, _scope, _flags, name = line.split()
        number = int(index, 16)
        before = found[number].addresses if number in found else ()
        found[number] = Interface(number, name, (*before, int(address, 16)))
    return found
