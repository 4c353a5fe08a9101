"""ocp-appliance adopt."""

from pathlib import Path

import click

from appliance.cli._ordering import give_order, order_options
from appliance.cli._socket import find_socket


@click.command()
@order_options
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
def command(
    hosts: tuple[str, ...], role: str | None, data_dir: Path | None, socket: Path | None, *, takes_all: bool, yes: bool
) -> None:
    """Count HOSTS as installed: they boot from their disks, and nothing is wiped."""
    give_order(find_socket(data_dir, socket), "adopt", hosts, role, takes_all=takes_all, is_agreed=yes)
