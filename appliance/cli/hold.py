"""ocp-appliance hold."""

from pathlib import Path

import click

from appliance.cli._ordering import give_order, order_options
from appliance.cli._socket import find_socket


@click.command()
@order_options
def command(
    hosts: tuple[str, ...], role: str | None, data_dir: Path | None, socket: Path | None, *, takes_all: bool
) -> None:
    """Make HOSTS wait at iPXE, before they download a kernel or their Ignition."""
    give_order(find_socket(data_dir, socket), "hold", hosts, role, takes_all=takes_all, is_agreed=True)
