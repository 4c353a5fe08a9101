"""A cluster of one or a few machines, served in a lab."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from tests.vm.firmware import Firmware
from tests.vm.lab import Appliance, Lab
from tests.vm.machine import Machine
from tests.vm.payload import DISK_LINE, Payload
from tests.vm.processes import ADDRESS, ADDRESS6, PREFIX

ARTIFACTS = Path(__file__).parents[1] / "artifacts" / "vm"

# With plain emulation on an idle core, an installation takes 30 to 60 s, and a boot from disk 10 to 30 s.
INSTALL_SECONDS = 300.0
DISK_SECONDS = 180.0

INSTALLED_LINE = "installer: installed on /dev/vda"

CLUSTER = """\
baseDomain: example.localdomain
metadata:
  name: ocp45
release: {release}
{network}appliance:
  hostname: bastion
  address: {address}
roles:
  master: {{rootDeviceHints: {{deviceName: /dev/vda}}}}
  worker: {{rootDeviceHints: {{deviceName: /dev/vda}}}}
hosts:
{hosts}
dns:
  forwarders: []
images:
  {arch}:
    kernel: kernel
    initramfs: initramfs.img
    {disk}: disk.raw.gz
menu:
  knownHostTimeout: 1
"""


NETWORK = """\
networking:
  machineNetwork:
    - cidr: 172.16.0.0/{prefix}
      gateway: 172.16.0.254
{networks}apiVIPs: 172.16.0.111
apiInternalVIPs: 172.16.0.110
ingressVIPs: 172.16.0.111
"""
# Without IPv4, and without another router.
NETWORK6 = """\
networking:
  machineNetwork: [{cidr: 2001:db8:0:16::/64}]
  clusterNetwork: [{cidr: fd01::/48, hostPrefix: 64}]
  serviceNetwork: [fd02::/112]
dhcp: {routerAdvertisements: true}
apiVIPs: 2001:db8:0:16::111
ingressVIPs: 2001:db8:0:16::112
"""


@dataclass(frozen=True, slots=True)
class Site:
    """A lab in which the appliance serves one cluster."""

    lab: Lab
    appliance: Appliance
    data_dir: Path

    def status(self, host: str) -> dict[str, object]:
        """Return the row of *host*, a short name, in the output of `ocp-appliance status`."""
        rows: list[dict[str, object]] = json.loads(self.appliance.command("status", "-o", "json"))["hosts"]
        return next(row for row in rows if str(row["host"]).startswith(f"{host}."))


@dataclass(frozen=True, slots=True)
class Installed:
    """A machine that has been installed and has booted from its disk."""

    site: Site
    machine: Machine


def _data_dir(directory: Path, payload: Payload, loaders: Mapping[str, Path]) -> Path:
    """Return a new data directory with the files of *payload*, *loaders* and Ignition files."""
    data_dir = directory / "data"
    images = data_dir / "images"
    images.mkdir(parents=True)
    for source, name in (
        (payload.kernel, "kernel"),
        (payload.initramfs, "initramfs.img"),
        (payload.image, "disk.raw.gz"),
    ):
        shutil.copy(source, images / name)
    for name, source in loaders.items():
        target = data_dir / "tftp" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    ignition = data_dir / "ignition"
    ignition.mkdir()
    for role in ("bootstrap", "master", "worker"):
        (ignition / f"{role}.ign").write_text(ignition_of(role))
    return data_dir


def open_site(
    directory: Path,
    payload: Payload,
    release: str,
    hosts: str,
    *,
    has_ipv6_router: bool = True,
    is_ipv6: bool = False,
    loaders: Mapping[str, Path] = MappingProxyType({}),
    networks: str = "",
) -> Site:
    """Make a lab in *directory*, and serve a cluster with *hosts* (lines of YAML) in it. The caller closes the lab.

    With *is_ipv6* the network has no IPv4, and the appliance is its router. *loaders* are put into the data directory
    under the names by which machines ask for them. *networks* are further machine networks, as lines of YAML.
    """
    data_dir = _data_dir(directory, payload, loaders)
    cluster_yaml = directory / "cluster.yaml"
    disk = "metal" if release == "4.5" else "rootfs"
    cluster_yaml.write_text(
        CLUSTER.format(
            release=release,
            network=NETWORK6 if is_ipv6 else NETWORK.format(prefix=PREFIX, networks=networks),
            address=ADDRESS6 if is_ipv6 else ADDRESS,
            hosts=hosts.rstrip(),
            disk=disk,
            arch=payload.arch,
        )
    )
    lab = Lab(directory / "lab", has_ipv6_router=has_ipv6_router and not is_ipv6)
    if is_ipv6:
        lab.namespace.run("ip", "addr", "add", f"{ADDRESS6}/64", "dev", "br0", "nodad")
    try:
        return Site(lab, lab.serve(cluster_yaml, data_dir), data_dir)
    except BaseException:
        lab.close()
        raise


@contextmanager
def logs_kept(site: Site, name: str) -> Iterator[None]:
    """Keep all logs as artifacts under *name* if the block fails; close the lab in any case."""
    try:
        yield
    except BaseException:
        site.lab.keep_logs(ARTIFACTS / name)
        raise
    finally:
        site.lab.close()


def ignition_of(role: str) -> str:
    """Return a pointer configuration for *role*, as made by openshift-install."""
    source = f"https://api-int.ocp45.example.localdomain:22623/config/{role}"
    return json.dumps({"ignition": {"version": "3.2.0", "config": {"merge": [{"source": source}]}}})


def disk_line(firmware: Firmware) -> str:
    """Return the line that the system on the disk prints when *firmware* has started it."""
    return DISK_LINE.format(firmware="UEFI" if firmware.is_uefi else "BIOS")
