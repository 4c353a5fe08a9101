"""What `reinstall`, `hold`, `release` and `adopt` share: selecting hosts, confirmation, and giving the order."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from appliance.cli._socket import Command, find_socket, socket_options
from appliance.errors import ControlError
from appliance.model import Role

if TYPE_CHECKING:
    from appliance.status.shapes import HostRow


def order_command(what: str, text: str, outcome: str = "") -> click.Command:
    """Return the command that gives the order *what*, with *text* as its help.

    If there is an *outcome*, which says what will become of the hosts with {their} for
    the pronoun, the operator is asked first, unless --yes is given.
    """

    def command(
        hosts: tuple[str, ...],
        role: str | None,
        data_dir: Path | None,
        socket: Path | None,
        *,
        takes_all: bool,
        yes: bool = False,
    ) -> None:
        _give_order(
            find_socket(data_dir, socket), what, hosts, role, takes_all=takes_all, outcome="" if yes else outcome
        )

    asking = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")(command) if outcome else command
    return click.command(help=text)(_order_options(asking))


def _order_options(command: Command) -> Command:
    """Give a command HOSTS, --role and --all, and the options that find the appliance."""
    command = socket_options(command)
    command = click.option("--all", "takes_all", is_flag=True, help="Select every host.")(command)
    roles = click.Choice([role.value for role in Role if role is not Role.OTHER])
    command = click.option("--role", type=roles, help="Select every host of this role.")(command)
    return click.argument("hosts", nargs=-1)(command)


def _give_order(
    path: Path, what: str, hosts: tuple[str, ...], role: str | None, *, takes_all: bool, outcome: str
) -> None:
    """Ask the operator if there is an *outcome*, then give the order *what* for the selected hosts.

    Raises ControlError if the appliance refuses the order for some hosts, after all others have got it.
    """
    from appliance.control_client import ask

    if not hosts and role is None and not takes_all:
        raise click.UsageError("no host selected; name hosts, or use --role or --all")
    (answer,) = ask(path, "resolve", hosts=list(hosts), role=role, all=takes_all)
    rows = cast("list[HostRow]", answer["hosts"])
    if outcome:
        _confirm(outcome, rows)
    refusals = []
    for order in ask(path, "order", what=what, hosts=[row["host"] for row in rows]):
        if "refused" in order:
            refusals.append(str(order["refused"]))
        else:
            click.echo(f"{order['host']}: {_outcome(what, str(order['order']))}")
    if refusals:
        raise ControlError("\n".join(refusals))


def _confirm(outcome: str, rows: "list[HostRow]") -> None:
    for row in rows:
        click.echo(f"{row['host']} ({row['role']}, {row['stage']})")
    if not sys.stdin.isatty():
        raise ControlError("standard input is not a terminal, so nobody can confirm; use --yes")
    hosts, their = ("This host", "its") if len(rows) == 1 else (f"These {len(rows)} hosts", "their")
    click.confirm(f"{hosts} will {outcome.format(their=their)}. Continue?", abort=True)


def _outcome(what: str, order: str) -> str:
    if what == "hold":
        return "will wait at iPXE"
    # By what the host's next network boot does now. `reinstall` and `adopt` leave a held host held.
    held = "counts as installed" if what == "adopt" else "will reinstall once it is released"
    outcomes = {
        "install": "will install at its next network boot",
        "local": "will boot from its own disk",
        "hold": f"{held}; it is held, see `ocp-appliance release`",
    }
    return outcomes[order]
