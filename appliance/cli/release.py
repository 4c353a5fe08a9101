"""ocp-appliance release."""

from pathlib import Path

import click

from appliance.cli._ordering import give_order, order_options
from appliance.cli._socket import find_socket


@click.command()
@order_options
def command(
    hosts: tuple[str, ...], role: str | None, data_dir: Path | None, socket: Path | None, *, takes_all: bool
) -> None:
    """Let held HOSTS continue. Those that wait at iPXE or for their Ignition do so within seconds."""
    give_order(find_socket(data_dir, socket), "release", hosts, role, takes_all=takes_all, is_agreed=True)
