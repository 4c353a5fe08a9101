"""The real nm-initrd-generator(8), which reads a kernel command line in RHCOS' initramfs, as the judge of ours.

It is Debian's, of the version that RHEL 9.2 has (1.42), unpacked into a directory of its own: installing the package
would start NetworkManager. Where it cannot be downloaded, the tests that need it are skipped.
"""

import configparser
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

PACKAGE = "network-manager"
PLACES = ("usr/lib/NetworkManager/nm-initrd-generator", "usr/libexec/nm-initrd-generator")
# Connections that it prints have the forms of keyfiles, each after a line with its name.
HEADING = re.compile(r"\*\*\* (\w+) '(.*)' \*\*\*")


@dataclass(frozen=True)
class Connection:
    """A connection profile as the generator prints it."""

    type: str
    interface: str  # the interface's name, or the MAC address of the card; "" for any card
    controller: str  # the name of the bond or bridge of which it is a port; "" for none
    mtu: str
    mac: str  # that the interface gets
    ipv4: str  # the method
    ipv6: str
    addresses: frozenset[str]
    gateways: frozenset[str]
    routes: frozenset[str]  # "198.51.100.0/24 192.0.2.1"
    dns: frozenset[str]
    has_auto_dns: bool
    vlan: tuple[str, str]  # parent and id
    bond: tuple[tuple[str, str], ...]  # options


@dataclass(frozen=True)
class Generated:
    """What the generator makes of a command line."""

    connections: dict[str, Connection]  # by interface
    host_name: str
    complaints: tuple[str, ...]


@cache
def _generator() -> Path | None:
    cache_home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    for root in (Path("/"), cache_home / "ocp-appliance" / PACKAGE):
        for place in PLACES:
            if (root / place).exists():
                return root / place
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        return None
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent) as directory:
        # As root, apt warns that its own user cannot write there, and goes on.
        download = subprocess.run(
            ["apt-get", "-qq", "download", PACKAGE], cwd=directory, capture_output=True, timeout=120, check=False
        )
        found = list(Path(directory).glob("*.deb"))
        if download.returncode or not found:
            return None
        unpacked = Path(directory) / "unpacked"
        subprocess.run(["dpkg", "-x", found[0], unpacked], check=True)
        if not root.exists():
            unpacked.rename(root)
    return next((root / place for place in PLACES if (root / place).exists()), None)


def generator() -> Path:
    """Return the program; skips the test where it is not to be had."""
    program = _generator()
    if program is None:
        pytest.skip(f"nm-initrd-generator is not here, and `apt-get download {PACKAGE}` does not bring it")
    return program


def judged(arguments: Sequence[str]) -> Generated:
    """Return what nm-initrd-generator makes of the kernel's *arguments*."""
    nowhere = "/nonexistent"
    command = [generator(), "-s", "-d", nowhere, "-c", nowhere, "-i", nowhere, "-r", nowhere, "-p", nowhere, "--"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=20, check=True)
    host_name, profiles = "", []
    complaints = [line for line in done.stderr.splitlines() if line]
    parts = HEADING.split(done.stdout)
    complaints += [line for line in parts[0].splitlines() if line.strip()]
    for kind, name, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        lines = [line for line in text.splitlines() if line.strip()]
        # It prints a profile that it refuses as a sentence in place of the profile.
        complaints += [line for line in lines if not re.match(r"\[|[\w.-]+=", line)]
        if kind == "Hostname":
            host_name = name
        if kind != "Connection":
            continue
        parser = configparser.ConfigParser(interpolation=None, delimiters=("=",))
        parser.read_string("\n".join(line for line in lines if re.match(r"\[|[\w.-]+=", line)))
        profiles.append(parser)
    names = {each["connection"]["uuid"]: each["connection"].get("interface-name", "") for each in profiles}
    connections = [_connection(each, names) for each in profiles]
    return Generated({each.interface: each for each in connections}, host_name, tuple(complaints))


def _connection(profile: configparser.ConfigParser, names: dict[str, str]) -> Connection:
    def get(section: str, key: str) -> str:
        return profile.get(section, key, fallback="")

    addresses, gateways, routes, dns = set(), set(), set(), set()
    for family in ("ipv4", "ipv6"):
        for key, value in profile.items(family) if profile.has_section(family) else ():
            if re.fullmatch(r"address\d+", key):
                address, _, gateway = value.partition(",")
                addresses.add(address)
                gateways |= {gateway} - {""}
            elif re.fullmatch(r"route\d+", key):
                routes.add(value.replace(",", " "))
            elif key == "gateway":
                gateways.add(value)
            elif key == "dns":
                dns |= set(value.split(";")) - {""}
    return Connection(
        type=get("connection", "type"),
        interface=get("connection", "interface-name") or get("ethernet", "mac-address").lower(),
        controller=names.get(get("connection", "master"), ""),
        mtu=get("ethernet", "mtu"),
        mac=get("ethernet", "cloned-mac-address").lower(),
        ipv4=get("ipv4", "method"),
        ipv6=get("ipv6", "method"),
        addresses=frozenset(addresses),
        gateways=frozenset(gateways),
        routes=frozenset(routes),
        dns=frozenset(dns),
        has_auto_dns=get("ipv4", "ignore-auto-dns") != "true",
        vlan=(get("vlan", "parent"), get("vlan", "id")),
        bond=tuple(sorted(profile.items("bond"))) if profile.has_section("bond") else (),
    )
