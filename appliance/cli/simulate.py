"""ocp-appliance simulate."""

import asyncio
import sys
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.errors import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from rich.console import Console

    from appliance.simulate.machine import BootStep
    from appliance.simulate.run import BootSummary


def _address(_ctx: click.Context, _param: click.Parameter, value: str | None) -> IPv4Address | None:
    if value is None:
        return None
    try:
        return IPv4Address(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not an IPv4 address") from None


def _server(_ctx: click.Context, _param: click.Parameter, value: str | None) -> IPv4Address | IPv6Address | None:
    if value is None:
        return None
    try:
        return ip_address(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is not an IP address") from None


@click.command()
@click.argument("host")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="APPLIANCE_CONFIG",
    help="The cluster.yaml with HOST. Default: cluster.yaml in the current directory, if it exists.",
)
@click.option(
    "--server", metavar="ADDRESS", callback=_server, help="The appliance's address. Default: the one in cluster.yaml."
)
@click.option(
    "--arch",
    type=click.Choice(["x64", "bios", "arm64", "http", "arm64-http"]),
    help="The firmware; http is x64 UEFI booting by HTTP, arm64-http the same on arm64. Default: UEFI of the host's"
    " architecture, booting by TFTP.",
)
@click.option(
    "--secure-boot",
    "is_secure",
    is_flag=True,
    help="Start only programs and kernels that are signed, as UEFI with Secure Boot does.",
)
@click.option(
    "--ipv6",
    "is_ipv6",
    is_flag=True,
    help="Boot by IPv6: DHCPv6, then TFTP or HTTP over IPv6.",
)
@click.option(
    "--via",
    metavar="ADDRESS",
    callback=_address,
    help="Act as a DHCP relay at this address, which must be one of this computer's.",
)
@click.option("--interface", metavar="NAME", help="Use DHCP on this interface; on a bridge, through a new port of it.")
@click.option(
    "--images",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A directory with the expected images, to compare the downloads with.",
)
@click.option("--choose", default="", metavar="ENTRY", help="The menu entry to choose, as a user at the console would.")
@click.option(
    "--network-first/--disk-first",
    default=True,
    show_default=True,
    help="The boot order after the installation; network first shows that the host installs only once.",
)
@click.option(
    "--dry",
    "is_dry",
    is_flag=True,
    help="Stop before the disk is written; HOST still installs at its next network boot.",
)
@click.option(
    "--patience",
    "hold_seconds",
    type=click.FloatRange(min=1),
    default=120.0,
    show_default=True,
    help="How many seconds the machine waits for an offer, and in total when it is told to wait.",
)
def command(
    host: str,
    config: Path | None,
    server: IPv4Address | IPv6Address | None,
    arch: str | None,
    via: IPv4Address | None,
    interface: str | None,
    images: Path | None,
    choose: str,
    hold_seconds: float,
    *,
    is_secure: bool,
    is_ipv6: bool,
    is_dry: bool,
    network_first: bool,
) -> None:
    """Network-boot HOST, a name in cluster.yaml or a MAC address, against a running appliance.

    The simulated machine does what firmware, shim, GRUB or iPXE, and installer do, from
    the DHCP discover to the last byte of Ignition. It then restarts and boots from its disk.
    A host that is already installed boots from its disk at once.

    The appliance cannot tell the simulation from the machine, and records HOST as
    installed. Use `ocp-appliance reinstall` before you install the real machine, or
    --dry: the simulation then only asks about the Ignition file and does not restart,
    so that HOST still installs at its next network boot.
    """
    from rich.console import Console

    from appliance.model import Boot
    from appliance.simulate.machine import Hardware
    from appliance.simulate.plan import find_target, machine_for, plugged_in, run_machine

    _check_options(arch, via, server, is_secure=is_secure, is_ipv6=is_ipv6)
    console = Console(highlight=False, soft_wrap=True)

    def report(step: "BootStep") -> None:
        console.print(f"{step.seconds:7.2f}s  [cyan]{step.phase:<10}[/cyan] ", end="")
        console.print(step.text, markup=False)

    target = find_target(host, config)
    if target.host and target.host.boot is Boot.NOTHING:
        raise click.UsageError(f"{target.name} has the role other, and boots nothing from the appliance")
    machine = machine_for(
        target,
        Hardware(arch) if arch else None,
        images,
        hold_seconds,
        is_dry=is_dry,
        is_secure=is_secure,
        is_ipv6=is_ipv6,
    )
    if target.host and not is_dry:
        warning = (
            f"the appliance will record {target.name} as installed; before you install the machine itself, run"
            f" `ocp-appliance reinstall {target.host.short_name}`. With --dry nothing is recorded as installed"
        )
        console.print(f"warning: {warning}", style="yellow", markup=False)
    with plugged_in(target, server, via, interface, is_ipv6=is_ipv6) as (link, where):
        who = f"{target.name}, {target.mac}" if target.host else str(target.mac)
        features = f"{' with Secure Boot' if is_secure else ''}{', IPv6' if is_ipv6 else ''}"
        console.print(f"{who}, {machine.hardware} firmware{features}: powering on against {where}")
        boot = run_machine(machine, link, report, choice=choose, network_first=network_first)
        outcome = _outcome(boot, console)
    console.print(
        f"{outcome.name or target.name}: {outcome.result} after {outcome.seconds:.1f} s,"
        f" {outcome.bytes:,} bytes downloaded, {outcome.retries} retries"
    )


def _check_options(
    arch: str | None,
    via: IPv4Address | None,
    server: IPv4Address | IPv6Address | None,
    *,
    is_secure: bool,
    is_ipv6: bool,
) -> None:
    """Raise UsageError where options exclude each other."""
    if arch == "bios" and is_secure:
        raise click.UsageError("--secure-boot needs UEFI firmware, which --arch bios is not")
    if arch == "bios" and is_ipv6:
        raise click.UsageError("--ipv6 needs UEFI firmware: a BIOS boots by IPv4 only")
    if via and is_ipv6:
        raise click.UsageError("--ipv6 cannot be combined with --via, which is a relay of DHCPv4")
    if server and (server.version == 6) != is_ipv6:
        raise click.UsageError(
            f"--server {server} is an IPv{server.version} address, and the machine boots by IPv{6 if is_ipv6 else 4}"
        )


def _outcome(boot: "Coroutine[object, object, BootSummary]", console: "Console") -> "BootSummary":
    """Return the outcome of *boot*; print why there is none, and exit, when it fails or is interrupted."""
    from appliance.simulate.machine import StepError

    try:
        return asyncio.run(boot)
    except StepError as error:
        console.print(str(error), style="red", markup=False)
        sys.exit(error.exit_code)
    except asyncio.CancelledError:
        console.print("powered off")
        sys.exit(INTERRUPTED)
