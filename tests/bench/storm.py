"""The boot storm: all hosts of a cluster are powered on in the same second, and install to their disks.

The load is the simulated machine of `ocp-appliance simulate`, many at once (tests.bench.boot_storm): each
host has its own address behind one relay. A sample in which a host had to try anything twice is no figure.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

from appliance.boot.loaders import find_loader
from appliance.install.installation import WRITE_BYTES_PER_SECOND
from tests.bench import peers
from tests.bench.lab import LOAD, SERVER, BenchError, Lab
from tests.bench.measure import OURS, Figure, Target, measure
from tests.bench.workload import Host, hosts

MIB = 1 << 20
LOADER = "efi/ipxe.efi"
MEMORY_LIMIT_MIB = 120
LONGEST_SECONDS = 45
STACK = "BIND + dhcpd + tftpd-hpa + nginx"
SMALL_STACK = "dnsmasq + nginx"
# About the size of what `openshift-install create ignition-configs` makes.
IGNITION_BYTES = {"bootstrap": 300 << 10, "master": 1700, "worker": 1700}


class Case(NamedTuple):
    """One row."""

    hosts: int
    kernel_mib: float
    initramfs_mib: float
    image_mib: float

    @property
    def name(self) -> str:
        """What the table says."""
        files = f"kernel {self.kernel_mib:g}, initramfs {self.initramfs_mib:g}, image {self.image_mib:g} MiB"
        return f"boot storm, {self.hosts} hosts ({files})"


# Full-size files for a thousand hosts would be 94 GB per sample, so their kernel and initramfs are an eighth.
# The same goes for the case with large images, where kernel and initramfs are not what is measured.
CASES = (Case(250, 14, 80, 0.25), Case(50, 1.75, 10, 256), Case(1000, 1.75, 10, 0.25))


def run(*, rounds: int, seconds: float) -> list[Figure]:
    """Return the storm's rows. *seconds* is not used: a storm takes as long as it takes."""
    del seconds
    figures = []
    memory: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for case in CASES if rounds > 1 else CASES[:1]:
        playing = {
            name: partial(_seconds_to_last, start, case, memory[name] if case.hosts == 1000 else [])
            for name, start in CONTESTANTS.items()
        }
        figures.append(
            measure(
                case.name,
                "s to the last",
                playing,
                rounds=rounds,
                more_is_better=False,
                targets={STACK: Target(1.0), SMALL_STACK: Target(1.0)},
                note=f"the load generator by itself: {_floor(case)}",
            )
        )
    if any(memory.values()):
        figures.append(
            Figure(
                "memory after the storm, 1,000 hosts",
                "MiB, proportional",
                {name: tuple(values) for name, values in memory.items() if values},
                more_is_better=False,
                targets={OURS: Target(limit=MEMORY_LIMIT_MIB)},
            )
        )
    return figures


def _floor(case: Case) -> str:
    """Return how long the same storm takes against tests.bench.echo, which does no work: no server can be faster."""
    try:
        return f"{_seconds_to_last(_start_echo, case, []):.1f} s"
    except BenchError as error:
        return f"no figure: {error}"


def _seconds_to_last(start: Callable[[Lab, list[Host], Case], None], case: Case, memory: list[float]) -> float:
    """Start a contestant, power on all hosts, and return the seconds until the last one was installed."""
    fleet = hosts(case.hosts)
    with Lab("storm") as lab:
        lab.add_load_addresses([host.address for host in fleet])
        lab.route_through_relay([host.address for host in fleet])
        cluster = peers.write_cluster(lab, fleet)
        start(lab, fleet, case)
        report = _play(lab, cluster)
        memory.append(lab.memory_bytes() / MIB)
        if report["installed"] != case.hosts or report["retries"] or report["errors"]:
            raise BenchError(
                f"{report['installed']} of {case.hosts} installed after {report['seconds_to_last']:.1f} s, "
                f"{report['retries']} retries; errors: {report['errors']}"
            )
        if start is _start_ours:
            _check_status(lab, case, cluster)
        return float(report["seconds_to_last"])


def _play(lab: Lab, cluster: Path) -> dict[str, Any]:
    """Power on all hosts of *cluster*; return the report of tests.bench.boot_storm."""
    command = (sys.executable, "-m", "tests.bench.boot_storm", cluster, "--via", LOAD, "--json")
    out = lab.load(*command, timeout=LONGEST_SECONDS, check=False)
    if not out:
        raise BenchError(f"{lab.name}: the storm ended without a report")
    return cast("dict[str, Any]", json.loads(out))


def _check_status(lab: Lab, case: Case, cluster: Path) -> None:
    """Raise BenchError unless the appliance itself counts every host as installed.

    It does so when a host comes back from its reboot after the time that writing its disk takes, so wait that
    long and power all of them on again. Their simulated disks are empty, which ends each boot with an error.
    """
    time.sleep(case.image_mib * MIB / WRITE_BYTES_PER_SECOND + 1)
    errors = _play(lab, cluster)["errors"]
    if sum(errors.values()) != case.hosts or not all("disk is empty" in error for error in errors):
        raise BenchError(f"{lab.name}: some hosts were not sent to their disks: {errors}")
    out = lab.load(peers.OURS, "status", "-o", "json", "--data-dir", lab.directory / "data")
    stages = [host["stage"] for host in json.loads(out)["hosts"]]
    if stages != ["installed"] * case.hosts:
        raise BenchError(f"{lab.name}: not all hosts are installed; stages: {sorted(set(stages))}")


def _write_files(directory: Path, case: Case) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, mib in (("kernel", case.kernel_mib), ("initramfs", case.initramfs_mib), ("metal.raw.gz", case.image_mib)):
        # Sparse files: every server reads the same zero pages, and the disk's speed does not matter.
        with (directory / name).open("wb") as out:
            out.truncate(int(mib * MIB))


def _write_ignition(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for role, size in IGNITION_BYTES.items():
        (directory / f"{role}.ign").write_text(json.dumps({"ignition": {"version": "2.2.0"}, "x": "a" * size}))


def _start_ours(lab: Lab, fleet: list[Host], case: Case) -> None:
    _write_files(lab.directory / "data" / "images", case)
    _write_ignition(lab.directory / "data" / "ignition")
    peers.start_ours(lab, fleet)


def _start_web_peer(lab: Lab, fleet: list[Host], case: Case) -> None:
    """Start nginx with the same files, and a script for each host as an operator would write it."""
    www = lab.directory / "www"
    _write_files(www, case)
    _write_ignition(www)
    base = f"http://{SERVER}"
    (www / "pxeboot.ipxe").write_text(f"#!ipxe\nchain {base}/ipxe/${{mac:hexhyp}}.ipxe\n")
    (www / "ipxe").mkdir()
    for host in fleet:
        arguments = (
            "ip=dhcp rd.neednet=1 initrd=initramfs console=tty0 console=ttyS0 coreos.inst=yes "
            f"coreos.inst.install_dev=sda coreos.inst.image_url={base}/metal.raw.gz "
            f"coreos.inst.ignition_url={base}/{host.role}.ign"
        )
        text = f"#!ipxe\nkernel {base}/kernel {arguments}\ninitrd {base}/initramfs\nboot\n"
        (www / "ipxe" / f"{host.mac.replace(':', '-')}.ipxe").write_text(text)
    peers.start_nginx(lab)


def _link_loader(lab: Lab) -> None:
    loader = find_loader(LOADER, Path("/nonexistent"))
    if loader is None:
        raise BenchError(f"{LOADER} is not installed; install the package ipxe")
    peers.link_tftp_files(lab, loader)


def _start_stack(lab: Lab, fleet: list[Host], case: Case) -> None:
    _link_loader(lab)
    peers.start_bind(lab, fleet)
    peers.start_dhcpd(lab, fleet)
    peers.start_tftpd(lab)
    _start_web_peer(lab, fleet, case)


def _start_small_stack(lab: Lab, fleet: list[Host], case: Case) -> None:
    _link_loader(lab)
    peers.start_dnsmasq(lab, fleet)
    _start_web_peer(lab, fleet, case)


def _start_echo(lab: Lab, _fleet: list[Host], case: Case) -> None:
    sizes = {"--kernel": case.kernel_mib, "--initrd": case.initramfs_mib, "--image": case.image_mib}
    flags = [text for flag, mib in sizes.items() for text in (flag, str(int(mib * MIB)))]
    lab.start(sys.executable, "-m", "tests.bench.echo", lab.directory / "cluster.yaml", *flags)
    lab.wait_until("curl", "-s", "-o", "/dev/null", f"http://{SERVER}/")


CONTESTANTS: Mapping[str, Callable[[Lab, list[Host], Case], None]] = {
    OURS: _start_ours,
    STACK: _start_stack,
    SMALL_STACK: _start_small_stack,
}
