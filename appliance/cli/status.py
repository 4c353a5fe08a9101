"""ocp-appliance status."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from appliance.cli._socket import find_socket, socket_options
from appliance.status.spelling import age, printable, size

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.table import Table

    from appliance.status.shapes import CertificateRow, HostRow, Status

WATCH_SECONDS = 1.0
BAR_CELLS = 20
LAST_STEP = 11  # the number of the stage joining
PLAIN_COLUMNS = 300  # wide enough that without a terminal every row is one whole line, for grep and awk
STAGE_STYLES = {"waiting": "dim", "installed": "green", "booted": "green", "joining": "green"}


@click.command()
@click.option("--watch", is_flag=True, help="Refresh every second until interrupted.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "wide", "json"]),
    default="table",
    show_default=True,
    help="Output format; wide adds architecture, number of attempts and refused requests.",
)
@socket_options
def command(output: str, data_dir: Path | None, socket: Path | None, *, watch: bool) -> None:
    """Show the stage of every host, what keeps it from continuing, and when the certificates expire."""
    path = find_socket(data_dir, socket)
    if not watch:
        _show(_fetched(path), output)
        return
    try:
        _watch(path, output)
    except KeyboardInterrupt:
        return


def _fetched(path: Path) -> "Status":
    from appliance.control_client import ask

    (answer,) = ask(path, "status")
    return cast("Status", answer["status"])


def _console() -> "Console":
    from rich.console import Console

    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=PLAIN_COLUMNS)


def _show(status: "Status", output: str) -> None:
    if output == "json":
        click.echo(json.dumps(status, indent=2))
        return
    console = _console()
    for part in rendered(status, is_wide=output == "wide"):
        console.print(part)


def _watch(path: Path, output: str) -> None:
    from rich.console import Group
    from rich.live import Live

    console = _console()
    status = _fetched(path)
    # A pipe or file gets one status after the other, and the command ends with the appliance.
    if output == "json" or not console.is_terminal:
        while True:
            if output == "json":
                click.echo(json.dumps(status))
            else:
                _show(status, output)
            time.sleep(WATCH_SECONDS)
            status = _fetched(path)
    with Live(console=console, auto_refresh=False) as live:
        while True:
            live.update(Group(*rendered(status, is_wide=output == "wide")), refresh=True)
            time.sleep(WATCH_SECONDS)
            status = _fetched_after_restarts(path, live)


def _fetched_after_restarts(path: Path, live: "Live") -> "Status":
    """Return the status, and wait for an appliance that is being restarted."""
    from rich.text import Text

    from appliance.errors import ControlError

    while True:
        try:
            return _fetched(path)
        except ControlError as error:
            live.update(Text(f"{error}; retrying", style="bold red"), refresh=True)
            time.sleep(WATCH_SECONDS)


def rendered(status: "Status", *, is_wide: bool) -> "list[RenderableType]":
    """Return *status* for Rich to print: notices, hosts, conditions, certificates and, if wide, refused requests."""
    from rich.text import Text

    now = status["at"]
    parts: list[RenderableType] = [Text(f"! {printable(notice)}", style="bold red") for notice in status["notices"]]
    parts.append(_hosts(status, is_wide=is_wide))
    for row in status["hosts"]:
        if condition := row["condition"]:
            text = f"{row['name']}: {condition['name']} for {age(now - condition['since'])}: {condition['hint']}"
            parts.append(Text(printable(text), style="yellow"))
    for row in status["hosts"]:
        if row["remedy"]:
            text = f"{row['name']}: found out what starts on it; `{row['remedy']}` in cluster.yaml makes it begin there"
            parts.append(Text(printable(text), style="dim"))
    parts += [_certificate(row) for row in status["certificates"]]
    # Its trouble is among the notices.
    if (balancer := status["balancer"]) and balancer["unanswered"]:
        names = ", ".join(balancer["unanswered"])
        text = f"load balancer: no member of {names} works, see `ocp-appliance balancer`"
        parts.append(Text(printable(text), style="yellow"))
    for cluster in status["clusters"]:
        if (at := cluster["bootstrapped_at"]) is not None:
            text = f"bootstrapping has been complete for {age(now - at)} (by {cluster['bootstrapped_by']})"
            parts.append(Text(printable(f"{cluster['name']}: {text}"), style="green"))
    for refusal in status["refusals"] if is_wide else ():
        text = (
            f"{refusal['client']} was refused {refusal['path']} ({refusal['status']}) "
            f"{age(now - refusal['at'])} ago: {refusal['why']}"
        )
        parts.append(Text(printable(text), style="dim"))
    if status["unknown"]:
        parts.append(Text(f"unknown machines: {status['unknown']}, see `ocp-appliance seen`"))
    return parts


def _hosts(status: "Status", *, is_wide: bool) -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    names = ["HOST", "ROLE", "ADDRESS", "MAC", "STAGE", "PROGRESS", "AGE", "NEXT BOOT", "CONDITION"]
    if is_wide:
        names[4:4] = ["ARCH", "ATTEMPT", "FAILED"]
    for name in names:
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    # Two clusters may have hosts of the same short name.
    shows_full_names = is_wide or len(status["clusters"]) > 1
    for row in status["hosts"]:
        condition = row["condition"]
        style = "yellow" if condition else STAGE_STYLES.get(row["stage"], "cyan")
        cells = [
            row["host"] if shows_full_names else row["name"],
            row["role"],
            row["address"],
            row["mac"],
            row["stage"] or "-",
            _progress(row),
            age(status["at"] - row["since"]) if row["since"] is not None else "-",
            row["order"] or "-",
            condition["name"] if condition else f"waits for {row['awaits']}" if row["awaits"] else "",
        ]
        if is_wide:
            cells[4:4] = [row["arch"] or "-", str(row["number"]), str(row["tries"])]
        table.add_row(*(Text(printable(cell), style=style if cell == row["stage"] else "") for cell in cells))
    return table


def _progress(row: "HostRow") -> str:
    """Return a bar of the running download, or else a dot for each stage, filled up to the host's own."""
    progress = row["progress"]
    if not row["stage"]:
        return "-"
    if progress is None or not progress["total"]:
        return "●" * row["step"] + "○" * (LAST_STEP - row["step"])
    share = min(1.0, progress["sent"] / progress["total"])
    filled = round(share * BAR_CELLS)
    return f"{'█' * filled}{'░' * (BAR_CELLS - filled)} {share:4.0%} of {size(progress['total'])}"


def _certificate(row: "CertificateRow") -> "RenderableType":
    from rich.text import Text

    from appliance.openshift.ignition import WARNING_SECONDS, remedy

    left = row["seconds_left"]
    if row["problem"]:
        return Text(f"{row['file']} on disk is not served: {printable(row['problem'])}", style="bold red")
    if left is None:
        return Text(f"{row['file']} contains no certificates", style="dim")
    if left <= 0:
        return Text(f"{row['file']} expired {age(-left)} ago; {remedy(row['file'])}", style="bold red")
    return Text(f"{row['file']} expires in {age(left)}", style="yellow" if left < WARNING_SECONDS else "green")
