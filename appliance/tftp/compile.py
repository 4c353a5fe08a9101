"""Clusters → the TFTP server's table: the files that each client may fetch, and the error datagrams."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tftpy.TftpPacketTypes import TftpPacketERR

from appliance.boot import grub, ipxe
from appliance.boot.loaders import KNOWN_LOADERS, find_loader
from appliance.boot.urls import is_grub_config
from appliance.events import WebKind
from appliance.files import find_below, normalised, tidied
from appliance.model import Address, Cidr, Cluster, Network
from appliance.peers import peer_address
from appliance.tftp.protocol import ETHERNET_MTU, REFUSALS, Refusal


@dataclass(frozen=True, slots=True)
class ServedFile:
    """Where a file is; it is opened only below *root*."""

    root: Path
    name: str  # relative to root, as spelled on disk


@dataclass(frozen=True, slots=True)
class NetworkFiles:
    """What the clients of one network are served."""

    cidr: Cidr
    mtu: int  # bytes of an IP packet that every path in the network carries
    files: Mapping[str, ServedFile]  # by normalised name, and by the exact one, which has precedence
    root: Path  # the operator's own files; one that is newer than the table is found here
    autoexec: bytes  # the script that iPXE looks for beside its binary
    grub_start: bytes  # the configuration that GRUB looks for
    kinds: Mapping[str, WebKind]  # of the files that are no loaders, by exact name

    def kind(self, name: str) -> WebKind:
        """Return the kind of file that *name* is."""
        return WebKind.GRUB if is_grub_config(name) else self.kinds.get(tidied(name), WebKind.LOADER)


@dataclass(frozen=True, slots=True)
class TftpTable:
    """Everything that the TFTP server serves."""

    networks: tuple[NetworkFiles, ...]
    hosts: Mapping[Address, tuple[str, NetworkFiles]]  # full name, and the network that it is in
    errors: Mapping[Refusal, bytes]

    def client(self, peer: str) -> tuple[str, NetworkFiles]:
        """Return the full name of the host at *peer*, an address as sockets spell it, and what it is served.

        The name is "" for a machine that is in no cluster.yaml.
        """
        address = peer_address(peer)
        if address is None:
            return "", self.networks[0]
        known = self.hosts.get(address)
        if known is not None:
            return known
        return "", next((network for network in self.networks if address in network.cidr), self.networks[0])


def compile_tftp(clusters: tuple[Cluster, ...]) -> TftpTable:
    """Return the table for *clusters*; clients that are in no network get the files of the first cluster."""
    networks: list[NetworkFiles] = []
    hosts: dict[Address, tuple[str, NetworkFiles]] = {}
    for cluster in clusters:
        images = _images_of(cluster)
        files = _files_of(cluster.data_dir) | {name: ServedFile(cluster.data_dir / "images", name) for name in images}
        own = {network: _network_files(cluster, network, files, images) for network in cluster.networks}
        networks += own.values()
        for host in cluster.hosts:
            for address in host.addresses:
                network = cluster.network_of(address)
                if network is not None:
                    hosts[address] = (host.name, own[network])
    return TftpTable(tuple(networks), hosts, {refusal: _error(refusal) for refusal in REFUSALS})


def _images_of(cluster: Cluster) -> dict[str, WebKind]:
    """Return the kinds of the images that GRUB fetches by TFTP if it has no HTTP, by name."""
    found: dict[str, WebKind] = {}
    for images in cluster.images.values():
        found |= {images.kernel.name: WebKind.KERNEL, images.initramfs.name: WebKind.INITRAMFS}
    # An initramfs with Ignition in it is for its hosts alone, which the web server makes sure of.
    sealed = {images.initramfs.name for images in cluster.artifacts.values()}
    return {name: kind for name, kind in found.items() if name not in sealed}


def _network_files(
    cluster: Cluster, network: Network, files: Mapping[str, ServedFile], kinds: Mapping[str, WebKind]
) -> NetworkFiles:
    return NetworkFiles(
        cidr=network.cidr,
        mtu=network.mtu or ETHERNET_MTU,
        files=files,
        root=cluster.data_dir / "tftp",
        autoexec=ipxe.autoexec(cluster, network.cidr.network_address).encode("ascii"),
        grub_start=grub.start(cluster, network.cidr.network_address).encode("ascii"),
        kinds=kinds,
    )


def _files_of(data_dir: Path) -> dict[str, ServedFile]:
    """Return every file that can be served, by its name and normalised; the operator's own have precedence."""
    packaged = ((name, find_loader(name, data_dir)) for name in sorted(KNOWN_LOADERS))
    # Debian's ipxe.efi is a link to /boot, outside its own directory, where nothing would be served.
    real = {name: path.resolve() for name, path in packaged if path is not None}
    files = {name: ServedFile(path.parent, path.name) for name, path in real.items()}
    root = data_dir / "tftp"
    real_root = root.resolve()
    for directory, _, names in os.walk(root):
        for name in sorted(names):
            relative = str((Path(directory) / name).relative_to(root))
            path = find_below(root, relative)
            if path is not None:
                folded = normalised(relative)
                # Names that differ in case only share one normalised name, and find_below decides which file has it.
                preferred = find_below(root, folded) or path
                files[folded] = ServedFile(root, str(preferred.relative_to(real_root)))
                files[relative] = ServedFile(root, str(path.relative_to(real_root)))
    return files


def _error(refusal: Refusal) -> bytes:
    code, message = REFUSALS[refusal]
    packet = TftpPacketERR()
    packet.errorcode = code
    packet.errmsgs = {code: message.encode("ascii")}
    return bytes(packet.encode().buffer)
