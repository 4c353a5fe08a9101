"""Clusters → the web server's table: scripts as bytes, and the places of files."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from appliance.boot import grub, ipxe
from appliance.boot.urls import base_url
from appliance.events import WebKind
from appliance.install.guard import macs_of
from appliance.model import Address, Boot, Cidr, Cluster, Host, Role
from appliance.openshift.names import MACHINE_CONFIG_PORT
from appliance.peers import peer_address


class Language(Protocol):
    """A module that writes scripts: `ipxe` or `grub`."""

    def install_script(self, cluster: Cluster, host: Host) -> str:
        """Return the script that installs *host*."""

    def local_script(self, cluster: Cluster, host: Host) -> str:
        """Return the script that starts its disk."""

    def wait_script(self, cluster: Cluster, host: Host, why: str, *, renews: bool = False) -> str:
        """Return a script with which it waits."""


@dataclass(frozen=True, slots=True)
class Openings:
    """The scripts that have no secret in them, which a machine runs first."""

    menu: bytes
    autoexec: bytes
    grub_start: bytes
    grub_unknown: bytes  # to follow it on a machine that is no host


@dataclass(frozen=True, slots=True)
class Site:
    """What one cluster's machines are served."""

    name: str
    domain: str  # the cluster's own, to recognise Ignition files of another cluster
    data_dir: Path
    kinds: Mapping[str, WebKind]  # of the images in cluster.yaml, by name
    ignition_files: tuple[str, ...]  # the names of those that its hosts need
    sealed: frozenset[str]  # images with an Ignition configuration in them, which only the hosts that boot them get
    sha256: Mapping[str, str]  # of the images that have one, by name; lower case hex
    machine_config: tuple[tuple[str, int], ...]  # addresses and ports of the machine config servers of masters
    serve_expired: bool
    openings: tuple[tuple[Cidr, Openings], ...]  # for unknown machines, by network
    elsewhere: Openings  # and for those outside every network
    made_at: int  # seconds UTC; when the scripts last changed

    @property
    def images(self) -> Path:
        """The directory that the web server serves at /."""
        return self.data_dir / "images"

    def ignition(self, name: str) -> Path:
        """Return the path of the Ignition file *name*."""
        return self.data_dir / "ignition" / name


@dataclass(frozen=True, slots=True, eq=False)
class Needs:
    """The files that an install script names: without one of them the machine would stop half-way.

    Hosts whose scripts name the same files share one object, and a reload makes new ones.
    """

    site: Site
    images: tuple[str, ...]  # names
    ignition: str  # name; "" where it names none


@dataclass(frozen=True, slots=True)
class Scripts:
    """A host's scripts in one language."""

    # The parts of the script between which the installation's token is inserted. It has one part if Ignition is in the
    # initramfs.
    install: tuple[bytes, ...]
    local: bytes
    hold: bytes
    doubt: bytes  # waits as with hold, and `release` would not end it
    renew: bytes  # until our DHCP server has answered the host
    lacking: tuple[bytes, ...]  # to wait for one of the needs; the parts between which its name is inserted
    wait: bytes | None  # until the machine config server answers; None for a host that does not wait for it


@dataclass(frozen=True, slots=True)
class WebHost:
    """What a host is served."""

    host: Host
    site: Site
    openings: Openings
    ipxe: Scripts
    grub: Scripts
    installs: bool  # otherwise the install script says what cluster.yaml lacks
    needs: Needs  # of its install scripts
    needs_dhcp: bool  # our DHCP server answers it, so it must have done so before the host gets its token
    macs: frozenset[bytes]  # that the host may use on our links


@dataclass(frozen=True, slots=True)
class WebTable:
    """Everything that the web server serves."""

    sites: tuple[Site, ...]
    hosts: Mapping[Address, WebHost]
    hosts_by_mac: Mapping[str, WebHost]  # with hyphens, in lower case

    def host(self, client: str) -> WebHost | None:
        """Return the host with the address *client*, in any spelling; None for an unknown machine."""
        address = peer_address(client)
        return self.hosts.get(address) if address is not None else None

    def stranger(self, client: str) -> tuple[Site, Openings]:
        """Return the site and the first scripts for an unknown machine at the address *client*."""
        own = peer_address(client)
        for site in self.sites:
            for network, openings in site.openings:
                if own is not None and own in network:
                    return site, openings
        return self.sites[0], self.sites[0].elsewhere


def compile_web(clusters: tuple[Cluster, ...]) -> WebTable:
    """Return the table for *clusters*; clients outside every network get the first one's files."""
    hosts: dict[Address, WebHost] = {}
    hosts_by_mac: dict[str, WebHost] = {}
    sites: list[Site] = []
    for cluster in clusters:
        site = _site(cluster)
        sites.append(site)
        needs: dict[tuple[object, ...], Needs] = {}
        for host in cluster.hosts:
            own = _image_names(cluster, host), host.ignition
            needed = needs.setdefault(own, Needs(site, *own))
            # The URLs in a script are those of the network that its client comes from.
            by_base: dict[str, WebHost] = {}
            for address in host.addresses:
                base = base_url(cluster, address)
                if base not in by_base:
                    by_base[base] = _host(cluster, site, host.booting_with(address), needed)
                hosts[address] = by_base[base]
            for mac in host.macs:
                hosts_by_mac[mac.hyphenated] = hosts[host.address]
    return WebTable(tuple(sites), hosts, hosts_by_mac)


def _site(cluster: Cluster) -> Site:
    kinds: dict[str, WebKind] = {}
    sha256: dict[str, str] = {}
    for images in (*cluster.images.values(), *cluster.artifacts.values()):
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
        ignition_files=tuple(dict.fromkeys(host.ignition for host in cluster.hosts if host.ignition)),
        sealed=frozenset(images.initramfs.name for images in cluster.artifacts.values()),
        sha256=sha256,
        machine_config=tuple((str(address), MACHINE_CONFIG_PORT) for address in _machine_config_servers(cluster)),
        serve_expired=cluster.serve_expired,
        # Any address in a network: all its clients get the same URLs.
        openings=tuple((each.cidr, _openings(cluster, each.cidr.network_address)) for each in cluster.networks),
        elsewhere=_openings(cluster, None),
        made_at=_changed_at(cluster.source),
    )


def _openings(cluster: Cluster, client: Address | None, menu: str | None = None) -> Openings:
    return Openings(
        menu=_bytes(ipxe.menu(cluster, client) if menu is None else menu),
        autoexec=_bytes(ipxe.autoexec(cluster, client)),
        grub_start=_bytes(grub.start(cluster, client)),
        grub_unknown=_bytes(grub.unknown(cluster)),
    )


def _host(cluster: Cluster, site: Site, host: Host, needs: Needs) -> WebHost:
    return WebHost(
        host=host,
        site=site,
        openings=_openings(cluster, host.address, ipxe.host_menu(cluster, host)),
        ipxe=_scripts(cluster, host, ipxe),
        grub=_scripts(cluster, host, grub),
        installs=host.boot is not Boot.NOTHING and not ipxe.missing_image(cluster, host),
        needs=needs,
        needs_dhcp=any(cluster.gives(address) for address in host.addresses),
        macs=macs_of(host),
    )


def _scripts(cluster: Cluster, host: Host, language: Language) -> Scripts:
    # An agent-based installation waits for all its hosts, and a node image is for a cluster that runs.
    is_late = host.boot is Boot.INSTALLER and host.role in (Role.WORKER, Role.INFRA)
    gated = cluster.hold_workers and is_late and cluster.api_int_vips
    has_masters = any(each.role is Role.MASTER for each in cluster.hosts)
    silent = f"nothing answers on api-int.{cluster.domain}:{MACHINE_CONFIG_PORT} yet"
    if has_masters:
        silent = f"no master answers on port {MACHINE_CONFIG_PORT} yet"

    def waits(why: str, *, renews: bool = False) -> bytes:
        return _bytes(language.wait_script(cluster, host, why, renews=renews))

    return Scripts(
        install=tuple(map(_bytes, language.install_script(cluster, host).split(ipxe.MARK))),
        local=_bytes(language.local_script(cluster, host)),
        renew=waits("it has to ask for its address by DHCP", renews=True),
        hold=waits(f"held, until ocp-appliance release {host.short_name}"),
        doubt=waits(_doubt(host)),
        lacking=tuple(waits(f"the appliance has no usable {ipxe.MARK}").split(ipxe.MARK.encode())),
        wait=waits(silent) if gated else None,
    )


def _machine_config_servers(cluster: Cluster) -> Sequence[Address]:
    """Return where a machine config server that serves workers answers.

    At api-int the bootstrap machine's answers too, which has no configuration for workers: they would install, and then
    wait for one longer than they would here.
    """
    return [host.address for host in cluster.hosts if host.role is Role.MASTER] or cluster.api_int_vips


def _doubt(host: Host) -> str:
    name = host.short_name
    return f"installed or not? ocp-appliance adopt {name} boots its disk, reinstall {name} wipes it"


def _image_names(cluster: Cluster, host: Host) -> tuple[str, ...]:
    """Return the names of the images in the install script of *host*; none if cluster.yaml lacks one of them."""
    images = cluster.images_of(host)
    if images is None or ipxe.missing_image(cluster, host):
        return ()
    # A legacy installer has no rootfs, even if cluster.yaml names one.
    rootfs = images.rootfs if cluster.release.boots_live else None
    return tuple(image.name for image in (images.kernel, images.initramfs, rootfs, images.metal) if image)


def _bytes(script: str) -> bytes:
    # Names and URLs are ASCII. An operator's kernel argument may not be, and goes to the kernel unchanged.
    return script.encode("utf-8")


def _changed_at(source: Path) -> int:
    """Return when cluster.yaml was changed, in seconds UTC."""
    try:
        return int(source.stat().st_mtime)
    except OSError:  # a cluster that was not read from a file
        return int(time.time())
