"""ocp-appliance seen."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from appliance.cli._socket import find_socket, socket_options
from appliance.status.spelling import age, printable

if TYPE_CHECKING:
    from appliance.status.shapes import SeenRow, StrangerRow


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "yaml", "json"]),
    default="text",
    show_default=True,
    help="Output format; yaml is the entries for cluster.yaml alone.",
)
@socket_options
def command(output: str, data_dir: Path | None, socket: Path | None) -> None:
    """List machines that asked for an address and are in no cluster.yaml, each with an entry to add it there."""
    from appliance.control_client import ask
    from appliance.status.stanza import seen

    (answer,) = ask(find_socket(data_dir, socket), "seen")
    # The vendors are looked up here, so that the appliance need not keep their list in memory.
    machines = seen(cast("list[StrangerRow]", answer["seen"]))
    if output == "json":
        click.echo(json.dumps(machines, indent=2))
        return
    if not machines and output == "text":
        click.echo("No unknown machines have asked for an address.")
    for machine in machines:
        if output == "text":
            click.echo(_line(machine))
        click.echo(machine["stanza"])


def _line(machine: "SeenRow") -> str:
    parts = [
        machine["mac"],
        machine["vendor"],
        f"{machine['program']} {machine['arch']}".strip(),
        f"via relay {machine['relay']}" if machine["relay"] else "",
        f"on {machine['interface']}" if machine["interface"] else "",
        f"{machine['times']} times, last {age(time.time() - machine['last_at'])} ago",
    ]
    return "# " + ", ".join(printable(part) for part in parts if part)
