"""The addresses of the time servers that cluster.yaml names, for DHCP option 42, which takes nothing else.

They are looked up when the files are loaded, in a thread, and hold until the next reload, as leases do.
"""

import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from dnslib import QTYPE, DNSError, DNSRecord

from appliance.dns.message import CLASS_IN, wire_name
from appliance.dns.upstreams import forwarding_of
from appliance.model import Cluster, DhcpMode, Endpoint, Network
from appliance.sockets import udp_client

KEY_A = QTYPE.A.to_bytes(2) + CLASS_IN
TOTAL_SECONDS = 4.0  # for all names; a start or a reload waits no longer
WAIT_SECONDS = 1.0  # for one forwarder
MAX_ADDRESSES = 4  # of one name: as many as a pool gives, and chrony uses


def resolved(clusters: Sequence[Cluster]) -> tuple[tuple[Cluster, ...], tuple[str, ...]]:
    """Return *clusters* with the addresses of the time servers that they name, and the names that have none."""
    until, missing, found = time.monotonic() + TOTAL_SECONDS, dict[str, None](), []
    silent: set[Endpoint] = set()
    for cluster in clusters:
        known: dict[str, tuple[IPv4Address, ...]] = {}
        networks, forwarding = [], forwarding_of((cluster,))
        for network in cluster.networks:
            is_told = cluster.dhcp is DhcpMode.FULL and isinstance(network.cidr, IPv4Network)
            names = network.ntp_names if is_told else ()
            for name in names:
                if name not in known:
                    known[name] = _addresses_of(name, forwarding.forwarders_of(wire_name(name), KEY_A), until, silent)
            missing |= {name: None for name in names if not known[name]}
            networks.append(_with_servers(network, [address for name in names for address in known[name]]))
        found.append(replace(cluster, networks=tuple(networks)))
    return tuple(found), tuple(missing)


def _with_servers(network: Network, servers: Sequence[IPv4Address]) -> Network:
    return replace(network, ntp_servers=tuple(dict.fromkeys((*network.ntp_servers, *servers)))) if servers else network


def _addresses_of(
    name: str, forwarders: Sequence[Endpoint], until: float, silent: set[Endpoint]
) -> tuple[IPv4Address, ...]:
    """Return the addresses of *name*, () if nobody knows it by *until*; a forwarder that fails joins *silent*."""
    # One that is down would take its second of every name, and the last ones would have no time left.
    for forwarder in sorted(forwarders, key=silent.__contains__):
        seconds = min(WAIT_SECONDS, until - time.monotonic())
        if seconds <= 0:
            break
        try:
            answer = _ask(name, forwarder, seconds)
        except OSError:  # silent, or not there
            silent.add(forwarder)
            continue
        if addresses := [IPv4Address(str(each.rdata)) for each in answer.rr if each.rtype == QTYPE.A]:
            return tuple(addresses[:MAX_ADDRESSES])
    return ()


def _ask(name: str, forwarder: Endpoint, seconds: float) -> DNSRecord:
    """Return the answer of *forwarder*. Raises OSError, of which TimeoutError is one."""
    query = DNSRecord.question(name, "A")
    query.header.id = secrets.randbits(16)
    end = time.monotonic() + seconds
    with udp_client(forwarder.address, forwarder.port) as sock:
        sock.settimeout(seconds)
        sock.send(query.pack())
        while (left := end - time.monotonic()) > 0:
            sock.settimeout(left)
            try:
                answer = DNSRecord.parse(sock.recv(65535))
            except (DNSError, UnicodeDecodeError):  # the second for a CAA record whose tag is not UTF-8
                continue
            if answer.header.id == query.header.id and answer.header.qr and answer.q.qname == query.q.qname:
                return answer
    raise TimeoutError
