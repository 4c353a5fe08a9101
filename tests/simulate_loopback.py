"""The loopback interface as the link of a simulated machine, for tests of a single protocol."""

import socket
from ipaddress import IPv4Address

from appliance.model import Address, MacAddress
from appliance.simulate.link import DhcpPort, bound_socket


class Loopback:
    """A link over loopback, for every protocol but DHCP."""

    giaddr = IPv4Address(0)

    def dhcp(self, xid: int, mac: MacAddress) -> DhcpPort:
        raise NotImplementedError

    async def dhcp6(self) -> socket.socket:
        raise NotImplementedError

    def socket(self, kind: socket.SocketKind, address: Address, port: int = 0) -> socket.socket:
        return bound_socket(kind, address, port)

    def configure(self, address: Address, prefix: int, router: Address | None) -> None: ...

    def release(self) -> None: ...
