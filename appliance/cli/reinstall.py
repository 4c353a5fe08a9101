"""ocp-appliance reinstall."""

from pathlib import Path

import click

from appliance.cli._ordering import give_order
from appliance.cli._watching import find_socket, socket_options
from appliance.model import Role


@click.command()
@click.argument("hosts", nargs=-1)
@click.option("--role", type=click.Choice([role.value for role in Role]), help="Every host of this role.")
@click.option("--all", "takes_all", is_flag=True, help="Every host.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@socket_options
def command(
    hosts: tuple[str, ...], role: str | None, data_dir: Path | None, socket: Path | None, *, takes_all: bool, yes: bool
) -> None:
    """Let HOSTS install again at their next network boot, which wipes their disks."""
    give_order(find_socket(data_dir, socket), "reinstall", hosts, role, takes_all=takes_all, is_agreed=yes)
