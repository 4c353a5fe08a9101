"""ocp-appliance demo."""

import asyncio
import os
import signal
import socket
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.errors import INTERRUPTED

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from appliance.simulate.machine import BootStep
    from appliance.simulate.rehearsal import Entry, Rehearsal, Report

# In the reference cluster one machine has BIOS firmware and one boots by HTTP; all others are UEFI and boot by TFTP.
OTHER_FIRMWARE = {"m3": "bios", "w3": "http"}
DASHBOARD_PORT = 8080
DIRECTORY_PREFIX = "ocp-appliance-demo-"


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@click.option("--keep-open", is_flag=True, help="Keep serving at the end until Ctrl-C, to look at the dashboard.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of transaction ids and file contents.")
@click.option(
    "--network",
    type=click.Choice(["auto", "lab", "loopback"]),
    default="auto",
    show_default=True,
    help="lab uses network namespaces, loopback high ports on 127.16.0.0/16; auto is lab where that is permitted.",
)
def command(file: Path | None, seed: int, network: str, *, keep_open: bool) -> None:
    """Install a cluster of simulated machines, in a network of its own.

    FILE is the cluster.yaml to use. The default is a reference cluster of seven machines.

    The appliance is the real one and serves small placeholder images. The machines
    speak DHCP, TFTP, HTTP and DNS as real ones do. Afterwards each is powered on
    again and boots from its own disk. Everything is removed at the end.
    """
    # Opened before the lab is entered, because the user's browser is in the network outside.
    with _dashboard_socket() as outside:
        in_lab = network != "loopback" and _enter_lab(is_wanted=network == "lab")
        with tempfile.TemporaryDirectory(prefix=DIRECTORY_PREFIX, dir=_parent_directory()) as directory:
            code = asyncio.run(_demo(file, Path(directory), seed, outside, in_lab=in_lab, keep_open=keep_open))
    sys.exit(code)


def _dashboard_socket() -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", DASHBOARD_PORT))
    except OSError:  # the port is taken, perhaps by another demo
        return socket.create_server(("127.0.0.1", 0))


def _parent_directory() -> str:
    """Return where to create the demo's directory: TMPDIR or its default, unless that is too long for sockets."""
    from appliance.balancer.files import MAX_SOCKET_PATH_BYTES, PROGRAM, Place

    usual = tempfile.gettempdir()
    # tempfile appends eight characters to the prefix.
    haproxy = Path(usual) / f"{DIRECTORY_PREFIX}{'x' * 8}" / PROGRAM
    longest = Place(haproxy, haproxy, is_service=False).master
    return usual if len(os.fsencode(longest)) <= MAX_SOCKET_PATH_BYTES else "/tmp"  # noqa: S108 - a directory is made in it


def _enter_lab(*, is_wanted: bool) -> bool:
    """Move this process to a network of its own, and return whether that worked.

    Raises SimulationError when it did not and *is_wanted*.
    """
    import shutil

    from appliance.errors import SimulationError
    from appliance.simulate.lab import enter_own_network
    from appliance.simulate.namespace import SEARCHED

    try:
        if shutil.which("ip", path=SEARCHED) is None:
            raise FileNotFoundError(2, "the program ip is not installed (package iproute2)")
        enter_own_network()
    except OSError as error:
        if is_wanted:
            raise SimulationError(f"cannot create the lab: {error.strerror}; use --network loopback") from error
        click.echo(f"{error.strerror}; using the loopback interface and high ports instead")
        return False
    return True


class _Interrupt:
    """What SIGINT and SIGTERM do: cancel the demo, or end the wait after it (--keep-open)."""

    def __init__(self) -> None:
        self._task = asyncio.current_task()
        self._lingers: asyncio.Event | None = None
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._take)

    def _take(self) -> None:
        # While --keep-open waits, a signal is the normal end, and the exit code is that of the demo.
        if self._lingers:
            self._lingers.set()
        elif self._task:
            self._task.cancel()

    async def linger(self) -> None:
        """Wait for a signal."""
        self._lingers = asyncio.Event()
        await self._lingers.wait()


async def _demo(
    file: Path | None, directory: Path, seed: int, outside: socket.socket, *, in_lab: bool, keep_open: bool
) -> int:
    """Return the exit code."""
    from rich.console import Console

    from appliance.simulate.forwarder import Forwarder

    # Rich assumes 80 columns for a pipe, which would break the lines of the summary.
    console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 120)
    interrupt = _Interrupt()
    rehearsal, balancer = _rehearsal(file, directory, seed, in_lab=in_lab)
    cluster = rehearsal.cluster
    async with AsyncExitStack() as stack:
        if cluster.listen.dashboard:
            forwarder = await asyncio.start_server(Forwarder(cluster.listen.dashboard[0]).forward, sock=outside)
            await stack.enter_async_context(forwarder)
            console.print(f"dashboard: http://127.0.0.1:{outside.getsockname()[1]}/")
        machines = len(rehearsal.entries)
        console.print(f"{cluster.domain}: installing {machines} simulated machines with ocp-appliance serve")
        files = len({host.ignition for host in cluster.hosts if host.ignition})
        ignition = f" and {files} placeholder Ignition files" if files else ""
        console.print(f"using {len(rehearsal.sums)} placeholder images{ignition}, made for this run")
        console.print(balancer)
        try:
            report = await _show(console, rehearsal, interrupt if keep_open else None)
        except asyncio.CancelledError:
            console.print("stopped")
            return INTERRUPTED
    _summarise(console, report)
    return 0 if report.is_right else 1


def _rehearsal(file: Path | None, directory: Path, seed: int, *, in_lab: bool) -> "tuple[Rehearsal, str]":
    """Return the demo of the cluster in *file*, and in a line what its load balancer is.

    Everything that it serves is put into *directory*.
    """
    from appliance.config import load
    from appliance.share import share
    from appliance.simulate.balancing import put_haproxy_in
    from appliance.simulate.loopback import moved_to_loopback
    from appliance.simulate.machine import Hardware
    from appliance.simulate.rehearsal import Rehearsal
    from appliance.simulate.standins import make_standins

    source = file or share("data") / "ocp45" / "cluster.yaml"
    load([source], directory)  # for its problems, with the line numbers of the user's own file
    if not in_lab:
        moved_to_loopback(source, directory / "cluster.yaml")
        source = directory / "cluster.yaml"
    cluster_file, balancer = put_haproxy_in(source, directory, in_lab=in_lab)
    (cluster,) = load([cluster_file], directory)
    sums = make_standins(cluster, directory, seed)
    hardware = {} if file else {name: Hardware(kind) for name, kind in OTHER_FIRMWARE.items()}
    return Rehearsal(cluster, cluster_file, directory, sums, in_lab, seed, hardware), balancer


async def _show(console: "Console", rehearsal: "Rehearsal", interrupt: _Interrupt | None) -> "Report":
    """Run the rehearsal with a live table, or without a terminal with a line for each step."""
    from rich.live import Live

    linger = None
    if not console.is_terminal:
        longest = max(len(entry.host.short_name) for entry in rehearsal.entries)

        def print_step(entry: "Entry", step: "BootStep") -> None:
            console.print(
                f"{step.seconds:7.2f}s  {entry.host.short_name:<{longest}} {step.phase:<10} {step.text}", soft_wrap=True
            )

        rehearsal.tell = print_step
        if interrupt:
            linger = interrupt.linger
        return await rehearsal.run(console.print, linger)

    with Live(console=console, refresh_per_second=8, get_renderable=lambda: _table(rehearsal.entries)) as live:

        def announce(text: str) -> None:
            live.console.print(f"[bold]{text}[/bold]")

        async def linger_below() -> None:
            assert interrupt is not None
            live.refresh()
            live.console.print("serving until Ctrl-C")
            await interrupt.linger()

        return await rehearsal.run(announce, linger_below if interrupt else None)


PHASE_STYLES = {"firmware": "cyan", "iPXE": "cyan", "installed": "green", "disk": "green", "system": "bold green"}


def _table(entries: "list[Entry]") -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table(expand=True, show_edge=False)
    # Fixed widths, so that the columns do not move while their contents change.
    longest = max(4, *(len(entry.host.short_name) for entry in entries))
    for name, width in (("host", longest), ("role", 9), ("address", 15), ("time", 7), ("stage", 10), ("", 10)):
        table.add_column(name, width=width, no_wrap=True)
    table.add_column("last step", ratio=1, no_wrap=True, overflow="ellipsis")
    for entry in entries:
        style = "bold red" if entry.error else PHASE_STYLES.get(entry.phase, "yellow" if entry.seconds else "dim")
        table.add_row(
            entry.host.short_name,
            entry.host.role,
            str(entry.host.address),
            f"{entry.seconds:6.1f}s" if entry.seconds else "",
            f"[{style}]{entry.phase}[/{style}]",
            _bar(entry.done_bytes, entry.all_bytes),
            escape(entry.error.splitlines()[0] if entry.error else entry.text),
        )
    return table


def _bar(done: int, total: int) -> str:
    filled = done * 10 // total if total else 0
    return "━" * filled + "[dim]" + "─" * (10 - filled) + "[/dim]" if total else ""


def _summarise(console: "Console", report: "Report") -> None:
    from rich.markup import escape
    from rich.table import Table

    from appliance.cli.balancer import print_answer

    table = Table(title="result", title_justify="left", show_edge=False)
    for name in ("host", "role", "first power-on", "seconds", "MB", "second power-on", "seconds"):
        table.add_column(name, justify="right" if name in ("seconds", "MB") else "left")
    for entry in report.entries:
        row = [entry.host.short_name, entry.host.role.value]
        if entry.first:
            row += [entry.first.result, f"{entry.first.seconds:.1f}", f"{entry.first.bytes / 1e6:.1f}"]
        else:
            row += ["not installed", "", ""]
        row += [entry.second.result, f"{entry.second.seconds:.1f}"] if entry.second else ["did not boot", ""]
        table.add_row(*row)
    console.print(table)
    for entry in report.entries:
        if entry.error:
            console.print(f"[bold red]{entry.host.short_name}[/bold red]: {escape(entry.error)}")
    if report.balancer:
        console.print("ocp-appliance balancer")
        print_answer(report.balancer)
    for complaint in report.complaints:
        console.print(f"[bold red]load balancer[/bold red]: {escape(complaint)}")
    if report.is_right:
        console.print(
            f"{len(report.entries)} machines installed in {report.install_seconds:.1f} s"
            f" and booted from disk in {report.reboot_seconds:.1f} s"
        )
    else:
        what = "the load balancer is not as it should be" if report.has_installed else "some machines failed"
        console.print(f"[bold red]{what}[/bold red]")
