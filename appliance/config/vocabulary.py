"""Every key of cluster.yaml, with what it means: the source of the checks, of the JSON Schema and of completion.

The words are those of install-config.yaml and agent-config.yaml where these have one.
"""

from typing import Annotated, Literal

from pydantic import Field
from pydantic.alias_generators import to_camel

from appliance.config import words
from appliance.config.networkconfig import NetworkConfig
from appliance.config.sections import BaseSection, needed
from appliance.config.spelled import NameAlone, OneOrMany
from appliance.model import DhcpMode


class Section(BaseSection, alias_generator=to_camel):
    """A mapping of cluster.yaml, whose keys are in camelCase."""


class Metadata(Section):
    name: words.Label | None = needed()
    """The cluster's name: the label before baseDomain in every name, as api.<name>.<baseDomain>."""


class RouteEntry(Section):
    destination: words.Ipv4Cidr | None = needed()
    """The network that the route leads to."""
    gateway: words.Ipv4 | None = needed()
    """The router's address, inside the machine network."""


class DhcpOptions(Section):
    """What DHCP tells hosts: in dhcp for every network, in an entry of machineNetwork for that network alone."""

    gateway: words.Ipv4 | None = None
    """The default gateway (DHCP option 3). In dhcp it is used by the machine network that contains it."""
    lease_time: words.LeaseSeconds | None = None
    """How long a lease lasts: seconds, 12h, 7d (default), or infinite."""
    mtu: words.Mtu | None = None
    """The MTU in bytes (DHCP option 26); TFTP blocks are kept below it."""
    search: Annotated[tuple[words.Domain, ...] | None, OneOrMany()] = None
    """Domains in which hosts look up short names (DHCP option 119). Default: only the domain of option 15."""
    routes: tuple[RouteEntry, ...] | None = None
    """Classless static routes (DHCP option 121). In dhcp each is used by the machine network of its gateway."""


class MachineNetwork(DhcpOptions):
    cidr: words.AnyCidr | None = needed()
    """The network's range. An IPv6 range is used for reverse DNS only; the other keys apply to IPv4."""
    server_address: words.Ipv4 | None = None
    """The appliance's address as seen from this network. Default: appliance.address."""
    dns_servers: Annotated[tuple[words.Ipv4, ...] | None, OneOrMany()] = None
    """DNS servers for the hosts (DHCP option 6). Default: the appliance. Others must resolve the cluster's names."""
    domain: words.Domain | None = None
    """The domain for the hosts (DHCP option 15). Default: <name>.<baseDomain>."""
    ntp: Annotated[tuple[words.Ipv4, ...] | None, OneOrMany()] = None
    """Time servers of this network (DHCP option 42). Default: additionalNTPSources."""


class ClusterNetwork(Section):
    cidr: words.AnyCidr | None = needed()
    """The range that pods have their addresses from."""


class Networking(Section):
    machine_network: Annotated[tuple[MachineNetwork, ...], Field(min_length=1)] = needed(tuple)
    """The networks that the machines are in; one entry each."""
    cluster_network: tuple[ClusterNetwork, ...] = ()
    """The pods' networks; checked against overlap, and otherwise not used."""
    service_network: Annotated[tuple[words.AnyCidr, ...], OneOrMany()] = ()
    """The services' networks; checked against overlap, and otherwise not used."""


class Appliance(Section):
    address: words.Ipv4 | None = needed()
    """The appliance's own address in the machine network: next-server, and the host in every URL."""
    hostname: words.HostName = "appliance"
    """The appliance's name, in the cluster's domain unless it has dots. It gets an A and a PTR record."""


class RootDeviceHints(Section):
    device_name: words.Disk | None = needed()
    """The disk to install on. Names under /dev/disk/by-id and by-path stay the same when disks change places."""


class HostInterface(Section):
    mac_address: words.Mac | None = needed()
    """The interface's Ethernet address."""


class HostDefaults(Section):
    """What a role or a host may set."""

    arch: words.ArchWord | None = None
    """The machine's architecture. Default: x86_64."""
    root_device_hints: RootDeviceHints | None = None
    """The disk to install on. Default: deviceName: /dev/sda."""
    kernel_arguments: Annotated[tuple[words.KernelArgument, ...] | None, OneOrMany()] = None
    """Further arguments for the installer's kernel, after the appliance's own."""
    loader: words.LoaderName | None = None
    """The boot file to send by TFTP in place of the architecture's, as efi/snponly.efi."""
    install: words.InstallWord | None = None
    """How often the machine may install itself: once (default), at every network boot (always), or never."""
    local_boot: words.LocalBootWord | None = None
    """What an installed machine that boots from the network is told: no-offer (default), exit or sanboot."""


class RoleDefaults(Section):
    bootstrap: HostDefaults | None = None
    """Defaults of the bootstrap machine."""
    master: HostDefaults | None = None
    """Defaults of the control plane nodes."""
    worker: HostDefaults | None = None
    """Defaults of the compute nodes."""
    infra: HostDefaults | None = None
    """Defaults of the infrastructure nodes."""


class HostEntry(HostDefaults):
    hostname: words.HostName | None = needed()
    """The machine's name, in the cluster's domain unless it has dots."""
    role: words.RoleWord | None = needed()
    """What the machine becomes; infra is installed as worker, and labelled on day two."""
    mac_address: Annotated[tuple[words.Mac, ...], OneOrMany()] = ()
    """The Ethernet address that it boots from, or a list of them with that one first."""
    interfaces: tuple[HostInterface, ...] = ()
    """In place of macAddress, as in agent-config.yaml: the interfaces, the one it boots from first."""
    address: words.Ipv4 | None = needed()
    """The IPv4 address that DHCP and DNS give it."""
    address_ipv6: words.Ipv6 | None = Field(None, alias="addressIPv6")
    """An IPv6 address for DNS (AAAA and PTR)."""
    network_config: NetworkConfig | None = None
    """How the machine sets up its network, in the nmstate form of agent-config.yaml. Default: DHCP."""


class NameServerEntry(Section):
    name: words.HostName | None = needed()
    """The name server's name, in the zone unless it has dots."""
    address: words.Ipv4 | None = None
    """Its address; needed when its name lies in the zone and is neither the appliance's nor a host's."""


class RecordEntry(Section):
    name: words.RecordName | None = needed()
    """The owner: @ for the zone itself, a name in the zone, a full name; for PTR also an address."""
    type: words.RecordType | None = needed()
    """The record's type."""
    value: words.RecordValue | None = needed()
    """The record's data: an address, a name, a text, `10 mail` for MX, `0 10 389 ldap` for SRV."""
    ttl: words.DnsSeconds | None = None
    """How long it may be cached. Default: dns.ttl."""


class Dns(Section):
    zone: words.Domain | None = None
    """The zone that is answered for: <name>.<baseDomain> (default), or the whole baseDomain."""
    name_servers: tuple[NameServerEntry, ...] | None = None
    """The zone's name servers, the primary first. Default: the appliance."""
    mailbox: words.Mailbox | None = None
    """The mailbox in the SOA record. Default: hostmaster@<zone>."""
    serial: words.Serial = 1
    """The least serial number; it rises by itself whenever the zone's content changes."""
    ttl: words.DnsSeconds = 3600
    """How long answers may be cached."""
    refresh: words.DnsSeconds = 3600
    """SOA refresh: how often secondaries look for changes."""
    retry: words.DnsSeconds = 900
    """SOA retry: how soon they try again."""
    expire: words.DnsSeconds = 3600000
    """SOA expire: when they give the zone up."""
    minimum: words.DnsSeconds = 3600
    """SOA minimum: how long "no such name" may be cached."""
    records: tuple[RecordEntry, ...] = ()
    """Further records of the zone, or of its reverse zones."""
    forwarders: Annotated[tuple[words.DnsEndpoint, ...], OneOrMany()] = ()
    """DNS servers that everything else is asked of, tried in turn."""
    allow_recursion: Annotated[tuple[words.AnyCidr, ...] | None, OneOrMany()] = None
    """Who may ask for what is forwarded. Default: the machine networks."""
    rfc2317: words.Truth = False
    """Whether reverse zones of networks smaller than /24 are named as RFC 2317 does, for a parent that delegates so."""


class Dhcp(DhcpOptions):
    mode: words.DhcpWord = DhcpMode.FULL
    """full: addresses and boot files; proxy: boot files only, beside another DHCP server; off: neither."""


class ListenSection(Section):
    dns: Annotated[tuple[words.DnsEndpoint, ...] | None, OneOrMany()] = None
    """Where DNS is answered, by UDP and TCP. Default: port 53 of each of the appliance's addresses; [] is off."""
    dhcp: Annotated[tuple[words.Interface, ...], OneOrMany()] = ()
    """The interfaces that DHCP is served on. Default: those with an address in a machine network."""
    dhcp_port: words.DhcpPort = 67
    """The DHCP server's UDP port; the client's is the next one."""
    tftp: Annotated[tuple[words.TftpEndpoint, ...] | None, OneOrMany()] = None
    """Where TFTP is served. Default: port 69 of each of the appliance's addresses; [] is off."""
    tftp_single_port: words.Truth = False
    """Whether transfers come from the listening port, for clients behind a firewall."""
    http: Annotated[Annotated[tuple[words.HttpEndpoint, ...], Field(min_length=1)] | None, OneOrMany()] = None
    """Where images, scripts and Ignition are served. Default: port 80 of each of the appliance's addresses."""
    dashboard: Annotated[tuple[words.DashboardEndpoint, ...] | None, OneOrMany()] = None
    """Where the dashboard and metrics are shown. Default: 127.0.0.1:8080; [] is off."""


class ImageEntry(Section):
    name: words.FileName | None = needed()
    """The file, under images/ of the data directory."""
    sha256: words.Sha256 | None = None
    """What the file's SHA-256 must be."""


class ImageSet(Section):
    release: words.ImageRelease | None = None
    """What the names are made of: a release, as 4.5.6, or an RHCOS build's number. Default: the cluster's release."""
    kernel: Annotated[ImageEntry | None, NameAlone()] = None
    """The installer's kernel: a file name, or name and sha256."""
    initramfs: Annotated[ImageEntry | None, NameAlone()] = None
    """The installer's initial RAM disk."""
    rootfs: Annotated[ImageEntry | None, NameAlone()] = None
    """The live system's root file system (4.6 and later)."""
    metal: Annotated[ImageEntry | None, NameAlone()] = None
    """The raw disk image (needed before 4.6)."""


class ImagesSection(ImageSet):
    x86_64: ImageSet | None = Field(None, alias="x86_64")
    """What x86_64 machines boot; the same keys beside it are the default."""
    aarch64: ImageSet | None = Field(None, alias="aarch64")
    """What aarch64 machines boot; of the keys beside it, only release is its default."""


class Menu(Section):
    timeout: words.MenuSeconds = 300
    """How long the menu waits before it leaves, on a machine that is no host of the cluster; 0 waits for ever."""
    known_host_timeout: words.MenuSeconds = 10
    """How long it waits on a known host before it takes the host's own entry; 0 takes it at once."""


class HoldUntil(Section):
    worker: words.Hold = "machineConfigServer"
    """What workers and infra nodes wait for before they install: api-int:22623 answering, or none."""


class ClusterFile(Section):
    """One cluster: its machines, its networks and its names, for ocp-appliance."""

    api_version: Literal["v1"] = "v1"
    """The form of this file."""
    base_domain: words.Domain | None = needed()
    """The domain that the cluster's name stands in, as in install-config.yaml."""
    metadata: Metadata = needed(Metadata)
    """The cluster's name, as in install-config.yaml."""
    release: words.ReleaseText | None = needed()
    """The OpenShift or OKD release; it decides how machines are booted (4.6 and later: live)."""
    networking: Networking = needed(Networking)
    """The networks, as in install-config.yaml."""
    api_vips: Annotated[tuple[words.AnyAddress, ...], OneOrMany()] = Field((), alias="apiVIPs")
    """The load balancer's addresses for the API: api.<name>.<baseDomain>. On a single node: its own."""
    api_internal_vips: Annotated[tuple[words.AnyAddress, ...], OneOrMany()] = Field((), alias="apiInternalVIPs")
    """The load balancer's addresses inside: api-int.<name>.<baseDomain>. Default: apiVIPs."""
    ingress_vips: Annotated[tuple[words.AnyAddress, ...], OneOrMany()] = Field((), alias="ingressVIPs")
    """The load balancer's addresses for routes: *.apps.<name>.<baseDomain>. On a single node: its own."""
    additional_ntp_sources: Annotated[tuple[words.Ipv4, ...], OneOrMany()] = Field((), alias="additionalNTPSources")
    """Time servers told to hosts (DHCP option 42), as addresses."""
    appliance: Appliance = needed(Appliance)
    """The appliance itself."""
    roles: RoleDefaults = RoleDefaults()
    """Defaults by role; what a host says itself comes first."""
    hosts: Annotated[tuple[HostEntry, ...], Field(min_length=1)] = needed(tuple)
    """The machines."""
    dns: Dns = Dns()
    """The zone, and what else the DNS server does."""
    dhcp: Dhcp = Dhcp()
    """What the DHCP server says."""
    listen: ListenSection = ListenSection()
    """Where the services listen."""
    images: ImagesSection = Field(default_factory=lambda: ImagesSection.model_validate({}))
    """The files that machines boot."""
    menu: Menu = Menu()
    """The menu that a machine shows before it installs."""
    hold_until: HoldUntil = HoldUntil()
    """What roles wait for before they install."""
    serve_expired: words.Truth = False
    """Whether a bootstrap.ign whose certificates have died is handed out all the same."""
    data_dir: words.Directory | None = None
    """Where images/, ignition/, tftp/ and the state are; relative to this file. Default: /var/lib/ocp-appliance."""
