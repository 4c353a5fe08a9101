"""The part of nmstate that agent-config.yaml files use: its keys, and those that have no form on a kernel command line.

Keys are accepted as nmstate 2 has them, and `slaves` of nmstate 0.3 (OpenShift 4.5 to 4.8).
"""

from typing import Annotated, Any

from pydantic import Field

from appliance.config import fields, words
from appliance.config.sections import BaseSection, needed
from appliance.config.spelled import OneOrMany, Spelled

BOND_MODES = ("balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb", "balance-alb")
RENDERED_TYPES = ("ethernet", "bond", "vlan", "linux-bridge")
# Types for which dracut.cmdline(7) has no argument.
OTHER_TYPES = (
    "dummy", "hsr", "infiniband", "ip-tunnel", "ipsec", "ipvlan", "loopback", "mac-vlan", "mac-vtap", "macsec",
    "ovs-bridge", "ovs-interface", "tun", "unknown", "veth", "vrf", "vxlan", "xfrm",
)  # fmt: skip

LATER = "configured after the first boot only"
WHERE = "put it into a MachineConfig or a NodeNetworkConfigurationPolicy as well"
NO_ARGUMENT = f"{LATER}: the kernel command line has no argument for it; {WHERE}"

_NO = frozenset({"false", "no", "off", "0"})
_YES = frozenset({"true", "yes", "on", "1"})
# Keys without a form on the kernel command line, each with the values that change nothing.
AFTER_FIRST_BOOT: dict[str, frozenset[str]] = {
    **dict.fromkeys(
        ("hostname", "route-rules", "ovs-db", "ovn", "dns-resolver.config.options"),
        frozenset[str](),
    ),
    **dict.fromkeys(
        (f"interfaces[].{key}" for key in (
            "ethtool", "ethernet", "veth", "mptcp", "802.1x", "controller", "ovs-db", "dispatch",
            "vxlan", "vrf", "mac-vlan", "mac-vtap", "infiniband", "hsr", "macsec", "libreswan", "xfrm", "ipvlan",
            "ip-tunnel", "patch", "dpdk", "bridge.options", "bridge.allow-extra-patch-ports", "bridge.port[].vlan",
            "bridge.port[].stp-hairpin-mode", "bridge.port[].stp-path-cost", "bridge.port[].stp-priority",
            "bridge.port[].link-aggregation", "link-aggregation.ports-config[].priority",
            "link-aggregation.ports-config[].queue-id", "ipv4.dhcp-client-id", "ipv6.dhcp-duid", "ipv6.token")),
        frozenset[str](),
    ),
    "interfaces[].lldp": frozenset({"enabled: false"}),
    "interfaces[].accept-all-mac-addresses": _NO,
    "interfaces[].wait-ip": frozenset({"any"}),
    "interfaces[].vlan.protocol": frozenset({"802.1q"}),
    "interfaces[].vlan.registration-protocol": frozenset({"none"}),
    "interfaces[].vlan.reorder-headers": _YES,
    "interfaces[].vlan.loose-binding": _NO,
    "interfaces[].ipv6.addr-gen-mode": frozenset({"eui64"}),
    **{
        f"interfaces[].{family}.{key}": harmless
        for family in ("ipv4", "ipv6")
        for key, harmless in {
            "auto-gateway": _YES, "auto-routes": _YES, "auto-route-table-id": frozenset({"0", "254"}),
            "auto-route-metric": frozenset[str](), "dhcp-send-hostname": _YES,
            "dhcp-custom-hostname": frozenset[str](), "allow-extra-address": _YES | _NO, "forwarding": _NO,
            "address[].mptcp-flags": frozenset[str](),
        }.items()
    },
    **{
        f"routes.config[].{key}": frozenset[str]()
        for key in ("weight", "cwnd", "initcwnd", "initrwnd", "source", "mtu", "quickack", "advmss", "lock-mtu")
    },
}  # fmt: skip
# Keys that describe and configure nothing, or that nmstate itself passes over when it configures.
WITHOUT_EFFECT = (
    "dns-resolver.running",
    "routes.running",
    *(f"interfaces[].{key}" for key in (
        "description", "profile-name", "alt-names", "min-mtu", "max-mtu", "permanent-mac-address", "driver",
        "ipv4.address[].valid-left", "ipv4.address[].preferred-left", "ipv6.address[].valid-left",
        "ipv6.address[].preferred-left")),
)  # fmt: skip


def _word(*known: str, **others: str) -> Spelled:
    """Return the type of the words *known*; *others* are other spellings of some."""
    parse = fields.parse_one_of(known)
    schema: dict[str, Any] = {"type": "string", "enum": list(known), "examples": [known[0]]}
    return Spelled(lambda text: parse(others.get(text.strip(), text)), schema)


def _bond_mode(text: str) -> str:
    word = text.strip()
    number = {str(index): mode for index, mode in enumerate(BOND_MODES)} | {"lacp": "802.3ad"}
    return fields.parse_one_of(BOND_MODES)(number.get(word, word))


_BOND_MODE = Spelled(_bond_mode, {"type": ["string", "integer"], "examples": ["802.3ad", "active-backup", "1"]})


class _Nmstate(BaseSection, alias_generator=lambda name: name.replace("_", "-")):
    """A mapping of nmstate's, whose keys have hyphens."""


class Address4(_Nmstate):
    ip: words.Ipv4 | None = needed()
    """The address."""
    prefix_length: words.PrefixLength4 | None = needed()
    """The length of the network prefix, in bits."""


class Address6(_Nmstate):
    ip: words.Ipv6 | None = needed()
    """The address."""
    prefix_length: words.PrefixLength | None = needed()
    """The length of the network prefix, in bits."""


class Ipv4(_Nmstate):
    enabled: words.Truth = True
    """Whether IPv4 is enabled."""
    dhcp: words.Truth = False
    """Whether the address comes from DHCP."""
    address: tuple[Address4, ...] = ()
    """The static addresses."""
    auto_dns: words.Truth = True
    """Whether DNS servers of DHCP are used. The installer uses none if every interface with DHCP says false."""


class Ipv6(_Nmstate):
    enabled: words.Truth = True
    """Whether IPv6 is enabled."""
    dhcp: words.Truth = False
    """Whether the address comes from DHCPv6."""
    autoconf: words.Truth = False
    """Whether the address comes from router advertisements."""
    address: tuple[Address6, ...] = ()
    """The static addresses."""
    auto_dns: words.Truth = True
    """Whether DNS servers of DHCPv6 and router advertisements are used, as for IPv4."""


class Vlan(_Nmstate):
    base_iface: words.ProfileName | None = needed()
    """The interface that carries the VLAN."""
    id: words.VlanId | None = needed()
    """The VLAN id."""


class BondPort(_Nmstate):
    name: words.ProfileName | None = needed()
    """The interface."""


class LinkAggregation(_Nmstate):
    mode: Annotated[str, _BOND_MODE] | None = needed()
    """The bond's mode: its name or its number."""
    port: Annotated[tuple[words.ProfileName, ...], OneOrMany()] = ()
    """The interfaces of the bond."""
    slaves: Annotated[tuple[words.ProfileName, ...], OneOrMany()] = ()
    """The former name of port."""
    ports_config: tuple[BondPort, ...] = ()
    """The interfaces of the bond in nmstate's longer form; only their names are used."""
    options: dict[str, words.BondOption] = Field(default_factory=dict)
    """Other options of the bonding driver, for example miimon: 100."""

    @property
    def ports(self) -> tuple[str, ...]:
        """The interfaces of the bond, in whichever form they are written."""
        return self.port or self.slaves or tuple(port.name for port in self.ports_config if port.name)


class BridgePort(_Nmstate):
    name: words.ProfileName | None = needed()
    """The interface."""


class Bridge(_Nmstate):
    port: tuple[BridgePort, ...] = ()
    """The interfaces of the bridge."""


class NmstateInterface(_Nmstate):
    name: words.ProfileName | None = needed()
    """The interface: a name from hosts[].interfaces, or the kernel's."""
    type: Annotated[str, _word(*RENDERED_TYPES, *OTHER_TYPES)] = "ethernet"
    """The type. ethernet, bond, vlan and linux-bridge are configured; the others after the first boot only."""
    state: Annotated[str, _word("up", "down", "absent", "ignore")] = "up"
    """Only an interface that is up is configured."""
    identifier: Annotated[str, _word("name", "mac-address", "pci-address")] = "name"
    """What finds the network card: its name, or mac-address."""
    mac_address: words.Mac | None = None
    """The network card's Ethernet address; for a bond, bridge or VLAN, the address that it gets."""
    pci_address: words.ProfileName | None = None
    """With identifier: pci-address. The installer finds the card by its name all the same."""
    copy_mac_from: words.ProfileName | None = None
    """The interface whose Ethernet address this one gets."""
    mtu: words.Mtu | None = None
    """The MTU in bytes."""
    ipv4: Ipv4 | None = None
    """The IPv4 configuration. Default: none."""
    ipv6: Ipv6 | None = None
    """The IPv6 configuration. Default: none."""
    vlan: Vlan | None = None
    """The VLAN's base interface and id; required for type vlan."""
    link_aggregation: LinkAggregation | None = None
    """The bond's mode and ports; required for type bond."""
    bridge: Bridge | None = None
    """The bridge's ports; required for type linux-bridge."""


class NmstateResolver(_Nmstate):
    server: Annotated[tuple[words.NameServerAddress, ...], OneOrMany()] = ()
    """DNS servers. Default: those of the machine network, if an address is static."""


class DnsResolver(_Nmstate):
    config: NmstateResolver = NmstateResolver()
    """The resolver's settings."""


class NmstateRoute(_Nmstate):
    state: Annotated[str, _word("absent", "ignore")] | None = None
    """A route that is absent or to be ignored is left out."""
    destination: words.AnyCidr | None = None
    """The destination network; 0.0.0.0/0 is the default route."""
    next_hop_address: words.AnyAddress | None = None
    """The router. Default: none, for a destination that needs none."""
    next_hop_interface: words.ProfileName | None = None
    """The interface that leads to the router."""
    table_id: words.TableId | None = None
    """The routing table. Routes of another than the main table, 254, are configured after the first boot only."""
    route_type: Annotated[str, _word("blackhole", "unreachable", "prohibit")] | None = None
    """A route without a router. It is configured after the first boot only."""
    vrf_name: words.ProfileName | None = None
    """The VRF of the route, which is then configured after the first boot only."""


class Routes(_Nmstate):
    config: tuple[NmstateRoute, ...] = ()
    """The routes."""


class NetworkConfig(_Nmstate):
    """A machine's network configuration, as in nmstate."""

    interfaces: Annotated[tuple[NmstateInterface, ...], Field(min_length=1)] = needed(tuple)
    """The interfaces to configure."""
    dns_resolver: DnsResolver = DnsResolver()
    """DNS servers."""
    routes: Routes = Routes()
    """Static routes, the default route among them."""
