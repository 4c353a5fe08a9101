"""The compiled tables of all services. They are frozen: a reload replaces all of them at once."""

from collections.abc import Callable
from dataclasses import dataclass

from appliance.dhcp.compile import DhcpTable, compile_dhcp
from appliance.dhcp6.compile import Dhcp6Table, compile_dhcp6
from appliance.dns.compile import DnsTable, compile_dns
from appliance.model import Cluster
from appliance.ra.compile import RaTable, compile_ra
from appliance.tftp.compile import TftpTable, compile_tftp
from appliance.web.compile import WebTable, compile_web


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables from which all services answer."""

    clusters: tuple[Cluster, ...]
    dns: DnsTable
    dhcp: DhcpTable
    dhcp6: Dhcp6Table
    ra: RaTable
    tftp: TftpTable
    web: WebTable
    version: str  # the first seven hex digits of each file's digest, joined by +


def compile_tables(clusters: tuple[Cluster, ...], serial_of: Callable[[str, str], int]) -> Tables:
    """Return the tables for *clusters*.

    *serial_of(zone, digest)* returns the SOA serial for a zone with that content,
    which must increase whenever the content changes (RFC 1982). May take
    seconds with many hosts, so call it in a thread.
    """
    return Tables(
        clusters=clusters,
        dns=compile_dns(clusters, serial_of),
        dhcp=compile_dhcp(clusters),
        dhcp6=compile_dhcp6(clusters),
        ra=compile_ra(clusters),
        tftp=compile_tftp(clusters),
        web=compile_web(clusters),
        version="+".join(cluster.digest[:7] for cluster in clusters),
    )
