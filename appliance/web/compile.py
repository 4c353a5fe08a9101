"""From the clusters to what the web server looks up: scripts as bytes, and where files lie."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from appliance.boot import ipxe
from appliance.events import WebKind
from appliance.model import Address, Cidr, Cluster, Host, Role
from appliance.peers import peer_address

MACHINE_CONFIG_PORT = 22623


@dataclass(frozen=True, slots=True)
class Site:
    """What one cluster's machines are served."""

    name: str
    domain: str  # the cluster's own, for Ignition files of another one
    data_dir: Path
    kinds: Mapping[str, WebKind]  # by the name of an image that cluster.yaml names
    sha256: Mapping[str, str]  # by the name of an image that has one, in lower case hex
    machine_config: tuple[tuple[str, int], ...]  # address and port where the machine config server will answer
    serve_expired: bool
    menus: tuple[tuple[Cidr, bytes, bytes], ...]  # for strangers of each network: the menu and autoexec.ipxe
    menu: bytes  # for strangers of no network
    autoexec: bytes
    made_at: int  # seconds UTC: since when the scripts are what they are

    @property
    def images(self) -> Path:
        """The directory that is served at /."""
        return self.data_dir / "images"

    def ignition(self, name: str) -> Path:
        """Return where the Ignition file *name* lies."""
        return self.data_dir / "ignition" / name


@dataclass(frozen=True, slots=True)
class WebHost:
    """A host's scripts."""

    host: Host
    site: Site
    menu: bytes
    autoexec: bytes
    install: tuple[bytes, ...]  # the token of the installation goes between these
    local: bytes
    hold: bytes
    wait: bytes | None  # until the machine config server answers; None for a host that does not wait for it


@dataclass(frozen=True, slots=True)
class WebTable:
    """All that the web server serves."""

    sites: tuple[Site, ...]
    hosts: Mapping[Address, WebHost]
    hosts_by_mac: Mapping[str, WebHost]  # with hyphens, in lower case

    def host(self, client: str) -> WebHost | None:
        """Return the host whose address *client* is, as the socket spells it; None for a stranger."""
        address = peer_address(client)
        return self.hosts.get(address) if address is not None else None

    def stranger(self, client: str) -> tuple[Site, bytes, bytes]:
        """Return the site, the menu and the autoexec.ipxe for a client that is no host."""
        own = peer_address(client)
        for site in self.sites:
            for network, menu, autoexec in site.menus:
                if own is not None and own in network:
                    return site, menu, autoexec
        first = self.sites[0]
        return first, first.menu, first.autoexec


def compile_web(clusters: tuple[Cluster, ...]) -> WebTable:
    """Return the table for *clusters*; the first one's files are for the clients that no network holds."""
    hosts: dict[Address, WebHost] = {}
    hosts_by_mac: dict[str, WebHost] = {}
    sites: list[Site] = []
    for cluster in clusters:
        site = _site(cluster)
        sites.append(site)
        for host in cluster.hosts:
            scripts = _scripts(cluster, site, host)
            hosts |= dict.fromkeys(host.addresses, scripts)
            for mac in host.macs:
                hosts_by_mac[mac.hyphenated] = scripts
    return WebTable(tuple(sites), hosts, hosts_by_mac)


def _site(cluster: Cluster) -> Site:
    kinds: dict[str, WebKind] = {}
    sha256: dict[str, str] = {}
    for images in cluster.images.values():
        for kind, image in (
            (WebKind.KERNEL, images.kernel),
            (WebKind.INITRAMFS, images.initramfs),
            (WebKind.ROOTFS, images.rootfs),
            (WebKind.METAL, images.metal),
        ):
            if image is not None:
                kinds[image.name] = kind
                if image.sha256:
                    sha256[image.name] = image.sha256.lower()
    return Site(
        name=cluster.name,
        domain=cluster.domain,
        data_dir=cluster.data_dir,
        kinds=kinds,
        sha256=sha256,
        machine_config=tuple((str(address), MACHINE_CONFIG_PORT) for address in cluster.api_int_vips),
        serve_expired=cluster.serve_expired,
        menus=tuple(_network_menus(cluster, network.cidr) for network in cluster.networks),
        menu=_bytes(ipxe.menu(cluster)),
        autoexec=_bytes(ipxe.autoexec(cluster)),
        made_at=_changed_at(cluster.source),
    )


def _network_menus(cluster: Cluster, cidr: Cidr) -> tuple[Cidr, bytes, bytes]:
    client = cidr.network_address  # any client in the network will do: all of them get the same URLs
    return cidr, _bytes(ipxe.menu(cluster, client)), _bytes(ipxe.autoexec(cluster, client))


def _scripts(cluster: Cluster, site: Site, host: Host) -> WebHost:
    gated = cluster.hold_workers and host.role in (Role.WORKER, Role.INFRA) and cluster.api_int_vips
    where = f"api-int.{cluster.domain}:{MACHINE_CONFIG_PORT}"
    return WebHost(
        host=host,
        site=site,
        menu=_bytes(ipxe.host_menu(cluster, host)),
        autoexec=_bytes(ipxe.autoexec(cluster, host.address)),
        install=tuple(map(_bytes, ipxe.install_script(cluster, host).split(ipxe.MARK))),
        local=_bytes(ipxe.local_script(cluster, host)),
        hold=_bytes(ipxe.wait_script(cluster, host, f"held, until ocp-appliance release {host.short_name}")),
        wait=_bytes(ipxe.wait_script(cluster, host, f"nothing answers on {where} yet")) if gated else None,
    )


def _bytes(script: str) -> bytes:
    # Names and URLs are ASCII; what an operator's kernel argument holds, the kernel gets as it is.
    return script.encode("utf-8")


def _changed_at(source: Path) -> int:
    """Return when cluster.yaml was changed, in seconds UTC."""
    try:
        return int(source.stat().st_mtime)
    except OSError:  # not from a file
        return int(time.time())
