"""ocp-appliance explain."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from appliance.cli._socket import find_socket, socket_options
from appliance.status.spelling import clock, date, duration, printable

if TYPE_CHECKING:
    from appliance.status.shapes import Explanation


@click.command()
@click.argument("host")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Output format."
)
@click.option("--all", "shows_all", is_flag=True, help="Show the whole installation, not only the last boot.")
@socket_options
def command(host: str, output: str, data_dir: Path | None, socket: Path | None, *, shows_all: bool) -> None:
    """Explain HOST's last boot: what it requested, what it got, how long each step took, and what it is waiting for."""
    from appliance.control_client import ask

    (answer,) = ask(find_socket(data_dir, socket), "explain", host=host, all=shows_all)
    explanation = cast("Explanation", answer["explain"])
    if output == "json":
        click.echo(json.dumps(explanation, indent=2))
    else:
        _show(explanation)


def _show(explanation: "Explanation") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    # Into a pipe or file every step is one whole line, for grep.
    if not console.is_terminal:
        console = Console(highlight=False, width=300)
    row = explanation["host"]
    console.print(
        Text(f"{row['host']} ({row['role']}), {row['address']}, {row['mac']} {row['arch']}".rstrip(), style="bold")
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("TIME", "TOOK", "MACHINE", "APPLIANCE"):
        table.add_column(name, no_wrap=not console.is_terminal, justify="right" if name == "TOOK" else "left")
    for step in explanation["steps"]:
        times = f" ({step['times']} times)" if step["times"] > 1 else ""
        style = "bold green" if step["kind"] == "install.stage" else "yellow" if "refuse" in step["kind"] else ""
        cells = (clock(step["at"]), duration(step["seconds"]), step["asked"] + times, step["told"])
        table.add_row(*(Text(printable(cell), style=style) for cell in cells))
    console.print(table if explanation["steps"] else "This machine has not sent any request yet.")
    past = [record for record in explanation["records"] if record["number"] != row["number"]]
    for record in past:
        began = date(record["began_at"]) if record["began_at"] else "?"
        console.print(
            Text(f"Earlier: installation {record['number']}, {began}, reached {record['stage']}", style="dim")
        )
    if condition := row["condition"]:
        console.print(Text(f"{condition['name']}: {printable(condition['hint'])}", style="yellow"))
    if remedy := row["remedy"]:
        console.print("To begin with the loader that worked, whatever the appliance remembers, in cluster.yaml:")
        console.print(Text(f"  - hostname: {row['name']}\n    {printable(remedy)}"))
    console.print(Text(f"Stage: {row['stage']}. Next: {explanation['missing']}.", style="bold"))
