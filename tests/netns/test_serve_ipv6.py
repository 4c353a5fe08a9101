"""A machine without IPv4 installs, and one with both families by either: DHCPv6, TFTP, HTTP and DNS over IPv6.

machine eth0 (its MAC) ── veth ── [bridge br0, the appliance's addresses] ocp-appliance serve
"""

import json
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.config import load
from appliance.simulate.standins import make_standins
from tests.dhcp6_lab import Lab6
from tests.dhcp_lab import APPLIANCE_NAMESPACE, can_make_namespaces, ip
from tests.efi_programs import efi_program

pytestmark = [
    pytest.mark.netns,
    pytest.mark.timeout(120),
    pytest.mark.skipif(not can_make_namespaces(), reason="network namespaces need root and ip(8)"),
]

ROOT = Path(__file__).parents[2]
READY_SECONDS = 60.0
# Configures what DHCPv6 has given, as NetworkManager does.
LEASE_SCRIPT = """#!/bin/sh
[ "$reason" = BOUND6 ] && ip -6 addr add "$new_ip6_address/128" dev "$interface" nodad
exit 0
"""


class Place:
    """A running appliance, and the machines beside it."""

    def __init__(self, lab: Lab6, example: str) -> None:
        self.lab, self.data_dir = lab, lab.directory / "data"
        self.config = lab.directory / "cluster.yaml"
        text = (ROOT / "data" / example / "cluster.yaml").read_text()
        self.config.write_text(f"{text}\nholdUntil: {{worker: none}}\nlisten: {{dashboard: []}}\n")
        (self.cluster,) = load([self.config], self.data_dir)
        make_standins(self.cluster, self.data_dir, seed=0)
        arm = self.data_dir / "tftp" / "arm64-efi" / "snponly.efi"
        arm.parent.mkdir(parents=True, exist_ok=True)
        arm.write_bytes(efi_program(processor="aarch64", content=b"iPXE"))
        self.base = f"http://[{self.cluster.own_address(6)}]"
        self.machines: dict[str, str] = {}
        # A bridge without ports has no carrier, and without one the kernel does not use new IPv6 addresses.
        ip(
            f"-n {APPLIANCE_NAMESPACE} link add keep type veth peer name kept",
            f"-n {APPLIANCE_NAMESPACE} link set kept up",
            f"-n {APPLIANCE_NAMESPACE} link set keep master br0 up",
        )
        for network in self.cluster.networks:
            more = " nodad" if network.cidr.version == 6 else ""
            ip(f"-n {APPLIANCE_NAMESPACE} addr add {network.server}/{network.cidr.prefixlen} dev br0{more}")
        self.process = lab.start(
            APPLIANCE_NAMESPACE,
            *(sys.executable, "-m", "appliance", "serve", str(self.config), "--data-dir", str(self.data_dir)),
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert self.process.stdout is not None
        self.log: list[str] = []
        deadline = time.monotonic() + READY_SECONDS
        while "serve.ready" not in (line := self.process.stdout.readline()):
            self.log.append(line)
            assert line, "".join(self.log)
            assert time.monotonic() < deadline, "".join(self.log)

    def machine(self, name: str, mac: str = "") -> str:
        """Connect a machine: the host *name*, unless *mac* is another's; return its namespace."""
        if name not in self.machines:
            host = next((each for each in self.cluster.hosts if each.short_name == name), None)
            self.machines[name] = self.lab.node(name, mac or str(host.macs[0] if host else ""))
            ip(f"-n {self.machines[name]} -6 route add {self.cluster.own_address(6)} dev eth0")
        return self.machines[name]

    def lease(self, name: str) -> None:
        """Have the host *name* take its address by DHCPv6."""
        script = self.lab.directory / "script.sh"
        script.write_text(LEASE_SCRIPT)
        script.chmod(0o755)
        files = ("-lf", str(self.lab.directory / f"{name}.leases"), "-pf", str(self.lab.directory / f"{name}.pid"))
        self.lab.run(self.machine(name), "dhclient", "-6", "-1", "-v", *files, "-sf", str(script), "eth0")

    def address(self, name: str, address: str) -> None:
        """Give a machine an address without asking the appliance."""
        ip(f"-n {self.machine(name)} addr add {address}/128 dev eth0 nodad")

    def get(self, name: str, path: str) -> tuple[str, str]:
        """Return the status and the body that machine *name* gets for *path*, which may be a whole URL."""
        url = path if "://" in path else f"{self.base}{path}"
        options = ("-gs", "-o", "body", "-w", "%{http_code}", "--max-time", "20")
        status = self.lab.run(self.machine(name), "curl", *options, url)
        body = (self.lab.directory / "body").read_bytes().decode(errors="replace")
        return status, body

    def body(self, name: str, path: str) -> str:
        """Return the body of *path*, which must be served."""
        status, body = self.get(name, path)
        assert status == "200", (path, status, body)
        return body

    def simulate(self, name: str, *options: str) -> str:
        """Power on the simulated host *name* on the appliance's bridge; return what it prints."""
        command = (sys.executable, "-m", "appliance", "simulate", "--config", str(self.config), *options, name)
        return self.lab.run(APPLIANCE_NAMESPACE, "env", f"PYTHONPATH={ROOT}", *command, seconds=90)

    def row(self, name: str) -> dict[str, object]:
        """Return what `status` says of the host *name*."""
        command = (sys.executable, "-m", "appliance", "status", "-o", "json", "--data-dir", str(self.data_dir))
        rows = json.loads(self.lab.run(APPLIANCE_NAMESPACE, "env", f"PYTHONPATH={ROOT}", *command))["hosts"]
        return next(row for row in rows if row["name"] == name)


def script_path(mac: object) -> str:
    return f"/ipxe/{str(mac).replace(':', '-')}.ipxe"


IMAGES = ("kernel", "initramfs", "rootfs")


def install(place: Place, name: str, kinds: tuple[str, ...] = (*IMAGES, r"\.ign")) -> list[str]:
    """Boot the host *name* as far as the files of *kinds*; return the URLs that it was given, in order."""
    menu = place.body(name, "/pxeboot.ipxe")
    (own,) = {url for url in re.findall(r"http://\S+\.ipxe", menu) if "/ipxe/" in url}
    script = place.body(name, own)
    urls = [own, *re.findall(r"http://[^\s&|]+", script)]
    wanted = [url for kind in kinds for url in urls if re.search(kind, url)]
    for url in dict.fromkeys(wanted):
        status, _ = place.get(name, url)
        assert status == "200", (url, status)
    return urls


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab6]:
    with Lab6(tmp_path) as lab:
        lab.node_network()
        yield lab


def test_machine_without_ipv4_installs(lab: Lab6) -> None:
    place = Place(lab, "ipv6-only")
    place.lease("master-0")
    urls = install(place, "master-0")
    assert {re.match(r"http://\[([^]]*)\]/", url)[1] for url in urls} == {"2001:db8:0:6::5"}  # type: ignore[index]
    row = place.row("master-0")
    assert (row["address"], row["stage"]) == ("2001:db8:0:6::21", "ignition")


def test_machine_gets_no_script_before_dhcpv6_has_answered_it(lab: Lab6) -> None:
    place = Place(lab, "ipv6-only")
    place.address("master-0", "2001:db8:0:6::21")
    path = script_path(place.cluster.hosts[1].macs[0])
    assert "it has to ask for its address by DHCP" in place.body("master-0", path)
    place.lease("master-0")
    assert "coreos.inst.ignition_url" in place.body("master-0", path)


def test_neighbour_with_the_address_of_a_host_gets_nothing(lab: Lab6) -> None:
    place = Place(lab, "ipv6-only")
    place.lease("master-0")
    urls = install(place, "master-0", IMAGES)
    ip(f"-n {place.machine('master-0')} link set eth0 down")
    place.machine("thief", "52:54:00:00:00:99")
    place.address("thief", "2001:db8:0:6::21")
    lab.run(APPLIANCE_NAMESPACE, "ip", "-6", "neigh", "flush", "dev", "br0")
    secret = [url for url in urls if ".ign" in url or "/ipxe/" in url]
    assert {place.get("thief", url)[0] for url in secret} == {"503"}
    ip(f"-n {place.machine('thief')} link set eth0 down", f"-n {place.machine('master-0')} link set eth0 up")
    ip(f"-n {place.machine('master-0')} addr replace 2001:db8:0:6::21/128 dev eth0 nodad")
    ip(f"-n {place.machine('master-0')} -6 route replace 2001:db8:0:6::5 dev eth0")
    lab.run(APPLIANCE_NAMESPACE, "ip", "-6", "neigh", "flush", "dev", "br0")
    assert {place.get("master-0", url)[0] for url in secret} == {"200"}


def test_neighbour_with_an_address_of_its_own_gets_no_host_s_files(lab: Lab6) -> None:
    place = Place(lab, "ipv6-only")
    place.lease("master-0")
    urls = install(place, "master-0")
    place.machine("stranger", "52:54:00:00:00:99")
    place.address("stranger", "2001:db8:0:6::99")
    assert {place.get("stranger", url)[0] for url in urls if ".ign" in url or "/ipxe/" in url} == {"403"}


def test_host_of_both_families_is_one_installation(lab: Lab6) -> None:
    place = Place(lab, "dual-stack")
    place.lease("master-0")
    over6 = place.body("master-0", script_path(place.cluster.hosts[1].macs[0]))
    ip(f"-n {place.machine('master-0')} addr add 192.0.2.21/24 dev eth0")
    over4 = place.body("master-0", "http://192.0.2.5" + script_path(place.cluster.hosts[1].macs[0]))
    assert over6.replace("[2001:db8:0:2::5]", "192.0.2.5") == over4
    assert "[2001:db8:0:2::5]/ignition/" in over6
    assert place.row("master-0")["number"] == 1


def test_dns_answers_over_ipv6(lab: Lab6) -> None:
    place = Place(lab, "ipv6-only")
    place.lease("master-0")
    server = "@2001:db8:0:6::5"
    names = {
        "master-1.six.example.com": "2001:db8:0:6::22",
        "appliance.six.example.com": "2001:db8:0:6::5",
        "api.six.example.com": "2001:db8:0:6::8",
    }
    for name, address in names.items():
        assert lab.run(place.machine("master-0"), "dig", "+short", server, name, "AAAA").split() == [address]
    pointer = lab.run(place.machine("master-0"), "dig", "+short", server, "-x", "2001:db8:0:6::22")
    assert pointer.split() == ["master-1.six.example.com."]
    assert lab.run(place.machine("master-0"), "dig", "+short", server, "six.example.com", "NS").split() == [
        "appliance.six.example.com."
    ]


def test_loader_comes_over_tftp_and_its_script_names_the_appliance_s_ipv6_address(lab: Lab6) -> None:
    place = Place(lab, "ipv6-only")
    place.lease("master-0")
    url = "tftp://[2001:db8:0:6::5]/autoexec.ipxe"
    assert "http://[2001:db8:0:6::5]/pxeboot.ipxe" in lab.run(place.machine("master-0"), "curl", "-gsS", url)


@pytest.mark.parametrize("arch", ["x64", "http", "arm64"])
def test_simulated_machine_without_ipv4_installs_once_and_then_boots_its_disk(arch: str, lab: Lab6) -> None:
    place = Place(lab, "ipv6-only")
    assert "master-0.six.example.com: installed" in place.simulate("master-0", "--ipv6", "--arch", arch)
    assert place.row("master-0")["stage"] in ("installed", "booted", "joining")
    assert "booted" in place.simulate("master-0", "--ipv6", "--arch", arch)


def test_simulated_host_of_both_families_installs_by_ipv6_and_boots_its_disk_by_ipv4(lab: Lab6) -> None:
    place = Place(lab, "dual-stack")
    assert "master-0.both.example.com: installed" in place.simulate("master-0", "--ipv6")
    assert "booted" in place.simulate("master-0")
    assert place.row("master-0")["number"] == 1
