"""The cluster as the rest of the program sees it: frozen, validated, with typed addresses.

Text becomes one of these in `appliance.config` and nowhere else. Names are lower
case, fully qualified and without the trailing dot.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Self, TypeAlias

Address: TypeAlias = IPv4Address | IPv6Address
Cidr: TypeAlias = IPv4Network | IPv6Network

INFINITE_LEASE = 0xFFFFFFFF  # RFC 2131 section 3.3
ON_LINK = IPv4Address(0)  # as the gateway of a route: its destination needs none (RFC 3442)
DHCP_PORT = 67  # RFC 2131 section 4.1; clients are on the next one
# PXE 2.1 section 2.2.4 puts the boot server on port 4011. A moved DHCP port moves it by as much.
BOOT_SERVER_DISTANCE = 4011 - DHCP_PORT
DHCP6_DISTANCE = 547 - DHCP_PORT  # DHCPv6's port (RFC 8415 section 7.2) moves with it; clients are on the one before it

_MAC_SPELLINGS = re.compile(
    r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}|(?:[0-9a-f]{2}-){5}[0-9a-f]{2}|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}|[0-9a-f]{12}"
)


class Role(StrEnum):
    """What a host becomes in the cluster."""

    BOOTSTRAP = "bootstrap"
    MASTER = "master"
    ARBITER = "arbiter"  # a small control plane node, for a cluster with two masters
    WORKER = "worker"
    INFRA = "infra"
    OTHER = "other"  # no node: a load balancer, a registry, a BMC

    @property
    def ignition(self) -> str:
        """The file name of the Ignition configuration that installs this role; "" for a machine that is no node.

        Infra nodes join as workers and are labelled after the installation.
        """
        if self is Role.OTHER:
            return ""
        return "worker.ign" if self is Role.INFRA else f"{self.value}.ign"


class Arch(StrEnum):
    """A machine's architecture, as RHCOS names it."""

    X86_64 = "x86_64"
    AARCH64 = "aarch64"


class Boot(StrEnum):
    """What a host boots from the network, and so how it is installed."""

    INSTALLER = "installer"  # coreos-installer, or the initramfs of 4.1 to 4.5, with the Ignition file of its role
    IN_PLACE = "in-place"  # a live system with the Ignition file of a whole cluster, which installs itself
    AGENT = "agent"  # what `openshift-install agent create pxe-files` made
    NODE_IMAGE = "node-image"  # what `oc adm node-image create --pxe` made, which adds a node to a running cluster
    NOTHING = "nothing"  # DHCP and DNS only

    @property
    def is_embedded(self) -> bool:
        """Whether the Ignition configuration is in the initramfs, so that the host fetches none."""
        return self in (Boot.AGENT, Boot.NODE_IMAGE)


# What `openshift-install create single-node-ignition-config` writes.
IN_PLACE_IGNITION = "bootstrap-in-place-for-live-iso.ign"


def ignition_of(role: Role, boot: Boot) -> str:
    """Return the file name of the Ignition configuration that a host fetches; "" if it fetches none."""
    if boot is Boot.IN_PLACE:
        return IN_PLACE_IGNITION
    return role.ignition if boot is Boot.INSTALLER else ""


class Loader(StrEnum):
    """The program that firmware is given. `boot/chains.py` has its file for each firmware."""

    AUTO = "auto"  # the build of iPXE that starts on most machines of an architecture
    IPXE = "ipxe"  # iPXE with its own drivers for network cards
    IPXE_SNP = "ipxe-snp"  # iPXE with the firmware's driver
    UNDIONLY = "undionly"  # the same for BIOS
    SHIM = "shim"  # shim, GRUB and kernel, each signed, for Secure Boot


class Install(StrEnum):
    """How often a host may install itself."""

    ONCE = "once"
    ALWAYS = "always"
    NEVER = "never"


class LocalBoot(StrEnum):
    """How an installed host that boots from the network is sent to its disk."""

    NO_OFFER = "no-offer"  # an address but no boot file: firmware goes on to its next entry
    EXIT = "exit"  # iPXE ends with status 1
    SANBOOT = "sanboot"  # iPXE boots the first disk


class DhcpMode(StrEnum):
    """What the DHCP server sends."""

    FULL = "full"  # addresses and boot files
    PROXY = "proxy"  # boot files only, beside another DHCP server
    OFF = "off"


@dataclass(frozen=True, slots=True, order=True)
class MacAddress:
    """An Ethernet address: six octets."""

    octets: bytes

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the address in *text*: with colons, hyphens, Cisco's dots or no separators.

        Raises ValueError for anything else.
        """
        lowered = text.strip().lower()
        if not _MAC_SPELLINGS.fullmatch(lowered):
            raise ValueError(f"{text!r} is not a MAC address; write it as 52:54:00:12:34:56")
        return cls(bytes.fromhex(re.sub("[-:.]", "", lowered)))

    def __str__(self) -> str:
        return self.octets.hex(":")

    @property
    def hyphenated(self) -> str:
        """The form of iPXE's ${mac:hexhyp}, which script names have."""
        return self.octets.hex("-")


@dataclass(frozen=True, slots=True, order=True)
class Release:
    """An OpenShift release, as far as network boot depends on it."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"

    @property
    def boots_live(self) -> bool:
        """Whether the installer is a live system (4.6 and later) instead of an initramfs that writes a raw image."""
        return (self.major, self.minor) >= (4, 6)

    @property
    def needs_etcd_records(self) -> bool:
        """Whether etcd finds its members by A and SRV records (before 4.4)."""
        return (self.major, self.minor) < (4, 4)


@dataclass(frozen=True, slots=True)
class Route:
    """A classless static route for DHCP option 121 (RFC 3442)."""

    destination: IPv4Network
    gateway: IPv4Address


@dataclass(frozen=True, slots=True)
class Network:
    """A machine network, and what DHCP gives the hosts in it.

    The addresses in it are of the network's own family. `gateway` and `routes` are DHCPv4's alone: over IPv6, hosts
    learn their routers from router advertisements.
    """

    cidr: Cidr
    server: Address  # the appliance's own address as the hosts of this network reach it
    gateway: IPv4Address | None = None
    dns_servers: tuple[Address, ...] = ()
    ntp_servers: tuple[Address, ...] = ()
    domain: str = ""  # option 15; DHCPv6 has none, see `search`
    search: tuple[str, ...] = ()  # option 119, or DHCPv6's 24
    mtu: int | None = None  # bytes; option 26, or that of router advertisements, and the limit for TFTP blocks
    lease_seconds: int = INFINITE_LEASE
    routes: tuple[Route, ...] = ()
    link: str = ""  # networks with the same name are on one link, so that a relay may name any of them
    # Of time servers. DHCPv6 gives the names (RFC 5908), DHCPv4 the addresses that they have at the start.
    ntp_names: tuple[str, ...] = ()
    vlan: int | None = None  # the tag with which hosts reach it; None if it is untagged

    @property
    def is_served(self) -> bool:
        """Whether the appliance has an address of the network's family; without one the network is only for DNS."""
        return self.server.version == self.cidr.version

    def shares_link(self, other: "Network") -> bool:
        """Whether *other* is another network of the same family on the same link."""
        is_same = other.link == self.link and other.cidr.version == self.cidr.version
        return bool(self.link) and is_same and other is not self


@dataclass(frozen=True, slots=True)
class Card:
    """A network card with an address of its own beside the host's, as on a network that is only for booting."""

    mac: MacAddress
    address: IPv4Address
    name: str  # fully qualified, in DNS; "" for none


@dataclass(frozen=True, slots=True)
class Host:
    """A machine that belongs to the cluster."""

    name: str  # fully qualified
    role: Role
    macs: tuple[MacAddress, ...]  # the first is one that it boots from
    addresses: tuple[Address, ...]  # at least one; the first is the one it boots with. Those of its cards are last
    arch: Arch
    install_disk: str  # a device path, such as /dev/sda
    kernel_arguments: tuple[str, ...]  # the operator's, which follow those of the installer
    network_arguments: tuple[str, ...]  # dracut's ip=, nameserver=, bond=, vlan= …; () for DHCP on the boot interface
    loader: Loader | str  # by its name, or a boot file of the operator's, such as efi/own.efi
    install: Install
    local_boot: LocalBoot
    boot: Boot = Boot.INSTALLER
    boot_macs: tuple[MacAddress, ...] = ()  # which of several cards it may boot from; () for the first only
    cards: tuple[Card, ...] = ()

    @property
    def sharing(self) -> tuple[MacAddress, ...]:
        """The MAC addresses of the cards that have no address of their own, and so share the host's."""
        own = {card.mac for card in self.cards}
        return tuple(mac for mac in self.macs if mac not in own)

    @property
    def ignition(self) -> str:
        """The file name of the Ignition configuration that it fetches; "" if it fetches none."""
        return ignition_of(self.role, self.boot)

    @property
    def short_name(self) -> str:
        """The first label of the name."""
        return self.name.partition(".")[0]

    @property
    def address(self) -> Address:
        """The address that it boots with."""
        return self.addresses[0]

    @property
    def is_bootstrap(self) -> bool:
        """Whether it is the bootstrap machine, which the cluster needs only until the masters run."""
        return self.role is Role.BOOTSTRAP

    def boots_from(self, mac: MacAddress) -> bool:
        """Whether it may boot from the card *mac*."""
        return mac in (self.boot_macs or self.macs[:1])

    def ipv4_of(self, mac: MacAddress) -> IPv4Address | None:
        """Return the address that DHCPv4 gives the card *mac*; None without one."""
        return next((card.address for card in self.cards if card.mac == mac), self.ipv4)

    def name_of(self, address: Address) -> str:
        """Return the DNS name of *address*, one of its own; "" for none."""
        return next((card.name for card in self.cards if card.address == address), self.name)

    @property
    def ipv4(self) -> IPv4Address | None:
        """The address that DHCPv4 gives it, the first IPv4 address; None without one."""
        of_cards = {card.address for card in self.cards}
        own = (each for each in self.addresses if isinstance(each, IPv4Address) and each not in of_cards)
        return next(own, None)

    @property
    def ipv6(self) -> IPv6Address | None:
        """The address that DHCPv6 gives it, the first IPv6 address; None without one."""
        return next((address for address in self.addresses if isinstance(address, IPv6Address)), None)

    def booting_with(self, address: Address) -> "Host":
        """Return the host as it boots with *address*, one of its own: which family it comes with is its firmware's."""
        if address == self.addresses[0]:
            return self
        return replace(self, addresses=(address, *(other for other in self.addresses if other != address)))


@dataclass(frozen=True, slots=True)
class Record:
    """An additional DNS record of the zone."""

    name: str  # fully qualified; may begin with "*."
    type: str  # A, AAAA, CNAME, TXT, SRV, MX or PTR
    ttl: int  # seconds
    value: str  # RDATA as a zone file has it; names in it fully qualified, without the trailing dot


@dataclass(frozen=True, slots=True)
class NameServer:
    """A name server of the zone; it has no *addresses* when its name is outside the zone."""

    name: str
    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address and port, to listen on or to send queries to."""

    address: Address
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if self.address.version == 6 else f"{self.address}:{self.port}"


@dataclass(frozen=True, slots=True)
class ForwardZone:
    """A zone of others whose names are forwarded to servers of its own."""

    zone: str
    forwarders: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class DnsSettings:
    """The zone's own data, and who may query names outside it."""

    zone: str  # the apex; the cluster's domain, or the whole base domain
    name_servers: tuple[NameServer, ...]  # the first is the SOA's primary
    mailbox: str  # the SOA's RNAME, as a name: root.example.localdomain
    serial: int  # the lowest serial to use
    ttl: int  # seconds, as are the four below
    refresh: int
    retry: int
    expire: int
    minimum: int
    records: tuple[Record, ...]
    forwarders: tuple[Endpoint, ...]
    forward: tuple[ForwardZone, ...]
    forward_private_reverse: bool  # the forwarders know the reverse names of private addresses
    drop_private_answers: bool  # take no private addresses from the forwarders, only from those of a zone in `forward`
    is_isolated: bool  # no other name exists for nodes: there are no forwarders, and they ask no other server
    allow_recursion: tuple[Cidr, ...]
    rfc2317: bool  # name a reverse zone smaller than /24 as RFC 2317 does


@dataclass(frozen=True, slots=True)
class Listen:
    """Where each service listens. An empty tuple disables a service."""

    dns: tuple[Endpoint, ...]
    dhcp: tuple[str, ...]  # names of interfaces; () for every interface that has an address in a machine network
    dhcp_port: int  # 67; the client's port and the proxy's 4011 follow it at the same distance (68 and 4011)
    tftp: tuple[Endpoint, ...]
    tftp_single_port: bool  # send transfers from the listening port, for a client behind a firewall
    http: tuple[Endpoint, ...]
    dashboard: tuple[Endpoint, ...]


class Engine(StrEnum):
    """Which load balancer answers at the cluster's VIPs."""

    HAPROXY = "haproxy"  # an HAProxy that the appliance configures, on the appliance's own machine
    EXTERNAL = "external"  # somebody else's


class Balance(StrEnum):
    """How a front end chooses a member for a new connection, by HAProxy's words."""

    ROUND_ROBIN = "roundrobin"
    SOURCE = "source"  # the same member for the same client, as long as it answers


class Probe(StrEnum):
    """What a health check does."""

    TCP = "tcp"  # connects
    HTTP = "http"  # GET, with a status of 2xx or 3xx
    HTTPS = "https"


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How a front end finds out whether a member works."""

    probe: Probe
    path: str = ""  # of the GET; "" for TCP
    port: int = 0  # 0 for the port to which connections are forwarded
    # The name in the member's certificate, sent as SNI. The certificate is verified if the cluster's root CA is known;
    # with "" it never is.
    tls_name: str = ""


@dataclass(frozen=True, slots=True)
class Member:
    """A host to which a front end forwards connections."""

    host: str  # full name
    name: str  # short, HAProxy's name of the server; unique in a front end
    address: Address
    is_backup: bool = False  # gets connections only while no other member works


@dataclass(frozen=True, slots=True)
class FrontEnd:
    """Where the load balancer listens, and which hosts it forwards connections to."""

    name: str  # unique in the appliance, such as api-6443
    binds: tuple[Endpoint, ...]
    members: tuple[Member, ...]
    port: int  # of the members
    check: HealthCheck
    balance: Balance = Balance.ROUND_ROBIN
    allowed: tuple[Cidr, ...] = ()  # the only networks whose clients are accepted; () for everybody
    cluster: str = ""  # the cluster's domain; two may have the same name
    service: str = ""  # the name without the cluster's in front, whichever clusters are served together


@dataclass(frozen=True, slots=True)
class OwnFrontEnd:
    """A front end of the operator's, beside those that every cluster has."""

    name: str
    port: int
    addresses: tuple[Address, ...]  # () for all of the API's
    hosts: tuple[str, ...]  # full names of members
    roles: tuple[Role, ...]  # whose hosts are members, too
    member_port: int
    check: HealthCheck
    balance: Balance = Balance.ROUND_ROBIN
    allowed: tuple[Cidr, ...] = ()  # the only networks whose clients are accepted; () for everybody


@dataclass(frozen=True, slots=True)
class LoadBalancer:
    """What answers at the cluster's VIPs."""

    engine: Engine
    front_ends: tuple[OwnFrontEnd, ...] = ()


@dataclass(frozen=True, slots=True)
class Image:
    """A file that a node fetches over HTTP."""

    name: str  # its path below images/ in the data directory, and in the URL
    sha256: str | None  # hex; None if cluster.yaml does not state it


@dataclass(frozen=True, slots=True)
class Images:
    """What one architecture boots."""

    kernel: Image
    initramfs: Image
    rootfs: Image | None  # live releases (4.6 and later)
    metal: Image | None  # the raw disk image; legacy releases need it


@dataclass(frozen=True, slots=True)
class Cluster:
    """One cluster.yaml."""

    name: str
    base_domain: str
    release: Release
    appliance_name: str  # fully qualified
    address: Address  # of the appliance itself
    networks: tuple[Network, ...]
    api_vips: tuple[Address, ...]
    api_int_vips: tuple[Address, ...]
    ingress_vips: tuple[Address, ...]
    hosts: tuple[Host, ...]
    dns: DnsSettings
    dhcp: DhcpMode
    listen: Listen
    images: Mapping[Arch, Images]
    menu_seconds: int  # how long the menu waits for an unknown machine
    known_menu_seconds: int  # and for a known one, before it chooses the host's own entry
    hold_workers: bool  # whether workers' scripts wait for the machine config server
    serve_expired: bool  # whether a bootstrap.ign whose certificates have expired is served
    data_dir: Path  # the directory of images/, ignition/, tftp/ and the state
    source: Path  # the file
    digest: str  # sha256 of the file, in hex
    dhcp_relays: tuple[Cidr, ...] = ()  # from which relayed messages are accepted, besides the machine networks
    # What hosts with an embedded Ignition configuration boot; all others boot `images`.
    artifacts: Mapping[tuple[Boot, Arch], Images] = field(default_factory=dict)
    rendezvous: Address | None = None  # of the host that leads an agent-based installation
    fips: bool = False  # the cluster is installed in FIPS mode
    address_ipv6: IPv6Address | None = None  # of the appliance, beside an IPv4 `address`
    router_advertisements: bool = False  # whether the appliance sends them, because no router does
    load_balancer: LoadBalancer = LoadBalancer(Engine.EXTERNAL)

    @property
    def domain(self) -> str:
        """The cluster's own domain: <name>.<base domain>."""
        return f"{self.name}.{self.base_domain}"

    def images_of(self, host: Host) -> Images | None:
        """Return what *host* boots; None if cluster.yaml has no images for its architecture, or it boots nothing."""
        if host.boot is Boot.NOTHING:
            return None
        return self.artifacts.get((host.boot, host.arch)) if host.boot.is_embedded else self.images.get(host.arch)

    def network_of(self, address: Address) -> Network | None:
        """Return the machine network that contains *address*, or None."""
        return next((network for network in self.networks if address in network.cidr), None)

    def own_address(self, version: int) -> Address:
        """Return the appliance's main address of the IP *version*; that of the other one if it has none."""
        if self.address_ipv6 is not None and version == 6:
            return self.address_ipv6
        return self.address

    def gives(self, address: Address) -> bool:
        """Whether our DHCP server takes part in giving *address*, a host's, to the host."""
        network = self.network_of(address)
        return self.dhcp is not DhcpMode.OFF and network is not None and network.is_served
