"""Everything that is served, compiled: frozen, and swapped whole."""

from collections.abc import Callable
from dataclasses import dataclass

from appliance.dhcp.compile import DhcpTable, compile_dhcp
from appliance.dns.compile import DnsTable, compile_dns
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
