"""ocp-appliance balancer."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from appliance.cli._socket import find_socket, socket_options
from appliance.errors import ControlError
from appliance.model import Role
from appliance.status.spelling import age, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console
    from rich.table import Table

    from appliance.status.shapes import BalancerRow, BalancerStatus, TrialRow

PLAIN_COLUMNS = 300  # without a terminal every row is one whole line, for grep and awk
STATE_STYLES = {"up": "green", "down": "bold red", "drain": "yellow", "maint": "yellow", "unknown": "dim"}
# What becomes of a host's connections by each order.
OUTCOMES = {
    "ready": "gets connections while its health check passes",
    "drain": "keeps its connections, and gets no new ones",
    "maint": "gets no new connections, and is not checked",
}
output_option = click.option(
    "-o", "--output", type=click.Choice(["table", "json"]), default="table", show_default=True, help="Output format."
)


@click.group(invoke_without_command=True)
@output_option
@socket_options
@click.pass_context
def command(context: click.Context, output: str, data_dir: Path | None, socket: Path | None) -> None:
    """Show which hosts get the load balancer's connections, or change that.

    Without a subcommand, it shows the status.
    """
    if context.invoked_subcommand is None:
        _show(find_socket(data_dir, socket), output)
        return
    # The socket may stand before the subcommand too.
    context.obj = (data_dir, socket)


@command.command("status")
@output_option
@socket_options
@click.pass_context
def status_command(context: click.Context, output: str, data_dir: Path | None, socket: Path | None) -> None:
    """Show each front end, its members, their state and connections. With engine external, try each front end."""
    _show(_socket(context, data_dir, socket), output)


def _order_command(order: str, text: str) -> click.Command:
    @click.argument("hosts", nargs=-1)
    @click.option(
        "--role",
        type=click.Choice([role.value for role in Role if role is not Role.OTHER]),
        help="Select every host of this role.",
    )
    @click.option("--frontend", "front_end", default="", metavar="NAME", help="In this front end only. Default: all.")
    @socket_options
    @click.pass_context
    def give(
        context: click.Context,
        hosts: tuple[str, ...],
        role: str | None,
        front_end: str,
        data_dir: Path | None,
        socket: Path | None,
    ) -> None:
        _give_order(_socket(context, data_dir, socket), order, hosts, role, front_end)

    return click.command(order, help=text)(give)


command.add_command(_order_command("ready", "Let HOSTS get connections while their health checks pass."))
command.add_command(
    _order_command(
        "drain",
        "Let HOSTS keep the connections that they have, and get no new ones. For the bootstrap machine, this also "
        "says that bootstrapping is complete.",
    )
)
command.add_command(_order_command("maint", "Let HOSTS get no new connections, and do not check their health."))


def _socket(context: click.Context, data_dir: Path | None, socket: Path | None) -> Path:
    before: tuple[Path | None, Path | None] = context.obj or (None, None)
    return find_socket(data_dir or before[0], socket or before[1])


def _give_order(path: Path, order: str, hosts: tuple[str, ...], role: str | None, front_end: str) -> None:
    """Raises ControlError if the appliance refuses the order for some hosts, after all others have got it."""
    from appliance.control_client import ask

    if not hosts and role is None:
        raise click.UsageError("no host selected; name hosts, or use --role")
    refusals: dict[str, None] = {}  # each once: a front end that is not there is one mistake, whatever the hosts
    for answer in ask(path, "balance", order=order, hosts=list(hosts), role=role, front_end=front_end):
        if "refused" in answer:
            refusals[str(answer["refused"])] = None
        elif answer["is_bootstrapped"] and not front_end:
            click.echo(f"{answer['host']}: bootstrapping is complete, so that it gets no new connections")
        else:
            where = f"in {front_end}" if front_end else "in every front end"
            click.echo(f"{answer['host']}: {OUTCOMES[order]}, {where}")
    if refusals:
        raise ControlError("\n".join(refusals))


def _show(path: Path, output: str) -> None:
    from appliance.control_client import ask

    (answer,) = ask(path, "balancer")
    if output == "json":
        click.echo(json.dumps(answer, indent=2))
        return
    print_answer(answer)


def print_answer(answer: "Mapping[str, object]") -> None:
    """Print the appliance's *answer* to the verb balancer as tables."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=PLAIN_COLUMNS)
    status = cast("BalancerStatus | None", answer["balancer"])
    trials = cast("list[TrialRow]", answer["trials"])
    if status:
        if status["trouble"]:
            console.print(Text(f"! {printable(status['trouble'])}", style="bold red"))
        console.print(_members(status["rows"], cast("float", answer["at"])))
        for name in status["unanswered"]:
            console.print(Text(f"{name}: no member works, so connections fail", style="yellow"))
    if trials:
        _print_trials(console, trials)
    if not status and not trials:
        console.print("cluster.yaml has no load balancer: no `loadBalancer`, and no VIPs that could be tried.")


def _members(rows: "list[BalancerRow]", now: float) -> "Table":
    """Return a row for each address of a front end and for each of its members."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("FRONT END", "MEMBER", "ADDRESS", "STATE", "SINCE", "NOW", "IN ALL"):
        right = name in {"NOW", "IN ALL"}
        table.add_column(name, no_wrap=True, overflow="ellipsis", justify="right" if right else "left")
    table.add_column("LAST CHECK")
    shown = ""
    for row in rows:
        if row["front_end"] != shown:
            shown = row["front_end"]
            for bind in row["binds"]:
                listens = (shown, "-", bind, "listens", "-", "-", "-")
                table.add_row(*(Text(printable(cell), style="bold") for cell in listens))
        since = age(now - row["since"]) if row["since"] is not None else "-"
        counts = (str(row["current"]), str(row["total"]))
        cells = (shown, row["name"], _at(row), row["state"], since, *counts, _words(row))
        styles = ("dim", "", "", STATE_STYLES.get(row["state"], ""), "", "", "", "")
        table.add_row(*(Text(printable(cell), style=style) for cell, style in zip(cells, styles, strict=True)))
    return table


def _at(row: "BalancerRow") -> str:
    return f"[{row['address']}]:{row['port']}" if ":" in row["address"] else f"{row['address']}:{row['port']}"


def _words(row: "BalancerRow") -> str:
    """Return why the member is in its state: the order, if there is one, and its last check."""
    parts = [
        f"{row['wanted']} is wanted" if row["wanted"] != row["state"] and row["wanted"] != "ready" else "",
        row["why"],
        row["check"],
        "backup: gets connections while no other member works" if row["is_backup"] and row["state"] == "up" else "",
    ]
    return "; ".join(part for part in parts if part)


def _print_trials(console: "Console", trials: "list[TrialRow]") -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("CLUSTER", "FRONT END", "ADDRESS", "ANSWER"):
        table.add_column(name, no_wrap=name != "ANSWER", overflow="ellipsis")
    for row in trials:
        style = "green" if row["is_well"] else "bold red"
        cells = [Text(printable(row[key])) for key in ("cluster", "front_end", "address")]
        table.add_row(*cells, Text(printable(row["words"]), style=style))
    console.print(table)
    for row in trials:
        if row["hint"]:
            text = f"{row['front_end']} on {row['address']}: {row['hint']}"
            console.print(Text(printable(text), style="yellow"))
