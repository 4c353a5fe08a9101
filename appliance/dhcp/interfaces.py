"""The interfaces of this machine that have an IPv4 address, from netdevice(7)."""

import fcntl
import socket
import struct
from array import array
from dataclasses import dataclass

SIOCGIFCONF = 0x8912
SIOCGIFHWADDR = 0x8927
ARPHRD_ETHER = 1
_IFREQ = struct.Struct("16sHH4s16x")  # name, family, port, address
_HWADDR = struct.Struct("16xH6s16x")  # type of hardware, address
_IFCONF = struct.Struct("iP")
MAX_ADDRESSES = 1024  # 40 bytes each; the kernel leaves out addresses that do not fit in the buffer


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface."""

    index: int
    name: str
    addresses: tuple[int, ...]  # as numbers
    mac: bytes | None  # None for an interface that is not Ethernet


def list_interfaces(sock: socket.socket) -> dict[int, Interface]:
    """Return the interfaces that have an IPv4 address, by index; *sock* is any socket in their network namespace."""
    addresses: dict[str, list[int]] = {}
    for name, address in _addresses(sock):
        addresses.setdefault(name, []).append(address)
    found: dict[int, Interface] = {}
    for name, numbers in addresses.items():
        try:
            index = socket.if_nametoindex(name)
            answer = fcntl.ioctl(sock, SIOCGIFHWADDR, struct.pack("16s24x", name.encode()))
        except OSError:
            continue  # it was removed in the meantime
        hardware, mac = _HWADDR.unpack(answer)
        found[index] = Interface(index, name, tuple(numbers), mac if hardware == ARPHRD_ETHER else None)
    return found


def _addresses(sock: socket.socket) -> list[tuple[str, int]]:
    buffer = array("B", bytes(_IFREQ.size * MAX_ADDRESSES))
    pointer, _ = buffer.buffer_info()
    answer = fcntl.ioctl(sock, SIOCGIFCONF, _IFCONF.pack(len(buffer), pointer))
    size: int = _IFCONF.unpack(answer)[0]
    return [
        # eth0:1 is the label of an address; the interface is the part before the colon.
        (name.rstrip(b"\0").decode().partition(":")[0], int.from_bytes(address, "big"))
        for name, _family, _port, address in _IFREQ.iter_unpack(buffer.tobytes()[: size - size % _IFREQ.size])
    ]
