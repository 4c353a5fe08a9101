"""Any networkConfig: what nm-initrd-generator makes of its arguments is what the nmstate file says."""

from ipaddress import IPv4Address
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.config.interfaces import naming
from appliance.config.networkconfig import dracut_arguments
from appliance.config.nmstate import NetworkConfig
from appliance.model import MacAddress, Release
from tests.nmstate_meaning import differences

MACS = {"eno1": "52:54:00:00:00:01", "eno2": "52:54:00:00:00:02", "uplink": "52:54:00:00:00:03"}
SERVERS = (IPv4Address("192.0.2.5"),)
Data = dict[str, Any]


def addresses4(net: int) -> st.SearchStrategy[list[Data]]:
    last = st.lists(st.integers(20, 29), min_size=1, max_size=2, unique=True)
    return last.map(lambda numbers: [{"ip": f"10.{net}.0.{n}", "prefix-length": "24"} for n in numbers])


def addresses6(net: int) -> st.SearchStrategy[list[Data]]:
    last = st.lists(st.integers(2, 9), min_size=1, max_size=2, unique=True)
    return last.map(lambda numbers: [{"ip": f"2001:db8:{net}::{n}", "prefix-length": "64"} for n in numbers])


def families(net: int) -> st.SearchStrategy[Data]:
    """Return every way to configure the addresses of the interface number *net*."""
    ipv4 = st.one_of(
        st.just(None),
        st.just({"enabled": "false"}),
        st.just({"enabled": "true", "dhcp": "true"}),
        addresses4(net).map(lambda found: {"enabled": "true", "dhcp": "false", "address": found}),
        addresses4(net).map(lambda found: {"enabled": "true", "dhcp": "true", "address": found}),
    )
    ipv6 = st.one_of(
        st.just(None),
        st.just({"enabled": "false"}),
        st.just({"enabled": "true"}),
        st.builds(
            lambda dhcp, autoconf, found: {"enabled": "true", "dhcp": dhcp, "autoconf": autoconf, "address": found},
            st.sampled_from(["true", "false"]),
            st.sampled_from(["true", "false"]),
            st.one_of(st.just([]), addresses6(net)),
        ),
    )
    both = st.tuples(ipv4, ipv6)
    return both.map(lambda pair: {key: value for key, value in zip(("ipv4", "ipv6"), pair, strict=True) if value})


@st.composite
def configs(draw: st.DrawFn) -> tuple[Data, dict[str, str]]:
    """Return an nmstate configuration, and the MAC addresses that are known of its cards."""
    macs = draw(
        st.dictionaries(st.sampled_from(sorted(MACS)), st.none(), max_size=3).map(lambda d: {k: MACS[k] for k in d})
    )
    kind = draw(st.sampled_from(["ethernet", "bond", "linux-bridge"]))
    lower: Data = {"name": "eno1", "type": "ethernet"}
    if kind == "bond":
        bond: Data = {"mode": draw(st.sampled_from(["802.3ad", "active-backup"])), "port": ["eno1", "uplink"]}
        bond["options"] = draw(st.sampled_from([{}, {"miimon": "140"}, {"miimon": "140", "updelay": "280"}]))
        lower = {"name": "bond0", "type": kind, "link-aggregation": bond}
    if kind == "linux-bridge":
        lower = {"name": "br0", "type": kind, "bridge": {"port": [{"name": "eno1"}]}}
    interfaces = [lower | draw(families(1)), {"name": "eno2"} | draw(families(2))]
    if draw(st.booleans()):
        number = str(draw(st.integers(1, 4094)))
        name = draw(st.sampled_from([f"{lower['name']}.{number}", f"vlan{number}", "storage"]))
        vlan = {"name": name, "type": "vlan", "vlan": {"base-iface": lower["name"], "id": number}}
        interfaces.append(vlan | draw(families(3)))
    for interface in interfaces:
        if draw(st.integers(0, 3)) == 0:
            interface["mtu"] = "9000"
    config: Data = {"interfaces": draw(st.permutations(interfaces))}
    config["routes"] = {"config": draw(routes(interfaces))}
    if draw(st.booleans()):
        config["dns-resolver"] = {"config": {"server": ["192.0.2.53", "2001:db8::53"]}}
    return config, macs


@st.composite
def routes(draw: st.DrawFn, interfaces: list[Data]) -> list[Data]:
    """Return routes through those of *interfaces* that have a static address."""
    found: list[Data] = []
    for interface in interfaces:
        for family, default, other in (("ipv4", "0.0.0.0/0", "198.51.100.0/24"), ("ipv6", "::/0", "2001:db8:99::/48")):
            addresses = interface.get(family, {}).get("address", [])
            if addresses:
                router = addresses[0]["ip"].rpartition("." if family == "ipv4" else ":")
                hop = {"next-hop-address": "".join([*router[:2], "1"])}
                hop |= draw(st.sampled_from([{}, {"next-hop-interface": interface["name"]}]))
                chosen = draw(st.lists(st.sampled_from([default, other]), unique=True))
                found += [{"destination": each} | hop for each in chosen]
    return found


@settings(deadline=None, max_examples=80)
@given(configs())
def test_initramfs_sets_up_what_the_file_says(case: tuple[Data, dict[str, str]]) -> None:
    config, macs = case
    named = {name: MacAddress.parse(mac) for name, mac in macs.items()}
    read = NetworkConfig.model_validate(config)
    arguments = dracut_arguments(read, "w.example.com", SERVERS, naming(read, named, [], Release(4, 16)))

    assert differences(config, arguments, macs) == []
