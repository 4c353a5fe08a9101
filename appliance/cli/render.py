"""ocp-appliance render: what would be served, for a person to read or another program to check."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from appliance.model import Cluster, Host


@click.group()
def command() -> None:
    """Print what would be served, as zone files or scripts."""


@command.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--zone", "name", help="A zone other than the first file's forward zone.")
def zone(files: tuple[Path, ...], name: str | None) -> None:
    """Print a zone that FILES describe, as a master file (RFC 1035 section 5).

    Its serial is the file's dns.serial; what is served has one at least as high.
    """
    from appliance.config import load
    from appliance.dns.contents import zones_of

    clusters = load(files)
    zones = {zone.name: zone for zone in zones_of(clusters)}
    wanted = clusters[0].dns.zone if name is None else name.lower().removesuffix(".")
    if wanted not in zones:
        raise click.UsageError(f"--zone {name}: no such zone; there are {', '.join(zones)}")
    others = ", ".join(other for other in zones if other != wanted)
    click.echo(f"; {wanted}; the other zones of these files: {others}")
    click.echo(zones[wanted].text(clusters[0].dns.serial), nl=False)


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("host", metavar="HOST")
def script(file: Path, host: str) -> None:
    """Print the iPXE script that installs HOST, which FILE describes.

    HOST is a name, short or full. {token} stands where the served script has the
    unguessable part of the path to its Ignition.
    """
    from appliance.boot.ipxe import install_script
    from appliance.config import load

    (cluster,) = load((file,))
    click.echo(install_script(cluster, _host(cluster, host)), nl=False)


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("host", metavar="[HOST]", required=False)
def menu(file: Path, host: str | None) -> None:
    """Print the iPXE menu of FILE: HOST's own, or the one that an unknown machine gets."""
    from appliance.boot import ipxe
    from appliance.config import load

    (cluster,) = load((file,))
    text = ipxe.menu(cluster) if host is None else ipxe.host_menu(cluster, _host(cluster, host))
    click.echo(text, nl=False)


def _host(cluster: "Cluster", name: str) -> "Host":
    wanted = name.lower().removesuffix(".")
    for host in cluster.hosts:
        if wanted in (host.name, host.short_name):
            return host
    known = ", ".join(host.short_name for host in cluster.hosts)
    raise click.BadParameter(f"{name}: no such host; there are {known}", param_hint="HOST")
