"""The loopback interface as the link of a simulated machine, for tests of a single protocol."""

import socket
from ipaddress import IPv4Address

from appliance.model import MacAddress
from appliance.simulate.link import DhcpPort, bound_socket


class Loopback:
    """A link over loopback, for every protocol but DHCP."""

    giaddr = IPv4Address(0)

    def dhcp(self, xid: int, mac: MacAddress) -> DhcpPort:
        raise NotImplementedError

    def socket(self, kind: socket.SocketKind, address: IPv4Address, port: int = 0) -> socket.socket:
        return bound_socket(kind, address, port)

    def configure(self, address: IPv4Address, prefix: int, router: IPv4Address | None) -> None: ...

    def release(self) -> None: ...
