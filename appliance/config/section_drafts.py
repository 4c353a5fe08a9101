"""Sections and entries of cluster.yaml as far as they can be read: each value with its place, for checks and build.

`draft.Draft` makes them from the file. A value that is missing or unreadable is None
or left out of its list; it has been reported already.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address

from appliance.config.document import Path_, Placed
from appliance.config.nmstate import NetworkConfig
from appliance.config.vocabulary import HostDefaults, HostEntry, MachineNetwork
from appliance.model import Address, Arch, Boot, Cidr, Install, Loader, MacAddress, Role

# What arguments call the card that a host boots from, where hosts[].interfaces does not name it.
BOOT_CARD = "nic0"


@dataclass(frozen=True, slots=True)
class OptionsDraft:
    """What DHCP tells hosts: in general, or in one network."""

    path: Path_
    gateway: Placed[IPv4Address] | None
    lease_seconds: Placed[int] | None
    search: list[Placed[str]]
    route_gateways: list[Placed[IPv4Address]]
    on_link: list[IPv4Network]  # the destinations of routes without a gateway


@dataclass(frozen=True, slots=True)
class NetworkDraft:
    """One entry of networking.machineNetwork."""

    entry: MachineNetwork
    path: Path_
    cidr: Placed[Cidr] | None
    server: Placed[Address] | None  # the appliance's address there; None for the appliance's own
    dns_servers: list[Placed[Address]]
    options: OptionsDraft

    @property
    def ranges4(self) -> list[IPv4Network]:
        """The network's range when it is readable and IPv4; otherwise nothing."""
        return [self.cidr.value] if self.cidr and isinstance(self.cidr.value, IPv4Network) else []

    @property
    def is_ipv6(self) -> bool:
        """Whether its range is readable and IPv6."""
        return self.cidr is not None and self.cidr.value.version == 6


@dataclass(frozen=True, slots=True)
class DefaultsDraft:
    """What a role or a host itself may set."""

    path: Path_
    kernel_arguments: list[Placed[str]]
    loader: Placed[Loader | str] | None
    install: Placed[Install] | None


@dataclass(frozen=True, slots=True)
class CardDraft:
    """An interface of a host with an address of its own."""

    mac: MacAddress | None
    address: Placed[IPv4Address]
    name: Placed[str] | None  # fully qualified


@dataclass(frozen=True, slots=True)
class HostDraft:
    """One entry of hosts."""

    entry: HostEntry
    path: Path_
    label: str  # what messages call it: its name, or hosts[2]
    name: Placed[str] | None  # fully qualified
    role: Placed[Role] | None
    macs: list[Placed[MacAddress]]  # beginning with those that it boots from
    cards: list[CardDraft]
    address: Placed[IPv4Address] | None
    address6: Placed[IPv6Address] | None  # of `addressIPv6`, or of an `address` that is IPv6
    arch: Arch
    boot: Boot
    kernel_arguments: list[Placed[str]]  # its own, or else its role's
    own: DefaultsDraft
    of_role: HostDefaults  # what its role sets; a host's own values come first

    @property
    def addresses(self) -> "list[Placed[Address]]":
        """Its readable addresses, IPv4 first."""
        found: tuple[Placed[Address] | None, ...] = (self.address, self.address6)
        return [address for address in found if address]

    @property
    def role_path(self) -> Path_:
        """Where the defaults of its role are."""
        return ("roles", self.role.value.value if self.role else "")

    @property
    def named_macs(self) -> dict[str, MacAddress]:
        """The MAC address of each interface that `interfaces` names."""
        return {each.name: each.mac_address for each in self.entry.interfaces if each.name and each.mac_address}

    @property
    def card_names(self) -> dict[str, MacAddress]:
        """The same, and a name for the card that it boots from if none has that address."""
        named = self.named_macs
        if self.macs and self.macs[0].value not in named.values():
            named.setdefault(BOOT_CARD, self.macs[0].value)
        return named

    def vlan(self, networks: Sequence[NetworkDraft]) -> int | None:
        """Return the tag of the host's network among *networks*; None if it is untagged or not known."""
        homes = [
            network
            for network in networks
            for address in self.addresses
            if network.cidr
            and address.value.version == network.cidr.value.version
            and address.value in network.cidr.value
        ]
        return homes[0].entry.vlan if homes else None

    def network_config(self, networks: Sequence[NetworkDraft]) -> NetworkConfig | None:
        """Return its networkConfig, or what its network among *networks* needs where that is a tagged VLAN."""
        tag = self.vlan(networks)
        if self.entry.network_config or tag is None or not self.macs:
            return self.entry.network_config
        card = next(name for name, mac in self.card_names.items() if mac == self.macs[0].value)
        versions = {address.value.version for address in self.addresses}
        vlan = {"name": f"{card}.{tag}", "type": "vlan", "vlan": {"base-iface": card, "id": str(tag)}}
        families = {"ipv4" if version == 4 else "ipv6": {"dhcp": "true"} for version in versions}
        return NetworkConfig.model_validate({"interfaces": [{"name": card}, vlan | families]})


@dataclass(frozen=True, slots=True)
class NameServerDraft:
    """One entry of dns.nameServers with a readable name."""

    path: Path_
    name: Placed[str]  # fully qualified
    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class RecordDraft:
    """One entry of dns.records with a readable name and type."""

    name: Placed[str]
    owner: str  # the full name
    kind: str
    ttl: int | None  # seconds
    value: Placed[str] | None
    data: str | None  # what a zone file has; None where the value cannot be read
    fault: str | None  # why *value* is not data of this type
