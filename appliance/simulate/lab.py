"""The lab: this process moves to its own network namespace, with a bridge and a veth pair to each machine.

The namespaces have no names outside and disappear with the processes that hold them,
however those end. Works as root, and as any user where unprivileged user namespaces
are allowed.
"""

import ctypes
import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import IPv4Address, IPv4Interface, IPv6Interface
from pathlib import Path
from types import TracebackType
from typing import Self

from appliance.errors import SimulationError
from appliance.model import MacAddress
from appliance.simulate.link import PacketLink
from appliance.simulate.machine import Ports
from appliance.simulate.namespace import Namespace, ip, ip_json

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000  # linux/sched.h
BRIDGE = "lab"
# A bridge without an address of its own takes the lowest of its ports'. That changes when a machine is unplugged,
# and the other machines keep sending to the old address until their neighbour entries expire.
BRIDGE_MAC = "02:00:00:00:00:01"
CARRIER_SECONDS = 5.0
PR_SET_PDEATHSIG = 1  # linux/prctl.h

_libc = ctypes.CDLL(None, use_errno=True)


def enter_own_network() -> None:
    """Move this process to an empty network namespace, in which it is root. Raises OSError where that is forbidden.

    Call it before the process starts a second thread.
    """
    uid, gid = os.geteuid(), os.getegid()
    if _libc.unshare(CLONE_NEWNET) == 0:
        return
    if _libc.unshare(CLONE_NEWUSER | CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "this machine does not allow network namespaces")
    # user_namespaces(7): one line each, and setgroups must be denied before the group map is written.
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send this process *signal_number* when its parent ends (prctl(2)). For preexec_fn."""
    _libc.prctl(PR_SET_PDEATHSIG, signal_number)


class Bridge:
    """A bridge that this process and the machines are connected to."""

    def __init__(self, name: str, ports: Ports) -> None:
        """Use the bridge *name*, which may exist already."""
        self.name, self.ports = name, ports
        self._places: list[Namespace] = []
        self._cables: list[str] = []

    @classmethod
    def make(cls, name: str, addresses: Sequence[IPv4Interface | IPv6Interface], ports: Ports) -> Self:
        """Create the bridge *name* with *addresses* in this process's network namespace. Raises SimulationError."""
        ip(
            "link set lo up",
            # Ports forward at once: a boot ROM gives up within the 30 s of the spanning tree's learning phase.
            f"link add {name} address {BRIDGE_MAC} type bridge stp_state 0 forward_delay 0",
            f"link set {name} up",
            # Without the search for duplicates, during which nothing can listen on an IPv6 address.
            *(f"addr add {address} dev {name}{' nodad' if address.version == 6 else ''}" for address in addresses),
        )
        return cls(name, ports)

    def plug(self, mac: MacAddress) -> PacketLink:
        """Return the link of a new machine, in a network namespace of its own. Raises SimulationError."""
        # The name of an interface has at most 15 characters.
        place = self._cabled(f"lab{mac.octets.hex()}", f"address {mac}")
        return PacketLink("eth0", self.ports, place)

    def plug_router(self, address: IPv4Interface) -> Namespace:
        """Return the namespace of a router with *address* on this bridge. Raises SimulationError."""
        place = self._cabled("labrouter", "")
        ip(f"addr add {address} dev eth0", place=place)
        return place

    def _cabled(self, cable: str, properties: str) -> Namespace:
        """Return a new namespace whose eth0 is connected to the bridge."""
        place = Namespace()
        self._places.append(place)
        ip(
            f"link add {cable} type veth peer name eth0 {properties} netns {place.path}",
            f"link set {cable} master {self.name} up",
        )
        self._cables.append(cable)
        ip("link set lo up", "link set eth0 up", place=place)
        return place

    def wait_for_carrier(self) -> None:
        """Wait until the bridge can send: its first port gives it a carrier, which the kernel notices within 1 s.

        Raises SimulationError after CARRIER_SECONDS.
        """
        deadline = time.monotonic() + CARRIER_SECONDS
        while time.monotonic() < deadline:
            links = ip_json("link", "show", "dev", self.name)
            if links and links[0].get("operstate") == "UP":
                return
            time.sleep(0.02)
        raise SimulationError(f"the bridge {self.name} has no carrier; is it up? (ip link set {self.name} up)")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for cable in self._cables:
            # A veth disappears with its peer; the kernel may have removed it already.
            with suppress(OSError):
                socket.if_nametoindex(cable)
                ip(f"link del {cable}")
        for place in self._places:
            place.close()


@contextmanager
def card_on(interface: str, mac: MacAddress, ports: Ports) -> Iterator[PacketLink]:
    """Yield the link of a new machine with the address *mac*, a macvlan on *interface* in a namespace of its own.

    Everything that the machine sends then comes from its own MAC address. Raises SimulationError.
    """
    try:
        place = Namespace()
    except OSError as error:
        raise SimulationError(
            f"cannot connect a machine to {interface}: {error.strerror}; root or CAP_NET_ADMIN and CAP_SYS_ADMIN are"
            " required"
        ) from error
    try:
        ip(f"link add link {interface} name eth0 netns {place.path} address {mac} type macvlan mode private")
        ip("link set lo up", "link set eth0 up", place=place)
        yield PacketLink("eth0", ports, place)
    finally:
        place.close()


def free_base_port() -> int:
    """Return a port P where P, P+1 and P+3944 are free for UDP on every address: DHCP's three, moved up."""
    for step in range(1000):
        # Start at a port that depends on the process: two processes at once would otherwise find the same ports.
        port = 26700 + (os.getpid() + step) % 1000 * 10
        with ExitStack() as held, suppress(OSError):
            for needed in (port, port + 1, port + 3944):
                held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).bind(("", needed))
            return port
    raise SimulationError("no three free UDP ports between 26700 and 40634")


def free_port(address: IPv4Address) -> int:
    """Return a port that is free for UDP and TCP on *address* at the moment."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
            udp.bind((str(address), 0))
            port: int = udp.getsockname()[1]
            with suppress(OSError):
                tcp.bind((str(address), port))
                return port
