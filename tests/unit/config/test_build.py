"""Defaults for missing keys, and values that apply to several hosts or networks."""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from pathlib import Path

import pytest

from appliance import config
from appliance.config.build import data_dir_of
from appliance.model import (
    INFINITE_LEASE,
    Arch,
    Cluster,
    DhcpMode,
    Endpoint,
    ForwardZone,
    Install,
    LocalBoot,
    NameServer,
    Record,
    Route,
)
from tests.config_files import CLEAN, check_text, edited, with_dns, with_host


def cluster_of(tmp_path: Path, text: str) -> Cluster:
    """Return the cluster in *text*."""
    checked = check_text(tmp_path, text)
    assert checked.errors == ()
    return checked.clusters[0]


@pytest.fixture
def plain(tmp_path: Path) -> Cluster:
    """Return the cluster in CLEAN."""
    return cluster_of(tmp_path, CLEAN)


def test_api_int_defaults_to_the_api(plain: Cluster) -> None:
    assert plain.api_int_vips == plain.api_vips == (IPv4Address("192.0.2.8"),)


def test_appliance_has_a_name_in_the_cluster(plain: Cluster) -> None:
    assert plain.appliance_name == "appliance.prod.example.com"


def test_zone_is_the_cluster_s_domain_and_the_appliance_its_server(plain: Cluster) -> None:
    assert (plain.dns.zone, plain.dns.mailbox) == ("prod.example.com", "hostmaster.prod.example.com")
    assert plain.dns.name_servers == (NameServer("appliance.prod.example.com", (IPv4Address("192.0.2.5"),)),)


def test_machine_networks_may_ask_for_the_world(plain: Cluster) -> None:
    assert plain.dns.allow_recursion == (IPv4Network("192.0.2.0/24"),)


def test_services_listen_on_the_appliance_s_address(plain: Cluster) -> None:
    own = IPv4Address("192.0.2.5")

    assert plain.listen.dns == (Endpoint(own, 53),)
    assert plain.listen.tftp == (Endpoint(own, 69),)
    assert plain.listen.http == (Endpoint(own, 80),)
    assert plain.listen.dashboard == (Endpoint(IPv4Address("127.0.0.1"), 8080),)


def test_lease_is_seven_days(plain: Cluster) -> None:
    assert plain.networks[0].lease_seconds == 604800


def test_menu_waits_and_workers_hold(plain: Cluster) -> None:
    assert (plain.menu_seconds, plain.known_menu_seconds, plain.hold_workers) == (300, 10, True)
    assert plain.serve_expired is False


def test_digest_is_the_file_s_sha256(plain: Cluster, tmp_path: Path) -> None:
    changed = cluster_of(tmp_path, f"{CLEAN}# a comment\n")

    assert (len(plain.digest), plain.digest != changed.digest) == (64, True)


def test_service_can_be_switched_off(tmp_path: Path) -> None:
    listen = cluster_of(tmp_path, f"{CLEAN}listen: {{dns: [], dashboard: []}}\n").listen

    assert (listen.dns, listen.dashboard) == ((), ())


def test_listen_takes_addresses_with_and_without_ports(tmp_path: Path) -> None:
    text = f"{CLEAN}listen: {{http: [192.0.2.5, '192.0.2.5:8000', '::1', '[::1]:81'], dhcp: eno1, dhcpPort: 6767}}\n"
    listen = cluster_of(tmp_path, text).listen

    assert [str(endpoint) for endpoint in listen.http] == ["192.0.2.5:80", "192.0.2.5:8000", "[::1]:80", "[::1]:81"]
    assert (listen.dhcp, listen.dhcp_port) == (("eno1",), 6767)


def test_address_in_each_network_is_listened_on(tmp_path: Path) -> None:
    text = edited(
        (
            "      gateway: 192.0.2.1\n",
            "      gateway: 192.0.2.1\n    - {cidr: 198.51.100.0/24, serverAddress: 198.51.100.5}\n",
        ),
        ("198.51.100.53", "203.0.113.53"),
    )
    cluster = cluster_of(tmp_path, text)

    assert [str(endpoint) for endpoint in cluster.listen.tftp] == ["192.0.2.5:69", "198.51.100.5:69"]
    assert cluster.networks[1].dns_servers == (IPv4Address("198.51.100.5"),)


def test_networks_of_either_family_are_on_the_link_that_they_name(tmp_path: Path) -> None:
    own = [
        "{cidr: 198.51.100.0/24, serverAddress: 198.51.100.5, link: rack1}",
        *(f"{{cidr: '2001:db8:{n}::/64', serverAddress: '2001:db8:{n}::5', link: rack1}}" for n in (1, 2)),
    ]
    entries = "".join(f"    - {each}\n" for each in own)
    text = edited(
        ("      gateway: 192.0.2.1\n", f"      gateway: 192.0.2.1\n{entries}"), ("198.51.100.53", "203.0.113.53")
    )
    networks = cluster_of(tmp_path, text).networks

    assert [each.link for each in networks] == ["", "rack1", "rack1", "rack1"]
    assert [[each.shares_link(other) for other in networks].count(True) for each in networks] == [0, 0, 1, 1]


def test_network_says_more_than_dhcp(tmp_path: Path) -> None:
    own = "{cidr: 198.51.100.0/24, mtu: 1400, leaseTime: infinite, search: [], ntp: [198.51.100.1], domain: x.example}"
    text = edited(("      gateway: 192.0.2.1\n", f"    - {own}\n"), text=CLEAN)
    text += (
        "additionalNTPSources: [192.0.2.1]\n"
        "dhcp:\n  mtu: 9000\n  leaseTime: 12h\n  search: [example.com]\n  gateway: 192.0.2.1\n"
        "  routes: [{destination: 203.0.113.0/24, gateway: 198.51.100.9}]\n"
    )
    near, far = cluster_of(tmp_path, text.replace("198.51.100.53", "203.0.113.53")).networks

    assert (near.gateway, near.mtu, near.lease_seconds, near.search) == (
        IPv4Address("192.0.2.1"),
        9000,
        43200,
        ("example.com",),
    )
    assert (far.gateway, far.mtu, far.lease_seconds, far.search) == (None, 1400, INFINITE_LEASE, ())
    assert (near.ntp_servers, far.ntp_servers) == ((IPv4Address("192.0.2.1"),), (IPv4Address("198.51.100.1"),))
    assert (near.domain, far.domain) == ("prod.example.com", "x.example")
    assert (near.routes, far.routes) == ((), (Route(IPv4Network("203.0.113.0/24"), IPv4Address("198.51.100.9")),))


def test_gateway_outside_the_network_is_reached_by_a_route_without_one(tmp_path: Path) -> None:
    routes = "[{destination: 203.0.113.1/32, gateway: 0.0.0.0}, {destination: 0.0.0.0/0, gateway: 203.0.113.1}]"
    (network,) = cluster_of(tmp_path, edited(("      gateway: 192.0.2.1\n", f"      routes: {routes}\n"))).networks

    assert network.routes == (
        Route(IPv4Network("203.0.113.1/32"), IPv4Address("0.0.0.0")),
        Route(IPv4Network("0.0.0.0/0"), IPv4Address("203.0.113.1")),
    )


def test_default_gateway_may_be_one_that_a_route_reaches(tmp_path: Path) -> None:
    own = "      gateway: 203.0.113.1\n      routes: [{destination: 203.0.113.0/24, gateway: 0.0.0.0}]\n"
    (network,) = cluster_of(tmp_path, edited(("      gateway: 192.0.2.1\n", own))).networks

    assert network.gateway == IPv4Address("203.0.113.1")


@pytest.mark.parametrize(
    ("written", "relays"),
    [
        ("198.51.100.1", ["198.51.100.1/32"]),
        ("[198.51.100.1, 198.51.100.16/28]", ["198.51.100.1/32", "198.51.100.16/28"]),
    ],
)
def test_relays_are_addresses_or_networks(tmp_path: Path, written: str, relays: list[str]) -> None:
    cluster = cluster_of(tmp_path, f"{CLEAN}dhcp:\n  relays: {written}\n")

    assert [str(relay) for relay in cluster.dhcp_relays] == relays


def test_host_says_more_than_its_role_and_the_role_more_than_the_default(tmp_path: Path) -> None:
    roles = (
        "roles:\n  worker: {arch: aarch64, rootDeviceHints: {deviceName: /dev/vda}, kernelArguments: [a=b],"
        " install: never, localBoot: exit, loader: efi/snponly.efi}\n"
    )
    own = "    rootDeviceHints: {deviceName: /dev/sdb}\n    kernelArguments: []\n    install: once\n    arch: x86_64\n"
    text = with_host(("    address:", f"{own}    address:")) + roles
    checked = check_text(tmp_path, text)
    master, role_s, own_s = checked.clusters[0].hosts[3:]

    assert (master.install_disk, master.arch, master.install) == ("/dev/sda", Arch.X86_64, Install.ONCE)
    assert (role_s.install_disk, role_s.kernel_arguments, role_s.install) == ("/dev/vda", ("a=b",), Install.NEVER)
    assert (role_s.local_boot, role_s.loader, role_s.arch) == (LocalBoot.EXIT, "efi/snponly.efi", Arch.AARCH64)
    assert (own_s.install_disk, own_s.kernel_arguments, own_s.install) == ("/dev/sdb", (), Install.ONCE)


def test_interfaces_give_the_mac_addresses_as_in_agent_config(tmp_path: Path) -> None:
    interfaces = "interfaces: [{name: eno1, macAddress: 52:54:00:00:00:32}, {macAddress: 52:54:00:00:01:32}]"
    host = cluster_of(tmp_path, with_host(("macAddress: 52:54:00:00:00:32", interfaces))).hosts[-1]

    assert [str(mac) for mac in host.macs] == ["52:54:00:00:00:32", "52:54:00:00:01:32"]


def test_names_are_lower_case_and_full(tmp_path: Path) -> None:
    text = with_host(
        ("hostname: w2", "hostname: W2.Prod.Example.COM."), ("address:", "addressIPv6: '2001:DB8::32'\n    address:")
    )
    host = cluster_of(tmp_path, text).hosts[-1]

    assert (host.name, host.addresses[1]) == ("w2.prod.example.com", IPv6Address("2001:db8::32"))


def test_mode_and_gates_are_taken_over(tmp_path: Path) -> None:
    text = f"{CLEAN}dhcp: {{mode: proxy}}\nholdUntil: {{worker: none}}\nserveExpired: yes\nmenu: {{timeout: 5m}}\n"
    cluster = cluster_of(tmp_path, text)

    assert (cluster.dhcp, cluster.hold_workers, cluster.serve_expired, cluster.menu_seconds) == (
        DhcpMode.PROXY,
        False,
        True,
        300,
    )


def test_records_have_full_names_and_zone_file_data(tmp_path: Path) -> None:
    records = """\
  ttl: 600
  records:
    - {name: lb1, type: a, value: 192.0.2.40}
    - {name: "@", type: MX, value: 010 Mail}
    - {name: _ldap._tcp, type: SRV, value: 0 10 389 ldap.other.com., ttl: 1h}
    - {name: "*.dev.prod.example.com", type: CNAME, value: "@"}
    - {name: 192.0.2.40, type: PTR, value: lb1}
    - {name: note, type: TXT, value: 'say "hi"'}
    - {name: raw, type: TXT, value: '"a b" "c"'}
"""
    zone = "prod.example.com"

    assert cluster_of(tmp_path, with_dns(records)).dns.records == (
        Record(f"lb1.{zone}", "A", 600, "192.0.2.40"),
        Record(zone, "MX", 600, f"10 mail.{zone}"),
        Record(f"_ldap._tcp.{zone}", "SRV", 3600, "0 10 389 ldap.other.com"),
        Record(f"*.dev.{zone}", "CNAME", 600, zone),
        Record("40.2.0.192.in-addr.arpa", "PTR", 600, f"lb1.{zone}"),
        Record(f"note.{zone}", "TXT", 600, '"say \\"hi\\""'),
        Record(f"raw.{zone}", "TXT", 600, '"a b" "c"'),
    )


def test_long_text_record_is_cut_into_strings_of_255_octets(tmp_path: Path) -> None:
    text = with_dns(f"  records: [{{name: a, type: TXT, value: {'x' * 300}}}]\n")
    (record,) = cluster_of(tmp_path, text).dns.records

    assert record.value == f'"{"x" * 255}" "{"x" * 45}"'


def test_quoted_string_that_is_too_long_is_cut_too(tmp_path: Path) -> None:
    """A DKIM key is pasted with quotes, as the tool that made it prints it."""
    text = with_dns(f'  records: [{{name: a, type: TXT, value: \'"{"x" * 300}" "\\061\\."\'}}]\n')
    (record,) = cluster_of(tmp_path, text).dns.records

    assert record.value == f'"{"x" * 255}" "{"x" * 45}" "=."'


def test_name_server_outside_the_zone_has_no_address(tmp_path: Path) -> None:
    text = with_dns("  nameServers: [{name: ns.other.com}, {name: m1}]\n")

    assert cluster_of(tmp_path, text).dns.name_servers == (
        NameServer("ns.other.com", ()),
        NameServer("m1.prod.example.com", (IPv4Address("192.0.2.21"),)),
    )


def test_data_directory_of_the_command_line_comes_first() -> None:
    assert data_dir_of("/said", Path("/etc/x.yaml"), Path("/given"), "prod", 1) == Path("/given")
    assert data_dir_of("/said", Path("/etc/x.yaml"), Path("/given"), "prod", 2) == Path("/given/prod")


def test_relative_data_directory_begins_at_the_file() -> None:
    assert data_dir_of("data", Path("/etc/ocp/x.yaml"), None, "prod", 1) == Path("/etc/ocp/data")


def test_data_directory_comes_from_systemd_where_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/other:/var/lib/second")

    assert data_dir_of(None, Path("x.yaml"), None, "prod", 1) == Path("/var/lib/other")


def test_usual_data_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)

    assert data_dir_of(None, Path("x.yaml"), None, "prod", 1) == Path("/var/lib/ocp-appliance")
    assert data_dir_of(None, Path("x.yaml"), None, "prod", 2) == Path("/var/lib/ocp-appliance/prod")


def test_state_stays_where_it_is_when_a_second_cluster_comes(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(CLEAN)
    other = CLEAN.replace("name: prod", "name: test").replace("192.0.2.", "203.0.113.").replace("52:54:00", "52:54:01")
    (tmp_path / "b.yaml").write_text(other)
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"

    for files in ([first], [first, second], [second, first]):
        assert config.state_dir_of(config.load(files, tmp_path), tmp_path) == tmp_path


def test_state_is_in_the_directory_that_the_first_file_names(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(CLEAN + "dataDir: here\n")
    other = CLEAN.replace("name: prod", "name: test").replace("192.0.2.", "203.0.113.").replace("52:54:00", "52:54:01")
    (tmp_path / "b.yaml").write_text(other + "dataDir: there\n")

    clusters = config.load([tmp_path / "a.yaml", tmp_path / "b.yaml"])

    assert config.state_dir_of(clusters, None) == tmp_path / "here"


def test_several_files_load_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(CLEAN)
    other = CLEAN.replace("name: prod", "name: test").replace("192.0.2.", "203.0.113.").replace("52:54:00", "52:54:01")
    (tmp_path / "b.yaml").write_text(other)

    clusters = config.load([tmp_path / "a.yaml", tmp_path / "b.yaml"], tmp_path)

    assert [cluster.name for cluster in clusters] == ["prod", "test"]
    assert [cluster.data_dir for cluster in clusters] == [tmp_path / "prod", tmp_path / "test"]


@pytest.mark.parametrize(
    ("forwarders", "expected"),
    [("10.1.1.1, 'fd00::1'", True), ("10.1.1.1, 198.51.100.53", False), ("198.51.100.53", False), ("", False)],
)
def test_private_reverse_names_are_forwarded_if_all_forwarders_are_private(
    tmp_path: Path, forwarders: str, expected: bool
) -> None:
    cluster = cluster_of(tmp_path, edited(("198.51.100.53", forwarders)))
    assert cluster.dns.forward_private_reverse is expected


def test_file_decides_whether_private_reverse_names_are_forwarded(tmp_path: Path) -> None:
    assert cluster_of(tmp_path, with_dns("  forwardPrivateReverse: true\n")).dns.forward_private_reverse


def test_zones_have_forwarders_of_their_own(tmp_path: Path) -> None:
    text = with_dns("  forward:\n    - {zone: Corp.Example., forwarders: 192.0.2.53}\n")
    assert cluster_of(tmp_path, text).dns.forward == (
        ForwardZone("corp.example", (Endpoint(IPv4Address("192.0.2.53"), 53),)),
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("[198.51.100.53]", "[]"), True),
        (("[198.51.100.53]", "[]\n  mailbox: a@example.com"), True),
        (("dns:\n  forwarders: [198.51.100.53]\n", ""), False),
        (("[198.51.100.53]", "[198.51.100.53]"), False),
    ],
)
def test_nodes_are_isolated_where_the_file_says_that_there_are_no_forwarders(
    tmp_path: Path, change: tuple[str, str], expected: bool
) -> None:
    assert cluster_of(tmp_path, edited(change)).dns.is_isolated is expected


def test_nodes_that_know_another_dns_server_are_not_isolated(tmp_path: Path) -> None:
    gateway = "      gateway: 192.0.2.1\n"
    servers = (gateway, f"{gateway}      dnsServers: [192.0.2.5, 192.0.2.53]\n")
    assert not cluster_of(tmp_path, edited(servers, ("[198.51.100.53]", "[]"))).dns.is_isolated


@pytest.mark.parametrize("mode", ["proxy", "off"])
def test_nodes_are_not_isolated_where_another_dhcp_server_tells_them_whom_to_ask(tmp_path: Path, mode: str) -> None:
    text = edited(("[198.51.100.53]", "[]")) + f"dhcp:\n  mode: {mode}\n"
    assert not cluster_of(tmp_path, text).dns.is_isolated


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("nameserver=192.0.2.53", False),
        ("nameserver=[2001:db8::53]", False),
        ("ip=192.0.2.21::192.0.2.1:255.255.255.0:m1:eno1:none:192.0.2.5:192.0.2.53", False),
        ("ip=[2001:db8::21]::[2001:db8::1]:64:m1:eno1:none:[2001:db8::53]", False),
        ("nameserver=192.0.2.5", True),
        ("ip=192.0.2.21::192.0.2.1:255.255.255.0:m1:eno1:none:192.0.2.5", True),
        ("ip=192.0.2.21::192.0.2.1:255.255.255.0:m1.example.com:eno1:none:1500:52:54:00:00:00:21", True),
        ("ip=eno1:dhcp", True),
    ],
)
@pytest.mark.parametrize("place", ["host", "role"])
def test_nodes_whose_kernel_arguments_name_another_dns_server_are_not_isolated(
    tmp_path: Path, argument: str, expected: bool, place: str
) -> None:
    text = edited(("[198.51.100.53]", "[]"))
    lines = f"    kernelArguments: ['{argument}']\n"
    if place == "host":
        text = text.replace("    address: 192.0.2.21\n", f"    address: 192.0.2.21\n{lines}")
    else:
        text += f"roles:\n  master:\n{lines}"
    assert cluster_of(tmp_path, text).dns.is_isolated is expected


def test_hosts_are_told_of_time_servers_that_are_ipv4_addresses(tmp_path: Path) -> None:
    cluster = cluster_of(tmp_path, f"{CLEAN}additionalNTPSources: [ntp.example.com, 192.0.2.123]\n")
    assert cluster.networks[0].ntp_servers == (IPv4Address("192.0.2.123"),)


def test_single_node_whose_api_is_an_alias_has_its_own_address_for_api_int(tmp_path: Path) -> None:
    hosts = edited(("apiVIPs: 192.0.2.8\ningressVIPs: 192.0.2.9\n", ""))
    one = re.sub(r"  - hostname: (m[23]|w1)\n(?:    .*\n)+", "", hosts)
    cluster = cluster_of(tmp_path, f"{one}  records: [{{name: api, type: CNAME, value: lb.corp.example}}]\n")
    assert (cluster.api_vips, cluster.api_int_vips) == ((), (IPv4Address("192.0.2.21"),))
