"""Every socket that the appliance opens, with every option that it sets.

Functions that open a configured address raise ListenError, whose one line says
what failed and how to fix it.
"""

import ctypes
import errno
import os
import socket
import struct
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from appliance.errors import ListenError
from appliance.model import Endpoint

# A boot storm arrives in a burst: 1,000 hosts with 600 bytes each, some of them twice. The kernel charges about 2 KiB
# of memory for such a datagram, so 4 MiB hold 2,000 of them.
RECEIVE_BUFFER_BYTES = 4 << 20
SEND_BUFFER_BYTES = 4 << 20
BACKLOG = 1024  # for 1,000 hosts that connect at the same moment; the kernel limits it to net.core.somaxconn

IP_PKTINFO = 8  # linux/in.h; socket.IP_PKTINFO comes with Python 3.14
IN_PKTINFO = struct.Struct("=i4s4s")  # ifindex, local address, header's destination address
IN6_PKTINFO = struct.Struct("=16sI")  # destination address, ifindex (RFC 3542 section 6)
HOPS = struct.Struct("=i")
ROUTER_DISCOVERY_ANCILLARY = socket.CMSG_SPACE(IN6_PKTINFO.size) + socket.CMSG_SPACE(HOPS.size)
ICMP6_FILTER = 1  # linux/icmpv6.h
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

    *setting* is the key of cluster.yaml that configures it, for the error message.
    With *with_packet_info* each datagram comes with its interface and destination
    address. With *shares_port* a later socket may bind the same port at a more
    specific address; a port that is already in use is an error all the same.
    """
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    where = f"{Endpoint(address, port)}/udp on {interface}" if interface else f"{Endpoint(address, port)}/udp"
    try:
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    except OSError as error:
        raise _listen_error(error, where, setting) from error
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
        # Otherwise a socket on [::] would take the port for IPv4 too, and could not coexist with one on 0.0.0.0.
        if address.version == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((str(address), port))
        # After bind: set before it, the option would let this socket share a port that is already in use.
        if shares_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    except OSError as error:
        sock.close()
        raise _listen_error(error, where, setting) from error
    return sock


def bind_to_interface(sock: socket.socket, interface: str) -> None:
    """Bind *sock* to *interface*, or again to one that was deleted and created under the same name.

    Raises OSError. Binding a socket that is already bound requires CAP_NET_RAW.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")


def join_group(sock: socket.socket, group: IPv6Address, interface: int) -> None:
    """Have *sock* hear the multicast *group* on the interface with the index *interface*. Raises OSError."""
    try:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, struct.pack("=16sI", group.packed, interface))
    except OSError as error:
        # It hears it already: an interface that was down has lost its addresses, and keeps its groups.
        if error.errno != errno.EADDRINUSE:
            raise


def udp_transfer(address: IPv4Address | IPv6Address) -> socket.socket:
    """Return a non-blocking UDP socket on an ephemeral port, for one exchange with one peer (a TID of RFC 1350).

    Raises ListenError.
    """
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        sock.bind((str(address), 0))
    except OSError as error:
        sock.close()
        raise ListenError(f"cannot open a socket on {address}: {error.strerror}") from error
    return sock


def path_mtu(sock: socket.socket) -> int:
    """Return the path MTU that the kernel knows for a connected socket: bytes of a whole IP packet."""
    if sock.family == socket.AF_INET6:
        return sock.getsockopt(socket.IPPROTO_IPV6, IPV6_MTU)
    return sock.getsockopt(socket.IPPROTO_IP, IP_MTU)


def allow_fragments(sock: socket.socket) -> None:
    """Let routers fragment what *sock* sends over IPv4, by clearing DF.

    Behind a tunnel with a smaller MTU and a filter that drops ICMP, a large
    datagram with DF set is lost each time it is sent.
    """
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)


def reply_source(ancillary: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """Return the ancillary data for a reply, which has to leave from the address that its query was sent to.

    *ancillary* came with the query. The routing table chooses the interface, because
    the way back may be through another one.
    """
    for level, kind, data in ancillary:
        if level == socket.IPPROTO_IP and len(data) >= IN_PKTINFO.size:
            _interface, local, _destination = IN_PKTINFO.unpack_from(data)
            return [(level, kind, IN_PKTINFO.pack(0, local, bytes(4)))]
        if level == socket.IPPROTO_IPV6 and len(data) >= IN6_PKTINFO.size:
            local, interface = IN6_PKTINFO.unpack_from(data)
            # The same link-local address can exist on every link, so it needs its interface (RFC 4007 section 6).
            kept = interface if IPv6Address(local).is_link_local else 0
            return [(level, kind, IN6_PKTINFO.pack(local, kept))]
    return ancillary


def from_address(address: IPv4Address | IPv6Address) -> tuple[int, int, bytes]:
    """Return the ancillary data that sends a datagram from *address* (ip(7), ipv6(7))."""
    if isinstance(address, IPv6Address):
        return socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, IN6_PKTINFO.pack(address.packed, 0)
    return socket.IPPROTO_IP, IP_PKTINFO, IN_PKTINFO.pack(0, address.packed, bytes(4))


def in_segments(segment_bytes: int) -> tuple[int, int, bytes]:
    """Return the ancillary data that splits one send into datagrams of *segment_bytes* each (UDP_SEGMENT in udp(7))."""
    return SOL_UDP, UDP_SEGMENT, struct.pack("=H", segment_bytes)


def udp_client(address: IPv4Address | IPv6Address, port: int) -> socket.socket:
    """Return a non-blocking UDP socket that is connected to one peer, from a random ephemeral port.

    Raises OSError; the caller can try another peer.
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
    """Return a listening, non-blocking TCP socket; *setting* is as for `udp_server`. Raises ListenError."""
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        # Otherwise the appliance could not start again for a minute, while connections are in TIME_WAIT.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if address.version == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((str(address), port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise _listen_error(error, f"{Endpoint(address, port)}/tcp", setting) from error
    return sock


def router_discovery() -> socket.socket:
    """Return a socket for router solicitations and advertisements (RFC 4861), and for no other ICMPv6.

    What it sends has the hop limit 255 and is not heard by this machine; the kernel writes the checksum. Raises
    PermissionError without CAP_NET_RAW.
    """
    sock = socket.socket(
        socket.AF_INET6, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, socket.IPPROTO_ICMPV6
    )
    try:
        # A set bit blocks a type (RFC 3542 section 3.2). 133 and 134 are bits 5 and 6 of the fifth word.
        words = [0xFFFFFFFF] * 8
        words[4] &= ~0b1100000
        sock.setsockopt(socket.IPPROTO_ICMPV6, ICMP6_FILTER, struct.pack("=8I", *words))
        for option, value in (
            (socket.IPV6_RECVPKTINFO, 1),
            (socket.IPV6_RECVHOPLIMIT, 1),
            (socket.IPV6_MULTICAST_HOPS, 255),
            (socket.IPV6_MULTICAST_LOOP, 0),
        ):
            sock.setsockopt(socket.IPPROTO_IPV6, option, value)
    except OSError:
        sock.close()
        raise
    return sock


def arrival_of(ancillary: list[tuple[int, int, bytes]]) -> tuple[int, int]:
    """Return the interface and the hop limit of a datagram that came to `router_discovery` with *ancillary*."""
    values = {kind: data for level, kind, data in ancillary if level == socket.IPPROTO_IPV6}
    info, hops = values.get(socket.IPV6_PKTINFO, b""), values.get(socket.IPV6_HOPLIMIT, b"")
    index: int = IN6_PKTINFO.unpack(info)[1] if len(info) == IN6_PKTINFO.size else 0
    hop_limit: int = HOPS.unpack(hops)[0] if len(hops) == HOPS.size else 0
    return index, hop_limit


def packet_sender(interface: str) -> socket.socket:
    """Return a socket that sends whole Ethernet frames from *interface* and receives nothing (packet(7)).

    Raises PermissionError without CAP_NET_RAW; the caller can do without the socket.
    """
    # Protocol 0 receives no frames at all.
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
    try:
        sock.bind((interface, 0))
    except OSError:
        sock.close()
        raise
    return sock


def packet_client(interface: str, port: int) -> socket.socket:
    """Return a socket that sends frames from *interface* and receives those with UDP to *port*.

    Raises PermissionError without CAP_NET_RAW; the caller can do without the socket.
    """
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
    try:
        # The filter comes first: a socket that is bound without it queues all traffic of the interface.
        _attach_filter(sock, _udp_port_filter(port))
        sock.bind((interface, ETH_P_IP))
    except OSError:
        sock.close()
        raise
    return sock


def control_server(path: Path) -> socket.socket:
    """Return a listening UNIX socket that only its owner may connect to.

    Replaces a socket file that was left behind; one that accepts connections
    belongs to a running appliance and is an error. Raises ListenError.
    """
    sock = _bound_unix(path, socket.SOCK_STREAM, 0o600)
    sock.listen(BACKLOG)
    return sock


def log_server(path: Path) -> socket.socket:
    """Return a UNIX datagram socket for a log, to which only its owner and the group of its directory may send.

    Where chown(2) is forbidden, as in the systemd unit, that has to have the set-group-ID bit.
    Replaces a socket file as `control_server` does. Raises ListenError.
    """
    sock = _bound_unix(path, socket.SOCK_DGRAM, 0o660)
    try:
        group = path.parent.stat().st_gid
        if path.stat().st_gid != group:
            os.chown(path, -1, group)
    except OSError as error:
        sock.close()
        raise ListenError(
            f"cannot let the group of {path.parent} send to {path}: {error.strerror}; "
            f"give that directory the set-group-ID bit: chmod g+s {path.parent}"
        ) from error
    return sock


def _bound_unix(path: Path, kind: socket.SocketKind, mode: int) -> socket.socket:
    """Return a non-blocking UNIX socket of a server, whose file has *mode*. Raises ListenError."""
    sock = socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if path.is_socket():
            with socket.socket(socket.AF_UNIX, kind) as probe:
                try:
                    probe.connect(str(path))
                except ConnectionRefusedError:
                    path.unlink()
                else:
                    raise ListenError(f"cannot listen on {path}: another appliance is running; stop it first")
        # By the umask, because between bind and a chmod anybody could connect.
        mask = os.umask(0o777 & ~mode)
        try:
            sock.bind(str(path))
        finally:
            os.umask(mask)
    except OSError as error:
        sock.close()
        raise ListenError(
            f"cannot listen on {path}: {error.strerror or error}; check that its directory exists and is writable"
        ) from error
    except ListenError:
        sock.close()
        raise
    return sock


def route_netlink() -> socket.socket:
    """Return a socket that asks the kernel for routes and neighbours (rtnetlink(7)). Raises OSError."""
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)


def notify_sender() -> socket.socket:
    """Return a socket for sd_notify(3)."""
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)


def _udp_port_filter(port: int) -> bytes:
    """Return a BPF program that passes IPv4 UDP to *port*, except for fragments after the first.

    Each instruction has a code, two jump offsets (if true, if false) and a constant,
    as struct sock_filter in linux/filter.h. Constants that are offsets count from the
    start of the frame, whose Ethernet header has 14 bytes.
    """
    instructions = (
        (0x28, 0, 0, 12),  # EtherType
        (0x15, 0, 8, ETH_P_IP),
        (0x30, 0, 0, 23),  # protocol in the IPv4 header
        (0x15, 0, 6, socket.IPPROTO_UDP),
        (0x28, 0, 0, 20),  # flags and fragment offset
        (0x45, 4, 0, 0x1FFF),
        (0xB1, 0, 0, 14),  # X = length of the IPv4 header
        (0x48, 0, 0, 16),  # UDP destination port
        (0x15, 0, 1, port),
        (0x06, 0, 0, 0xFFFF),  # pass
        (0x06, 0, 0, 0),  # drop
    )
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)


def _attach_filter(sock: socket.socket, program: bytes) -> None:
    buffer = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions, of 8 bytes each, and a pointer to them, which the kernel copies.
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(program) // 8, ctypes.addressof(buffer)))


def _grow_buffers(sock: socket.socket) -> None:
    # The FORCE options may exceed net.core.rmem_max and wmem_max but need CAP_NET_ADMIN; the others cannot.
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
        errno.EAFNOSUPPORT: f"this machine has no IPv6; enable it, or set {setting}",
        errno.EADDRNOTAVAIL: f"the address is not on this machine; add it to an interface, or set {setting}",
        errno.ENODEV: f"the interface does not exist; create it, or set {setting}",
    }.get(error.errno or 0, f"see {setting}")
    return ListenError(f"cannot listen on {where}: {(error.strerror or str(error)).lower()}; {remedy}")
