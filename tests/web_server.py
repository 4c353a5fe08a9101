"""A running web server on loopback, with its own data directory and the events that it has published."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from appliance.events import Event
from appliance.install.installation import Installation, Stage
from appliance.model import Cluster, Endpoint
from appliance.web.compile import compile_web
from appliance.web.finder import HasMaster, unknown_master
from appliance.web.server import WebServer, Written, already_written
from tests.clusters import reference_cluster
from tests.serving import free_port, in_background

LOOPBACK = IPv4Address("127.0.0.1")
IGNITION = b'{"ignition":{"version":"3.2.0"}}'


@dataclass(slots=True)
class Running:
    """A running web server, the state that it reads, and the events that it has published."""

    server: WebServer
    installations: dict[str, Installation]
    port: int
    data_dir: Path
    events: list[Event] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The URL of the server, without a path."""
        return f"http://127.0.0.1:{self.port}"

    def kinds(self) -> list[str]:
        """Return the kinds of the published events, in order."""
        return [event.kind for event in self.events]

    def install(self, host: str, stage: Stage, token: str = "0123456789abcdef", **changes: object) -> None:
        """Set the installation of the host with the short name *host* to *stage*, with *changes*."""
        name = f"{host}.ocp45.example.localdomain"
        reached = {earlier: 0.0 for earlier in Stage if earlier <= stage}
        installation = Installation(name, token=token, stage=stage, reached=reached, has_dhcp=True)
        self.installations[name] = replace(installation, **changes)  # type: ignore[arg-type]


def loopback_cluster(data_dir: Path, port: int, **changes: object) -> Cluster:
    """Return the reference cluster with its hosts in 127.16.0.0/24 and its web server on 127.0.0.1."""
    cluster = reference_cluster(data_dir)
    network = replace(cluster.networks[0], cidr=IPv4Network("127.16.0.0/24"), server=LOOPBACK, gateway=None)
    hosts = tuple(
        replace(host, addresses=(IPv4Address(f"127.16.0.{host.address.packed[3]}"),)) for host in cluster.hosts
    )
    values: dict[str, object] = {
        "networks": (network,),
        "hosts": hosts,
        "address": LOOPBACK,
        "listen": replace(cluster.listen, http=(Endpoint(LOOPBACK, port),)),
        "hold_workers": False,
        **changes,
    }
    return replace(cluster, **values)  # type: ignore[arg-type]


def fill(data_dir: Path) -> None:
    """Write small images and Ignition files to *data_dir*."""
    for name in ("images", "ignition", "tftp/efi"):
        (data_dir / name).mkdir(parents=True, exist_ok=True)
    for role in ("bootstrap", "master", "worker"):
        (data_dir / "ignition" / f"{role}.ign").write_bytes(IGNITION)
    cluster = reference_cluster(data_dir)
    for images in cluster.images.values():
        for image in (images.kernel, images.initramfs, images.metal):
            if image is not None:
                (data_dir / "images" / image.name).write_bytes(image.name.encode() * 1000)


@contextlib.asynccontextmanager
async def running(
    data_dir: Path,
    *,
    written: Written = already_written,
    has_master: HasMaster = unknown_master,
    **changes: object,
) -> AsyncIterator[Running]:
    """Serve the loopback cluster with *changes* during the block.

    *written* is what the server awaits before it sends a reply that depends on the state, and *has_master* what the
    load balancer knows.
    """
    port = free_port()
    cluster = loopback_cluster(data_dir, port, **changes)
    table = compile_web((cluster,))
    events: list[Event] = []
    installations: dict[str, Installation] = {}
    server = WebServer(lambda: table, installations, cluster.listen, events.append, written, has_master=has_master)
    async with in_background(server.run()):
        yield Running(server, installations, port, data_dir, events)
