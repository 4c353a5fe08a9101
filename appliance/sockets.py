"""Every socket that the appliance opens, with every option that it sets.

Each function raises ListenError with one line that says what to do.
"""

import ctypes
import errno
import os
import socket
import struct
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from appliance.errors import ListenError

# A boot storm arrives in one burst: 1,000 hosts, 600 bytes each, some retrying.
RECEIVE_BUFFER_BYTES = 4 << 20
SEND_BUFFER_BYTES = 4 << 20
BACKLOG = 1024

IP_PKTINFO = 8  # linux/in.h; socket.IP_PKTINFO comes with Python 3.14
IN_PKTINFO = struct.Struct("=i4s4s")  # ifindex, local address, header's destination address
IN6_PKTINFO = struct.Struct("=16sI")  # destination address, ifindex (RFC 3542 section 6)
ETH_P_IP = 0x0800
SO_ATTACH_FILTER = 26  # asm-generic/socket.h
IP_MTU_DISCOVER, IP_PMTUDISC_DONT, IP_MTU = 10, 0, 14  # linux/in.h
IPV6_MTU = 24  # linux/in6.h
SOL_UDP, UDP_SEGMENT = 17, 103  # linux/udp.h


def udp_server(
    address: IPv4Address | IPv6Address,
    port: int,
    *,
    setting: str,
    interface: str = "",
    with_packet_info: bool = False,
    broadcast: bool = False,
    shares_port: bool = False,
) -> socket.socket:
    """Return a bound, non-blocking UDP socket.

    *setting* is the key of cluster.yaml that asks for it, for the error. With
    *with_packet_info* each datagram tells its interface and destination. With
    *shares_port* a later socket may bind the port on an address of its own; a
    port that is taken already is an error all the same.
    """
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        _grow_buffers(sock)
        if broadcast:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        if with_packet_info and address.version == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        elif with_packet_info:
            sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
        if interface:
            bind_to_interface(sock, interface)
        if address.version == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((str(address), port))
        if shares_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    except OSError as error:
        sock.close()
        where = f"{address}:{port}/udp on {interface}" if interface else f"{address}:{port}/udp"
        raise _listen_error(error, where, setting) from error
    return sock


def bind_to_interface(sock: socket.socket, interface: str) -> None:
    """Let *sock* serve *interface* alone, also one that was made anew under its old name.

    Raises OSError: the second time it takes CAP_NET_RAW.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")


def udp_transfer(address: IPv4Address | IPv6Address) -> socket.socket:
    """Return a non-blocking UDP socket on a port of the kernel's choice, for one exchange with one peer."""
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.bind((str(address), 0))
    except OSError as error:
        sock.close()
        raise ListenError(f"cannot open a socket on {address}: {error.strerror}") from error
    return sock


def path_mtu(sock: socket.socket) -> int:
    """Return the largest IP packet, in bytes, that the route of a connected socket is known to carry."""
    if sock.family == socket.AF_INET6:
        return sock.getsockopt(socket.IPPROTO_IPV6, IPV6_MTU)
    return sock.getsockopt(socket.IPPROTO_IP, IP_MTU)


def allow_fragments(sock: socket.socket) -> None:
    """Let routers fragment what *sock* sends over IPv4.

    Where a tunnel carries less than the interface says and ICMP is filtered, a
    datagram that must not be fragmented never arrives, however often it is sent.
    """
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)


def reply_source(ancillary: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """Return the ancillary data that sends a reply from the address that its query, come with *ancillary*, went to.

    The interface is left to the routes, which may lead back another way.
    """
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP and len(data) >= IN_PKTINFO.size:
            _interface, local, _destination = IN_PKTINFO.unpack_from(data)
            return [(level, kind, IN_PKTINFO.pack(0, local, bytes(4)))]
        if level == socket.IPPROTO_IPV6 and len(data) >= IN6_PKTINFO.size:
            local, interface = IN6_PKTINFO.unpack_from(data)
            # A link-local address is one of many that are the same, and only the interface tells them apart.
            kept = interface if IPv6Address(local).is_link_local else 0
            return [(level, kind, IN6_PKTINFO.pack(local, kept))]
    return ancillary


def from_address(address: IPv4Address) -> tuple[int, int, bytes]:
    """Return the ancillary data that sends a datagram from *address* (ip(7))."""
    return socket.IPPROTO_IP, IP_PKTINFO, IN_PKTINFO.pack(0, address.packed, bytes(4))


def in_segments(segment_bytes: int) -> tuple[int, int, bytes]:
    """Return the ancillary data that cuts one send into datagrams of *segment_bytes* each (udp(7))."""
    return SOL_UDP, UDP_SEGMENT, struct.pack("=H", segment_bytes)


def udp_client(address: IPv4Address | IPv6Address, port: int) -> socket.socket:
    """Return a non-blocking UDP socket that speaks with one peer only, from a port that the kernel picks at random.

    Raises OSError: a caller can try another peer.
    """
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.connect((str(address), port))
    except OSError:
        sock.close()
        raise
    return sock


def tcp_server(address: IPv4Address | IPv6Address, port: int, *, setting: str) -> socket.socket:
    """Return a listening, non-blocking TCP socket."""
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        # A restart must not wait for the last connections' TIME_WAIT.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address.version == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((str(address), port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise _listen_error(error, f"{address}:{port}/tcp", setting) from error
    return sock


def packet_sender(interface: str) -> socket.socket:
    """Return a socket that sends whole Ethernet frames from *interface* and receives none (packet(7)).

    Raises PermissionError without CAP_NET_RAW: a caller can do without.
    """
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
    try:
        sock.bind((interface, 0))
    except OSError:
        sock.close()
        raise
    return sock


def packet_client(interface: str, port: int) -> socket.socket:
    """Return a socket that sends frames from *interface* and receives those that bring UDP to *port*.

    Raises PermissionError without CAP_NET_RAW: a caller can do without.
    """
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
    try:
        # Before it is bound, so that none of the interface's other traffic is queued.
        _attach_filter(sock, _udp_port_filter(port))
        sock.bind((interface, ETH_P_IP))
    except OSError:
        sock.close()
        raise
    return sock


def control_server(path: Path) -> socket.socket:
    """Return a listening UNIX socket that only its owner may connect to.

    A socket file that nobody answers on any more is replaced; one that answers
    belongs to a running appliance, and is an error.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if path.is_socket():
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                try:
                    probe.connect(str(path))
                except ConnectionRefusedError:
                    path.unlink()
                else:
                    raise ListenError(f"cannot listen on {path}: an appliance is running there; stop it first")
        mask = os.umask(0o177)
        try:
            sock.bind(str(path))
        finally:
            os.umask(mask)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise ListenError(f"cannot listen on {path}: {error.strerror}; is its directory there and yours?") from error
    except ListenError:
        sock.close()
        raise
    return sock


def notify_sender() -> socket.socket:
    """Return a socket for sd_notify(3)."""
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)


def _udp_port_filter(port: int) -> bytes:
    """Return a BPF program that passes unfragmented IPv4 UDP to *port* (bpf(4): code, jump true, jump false, k)."""
    instructions = (
        (0x28, 0, 0, 12),  # the frame's type
        (0x15, 0, 8, ETH_P_IP),
        (0x30, 0, 0, 23),  # IP's protocol
        (0x15, 0, 6, socket.IPPROTO_UDP),
        (0x28, 0, 0, 20),  # fragment offset
        (0x45, 4, 0, 0x1FFF),
        (0xB1, 0, 0, 14),  # X = length of IP's header
        (0x48, 0, 0, 16),  # destination port, after X
        (0x15, 0, 1, port),
        (0x06, 0, 0, 0xFFFF),  # pass
        (0x06, 0, 0, 0),  # drop
    )
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)


def _attach_filter(sock: socket.socket, program: bytes) -> None:
    place = ctypes.create_string_buffer(program, len(program))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(program) // 8, ctypes.addressof(place)))


def _grow_buffers(sock: socket.socket) -> None:
    # The FORCE form passes net.core.rmem_max but needs CAP_NET_ADMIN; the plain one is cut to it.
    for force, plain, size in (
        (33, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES),  # SO_RCVBUFFORCE
        (32, socket.SO_SNDBUF, SEND_BUFFER_BYTES),  # SO_SNDBUFFORCE
    ):
        try:
            sock.setsockopt(socket.SOL_SOCKET, force, size)
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, plain, size)


def _listen_error(error: OSError, where: str, setting: str) -> ListenError:
    remedy = {
        errno.EADDRINUSE: f"stop the other server, or set {setting}",
        errno.EACCES: f"run as root, give CAP_NET_BIND_SERVICE (the systemd unit does), or set {setting} above 1023",
        errno.EPERM: "run as root or give CAP_NET_RAW (the systemd unit does)",
        errno.EADDRNOTAVAIL: f"the address is not on this machine; add it to an interface, or set {setting}",
        errno.ENODEV: f"there is no such interface; set {setting}",
    }.get(error.errno or 0, f"see {setting}")
    return ListenError(f"cannot listen on {where}: {(error.strerror or str(error)).lower()}; {remedy}")
