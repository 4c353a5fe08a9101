"""ocp-appliance hold."""

from pathlib import Path

import click

from appliance.cli._ordering import give_order
from appliance.cli._watching import find_socket, socket_options
from appliance.model import Role


@click.command()
@click.argument("hosts", nargs=-1)
@click.option("--role", type=click.Choice([role.value for role in Role]), help="Every host of this role.")
@click.option("--all", "takes_all", is_flag=True, help="Every host.")
@socket_options
def command(
    hosts: tuple[str, ...], role: str | None, data_dir: Path | None, socket: Path | None, *, takes_all: bool
) -> None:
    """Make HOSTS wait at iPXE, before they load a kernel or get their Ignition."""
    give_order(find_socket(data_dir, socket), "hold", hosts, role, takes_all=takes_all, is_agreed=True)
