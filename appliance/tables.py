"""Everything that is served, compiled: frozen, and swapped whole."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from appliance.dhcp.compile import DhcpTable, compile_dhcp
from appliance.dns.compile import DnsTable, compile_dns
from appliance.install.lifecycle import Installation
from appliance.model import Cluster
from appliance.tftp.compile import TftpTable, compile_tftp
from appliance.web.compile import WebTable, compile_web


@dataclass(frozen=True, slots=True)
class Tables:
    """The finished answers of every service."""

    clusters: tuple[Cluster, ...]
    dns: DnsTable
    dhcp: DhcpTable
    tftp: TftpTable
    web: WebTable
    version: str  # names the files that these were compiled from


def compile_tables(clusters: tuple[Cluster, ...], serial_of: Callable[[str, str], int]) -> Tables:
    """Return the tables for *clusters*.

    *serial_of(zone, digest)* gives the SOA serial of a zone with that content;
    it rises whenever the content changes (RFC 1982). Runs for up to seconds, so
    call it in a thread.
    """
    return Tables(
        clusters=clusters,
        dns=compile_dns(clusters, serial_of),
        dhcp=compile_dhcp(clusters),
        tftp=compile_tftp(clusters),
        web=compile_web(clusters),
        version="+".join(cluster.digest[:7] for cluster in clusters),
    )


@dataclass(slots=True)
class Live:
    """What the servers serve at this moment. Read `tables` once for each datagram."""

    tables: Tables
    # Written by the lifecycle alone, in the loop's thread; a host that is not in it has never booted.
    installations: Mapping[str, Installation] = field(default_factory=dict)
