"""The three commands that change what hosts do at their next boot."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from appliance.cli._socket import Command, socket_options
from appliance.errors import ControlError
from appliance.model import Role

if TYPE_CHECKING:
    from appliance.status.shapes import HostRow


def order_options(command: Command) -> Command:
    """Give a command HOSTS, --role, --all, and the options that find the appliance."""
    command = socket_options(command)
    command = click.option("--all", "takes_all", is_flag=True, help="Every host.")(command)
    roles = click.Choice([role.value for role in Role])
    command = click.option("--role", type=roles, help="Every host of this role.")(command)
    return click.argument("hosts", nargs=-1)(command)


def give_order(
    path: Path, what: str, hosts: tuple[str, ...], role: str | None, *, takes_all: bool, is_agreed: bool
) -> None:
    """Ask the operator, then the appliance. Raises ControlError when it refuses any host."""
    from appliance.control import ask

    if not hosts and role is None and not takes_all:
        raise click.UsageError("name hosts, or --role, or --all")
    (answer,) = ask(path, "resolve", hosts=list(hosts), role=role, all=takes_all)
    rows = cast("list[HostRow]", answer["hosts"])
    if not is_agreed:
        _ask_first(what, rows)
    refusals = []
    for order in ask(path, "order", what=what, hosts=[row["host"] for row in rows]):
        if "refused" in order:
            refusals.append(str(order["refused"]))
        else:
            click.echo(f"{order['host']}: {_outcome(what, str(order['order']))}")
    if refusals:
        raise ControlError("\n".join(refusals))


def _ask_first(what: str, rows: "list[HostRow]") -> None:
    for row in rows:
        click.echo(f"{row['host']} ({row['role']}, {row['stage']})")
    if not sys.stdin.isatty():
        raise ControlError("there is no terminal to ask at; say --yes")
    hosts = "this host" if len(rows) == 1 else f"these {len(rows)} hosts"
    click.confirm(f"At its next network boot {what} wipes the disk of {hosts}. Go on?", abort=True)


def _outcome(what: str, order: str) -> str:
    if what == "hold":
        return "will wait at iPXE"
    said = {
        "install": "installs itself at its next network boot",
        "local": "boots from its own disk",
        "hold": "is armed and still held; `ocp-appliance release` lets it go on",
    }
    return said[order]
