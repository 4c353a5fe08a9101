"""What each client may fetch by TFTP, and the error datagrams, made from the clusters."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from tftpy.TftpPacketTypes import TftpPacketERR

from appliance.boot import ipxe
from appliance.boot.loaders import KNOWN_LOADERS, find_below, find_loader, normalised
from appliance.model import Cidr, Cluster, Network
from appliance.tftp.protocol import ETHERNET_MTU, REFUSALS, Refusal


@dataclass(frozen=True, slots=True)
class Site:
    """What the clients of one network are served."""

    cidr: Cidr
    mtu: int  # bytes of an IP packet that every path in the network carries
    files: Mapping[str, Path]  # by normalised name, and by the exact one, which goes first
    root: Path  # the operator's own files; one that came later than the table is found here
    autoexec: bytes  # the script that iPXE looks for beside its binary


@dataclass(frozen=True, slots=True)
class TftpTable:
    """All that the TFTP server serves."""

    sites: tuple[Site, ...]
    hosts: Mapping[str, tuple[str, Site]]  # by address: full name, and the network it is in
    errors: Mapping[Refusal, bytes]

    def client(self, address: str) -> tuple[str, Site]:
        """Return the host's full name ("" for a machine that is none of ours) and what it is served."""
        known = self.hosts.get(address)
        if known is not None:
            return known
        try:
            own = IPv4Address(address)
        except ValueError:  # IPv6
            return "", self.sites[0]
        return "", next((site for site in self.sites if own in site.cidr), self.sites[0])


def compile_tftp(clusters: tuple[Cluster, ...]) -> TftpTable:
    """Return the table for *clusters*; the first one's files are for the clients that no network holds."""
    sites: list[Site] = []
    hosts: dict[str, tuple[str, Site]] = {}
    for cluster in clusters:
        files = _files_of(cluster.data_dir)
        own = {network: _site(cluster, network, files) for network in cluster.networks}
        sites += own.values()
        for host in cluster.hosts:
            network = cluster.network_of(host.address)
            if network is not None:
                hosts[str(host.address)] = (host.name, own[network])
    return TftpTable(tuple(sites), hosts, {refusal: _error(refusal) for refusal in REFUSALS})


def _site(cluster: Cluster, network: Network, files: Mapping[str, Path]) -> Site:
    return Site(
        cidr=network.cidr,
        mtu=network.mtu or ETHERNET_MTU,
        files=files,
        root=cluster.data_dir / "tftp",
        autoexec=ipxe.autoexec(cluster, network.cidr.network_address).encode("ascii"),
    )


def _files_of(data_dir: Path) -> dict[str, Path]:
    """Return every file that is there to be served, by its name and normalised; the operator's own go first."""
    packaged = ((name, find_loader(name, data_dir)) for name in sorted(KNOWN_LOADERS))
    # Debian's ipxe.efi is a link to /boot; files are opened without following links.
    files = {name: path.resolve() for name, path in packaged if path is not None}
    root = data_dir / "tftp"
    for directory, _, names in os.walk(root):
        for name in sorted(names):
            relative = str((Path(directory) / name).relative_to(root))
            path = find_below(root, relative)
            if path is not None:
                folded = normalised(relative)
                # Names that differ in case only have one normalised name: it is whose find_below says.
                files |= {folded: find_below(root, folded) or path, relative: path}
    return files


def _error(refusal: Refusal) -> bytes:
    code, message = REFUSALS[refusal]
    packet = TftpPacketERR()
    packet.errorcode = code
    packet.errmsgs = {code: message.encode("ascii")}
    return bytes(packet.encode().buffer)
