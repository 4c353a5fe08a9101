"""ocp-appliance render: prints what would be served, for people to read and for other programs to check."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from appliance.model import Cluster, Host


@click.group()
def command() -> None:
    """Print what would be served, as zone files or iPXE scripts, and configurations of the installer and HAProxy."""


@command.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--zone", "name", help="The zone to print. Default: the forward zone of the first file.")
def zone(files: tuple[Path, ...], name: str | None) -> None:
    """Print a DNS zone as a zone file (RFC 1035 section 5).

    FILES are one or more cluster.yaml. The serial number is dns.serial of the first file. The appliance serves the
    zone with that number or a higher one.
    """
    from appliance.config import load
    from appliance.dns.contents import zones_of

    clusters = load(files)
    zones = {zone.name: zone for zone in zones_of(clusters)}
    wanted = clusters[0].dns.zone if name is None else name.lower().removesuffix(".")
    if wanted not in zones:
        raise click.UsageError(f"--zone {name}: zone not found; zones of these files: {', '.join(zones)}")
    others = ", ".join(other for other in zones if other != wanted)
    click.echo(f"; zone {wanted}; other zones of these files: {others}")
    click.echo(zones[wanted].text(clusters[0].dns.serial), nl=False)


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("host", metavar="HOST")
def script(file: Path, host: str) -> None:
    """Print the iPXE script that installs HOST.

    HOST is the short or full name of a host in FILE, a cluster.yaml. The output has {token} where the served script
    has the secret part of the URL of the host's Ignition.
    """
    from appliance.boot.ipxe import install_script
    from appliance.config import load

    (cluster,) = load((file,))
    click.echo(install_script(cluster, _booting(cluster, host)), nl=False)


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("host", metavar="[HOST]", required=False)
def menu(file: Path, host: str | None) -> None:
    """Print the iPXE menu of HOST, or without HOST that of unknown machines.

    HOST is the short or full name of a host in FILE, a cluster.yaml.
    """
    from appliance.boot import ipxe
    from appliance.config import load

    (cluster,) = load((file,))
    text = ipxe.menu(cluster) if host is None else ipxe.host_menu(cluster, _booting(cluster, host))
    click.echo(text, nl=False)


@command.command("agent-config")
@click.argument("file", type=click.Path(path_type=Path))
def agent_config(file: Path) -> None:
    """Print agent-config.yaml for `openshift-install agent create pxe-files`.

    FILE is a cluster.yaml with `boot: agent`. The hosts, their interfaces, disks and networkConfig are those of FILE;
    everything else of the cluster belongs in install-config.yaml.
    """
    from appliance.config import render_agent_config

    click.echo(render_agent_config(file), nl=False)


_HAPROXY_NOTE = """\
The load balancer of {domain}, for HAProxy {version} and later.
Save this as /etc/haproxy/haproxy.cfg, and check it: haproxy -c -f /etc/haproxy/haproxy.cfg
On a machine with SELinux: setsebool -P haproxy_connect_any on
"""
_BOOTSTRAP_NOTE = """\
Delete the lines of {names} and reload HAProxy as soon as `openshift-install wait-for bootstrap-complete` says so.
"""


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--haproxy-version", "version", default="2.6", show_default=True, help="The version of HAProxy.")
def haproxy(file: Path, version: str) -> None:
    """Print the configuration of HAProxy for the load balancer of FILE, a cluster.yaml.

    It is for an HAProxy on a machine of its own, with any `loadBalancer.engine`. With the engine haproxy, `serve`
    runs one with the same front ends, and takes the bootstrap machine out by itself.
    """
    from appliance.balancer import versions
    from appliance.balancer.compile import front_ends
    from appliance.balancer.haproxy import configuration, packaged
    from appliance.config import load

    try:
        branch = versions.of_text(version)
    except versions.UnknownVersionError as error:
        raise click.BadParameter(str(error), param_hint="--haproxy-version") from error
    (cluster,) = load((file,))
    found = front_ends(cluster)
    if not found:
        raise click.BadParameter(
            f"{file}: there is nothing to balance: apiVIPs, apiInternalVIPs and ingressVIPs are addresses of its hosts",
            param_hint="FILE",
        )
    note = _HAPROXY_NOTE.format(domain=cluster.domain, version=branch)
    backups = dict.fromkeys(member.name for each in found for member in each.members if member.is_backup)
    if backups:
        note += _BOOTSTRAP_NOTE.format(names=" and ".join(backups))
    click.echo(configuration(found, {}, packaged(branch, note)), nl=False)


def _booting(cluster: "Cluster", name: str) -> "Host":
    """Return the host *name* of *cluster*. Raises BadParameter if there is none, or if it boots nothing."""
    from appliance.model import Boot

    host = _host(cluster, name)
    if host.boot is Boot.NOTHING:
        why = f"{name}: a machine with the role other gets DHCP and DNS, and boots nothing from here"
        raise click.BadParameter(why, param_hint="HOST")
    return host


def _host(cluster: "Cluster", name: str) -> "Host":
    wanted = name.lower().removesuffix(".")
    for host in cluster.hosts:
        if wanted in (host.name, host.short_name):
            return host
    known = ", ".join(host.short_name for host in cluster.hosts)
    raise click.BadParameter(f"{name}: host not found; hosts of this file: {known}", param_hint="HOST")
