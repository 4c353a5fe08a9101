"""What a firewall and SELinux on this machine must allow for HAProxy, where they are at work."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from appliance.model import FrontEnd

# While a unit is active, systemd keeps its cgroup: in version 2 of cgroups, and in version 1.
FIREWALLD = (
    Path("sys/fs/cgroup/system.slice/firewalld.service"),
    Path("sys/fs/cgroup/systemd/system.slice/firewalld.service"),
)
ENFORCE, BOOLEAN = Path("sys/fs/selinux/enforce"), Path("sys/fs/selinux/booleans/haproxy_connect_any")


def advice(front_ends: Sequence[FrontEnd], root: Path = Path("/")) -> Iterator[str]:
    """Yield what to run on the machine whose file system begins at *root*, so that *front_ends* are reached."""
    if front_ends and any((root / place).is_dir() for place in FIREWALLD):
        for front_end in front_ends:
            yield from _rules(front_end)
        yield "firewall: when all are added: firewall-cmd --reload"
    # The boolean holds what is in force and what is pending, as in "1 1"; some policies have no such boolean.
    is_off = (root / BOOLEAN).exists() and not _text(root / BOOLEAN).startswith("1")
    if front_ends and is_off and _text(root / ENFORCE) == "1":
        yield "SELinux: let HAProxy listen on and connect to these ports: setsebool -P haproxy_connect_any=1"


def _rules(front_end: FrontEnd) -> Iterator[str]:
    port = front_end.binds[0].port
    addresses = ", ".join(str(bind.address) for bind in front_end.binds)
    what = f"firewall: {port}/tcp to {addresses} ({front_end.name})"
    if not front_end.allowed:
        yield f"{what} from every client: firewall-cmd --permanent --add-port={port}/tcp"
    versions = {bind.address.version for bind in front_end.binds}
    for network in (network for network in front_end.allowed if network.version in versions):
        source = f'family="ipv{network.version}" source address="{network}"'
        rule = f'rule {source} port port="{port}" protocol="tcp" accept'
        yield f"{what} from {network}: firewall-cmd --permanent --add-rich-rule='{rule}'"


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
