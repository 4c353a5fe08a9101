"""ocp-appliance explain."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from appliance.cli._socket import find_socket, socket_options
from appliance.status.spelling import age, clock, date, printable

if TYPE_CHECKING:
    from appliance.status.shapes import Explanation


@click.command()
@click.argument("host")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How to print it."
)
@click.option("--all", "tells_all", is_flag=True, help="The whole installation, not the last boot alone.")
@socket_options
def command(host: str, output: str, data_dir: Path | None, socket: Path | None, *, tells_all: bool) -> None:
    """Tell the last boot of HOST: what it asked, what it was told, how long it took, and what is missing now."""
    from appliance.control import ask

    (answer,) = ask(find_socket(data_dir, socket), "explain", host=host, all=tells_all)
    told = cast("Explanation", answer["explain"])
    if output == "json":
        click.echo(json.dumps(told, indent=2))
    else:
        _show(told)


def _show(told: "Explanation") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=300)
    row = told["host"]
    console.print(
        Text(f"{row['host']} ({row['role']}), {row['address']}, {row['mac']} {row['arch']}".rstrip(), style="bold")
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("AT", "TOOK", "THE MACHINE", "THE APPLIANCE"):
        table.add_column(name, no_wrap=not console.is_terminal, justify="right" if name == "TOOK" else "left")
    for step in told["steps"]:
        times = f" ({step['times']} times)" if step["times"] > 1 else ""
        style = "bold green" if step["kind"] == "install.stage" else "yellow" if "refuse" in step["kind"] else ""
        cells = (clock(step["at"]), _took(step["seconds"]), step["asked"] + times, step["told"])
        table.add_row(*(Text(printable(cell), style=style) for cell in cells))
    console.print(table if told["steps"] else "It has not been seen yet.")
    past = [record for record in told["records"] if record["number"] != row["number"]]
    for record in past:
        began = date(record["began_at"]) if record["began_at"] else "?"
        console.print(
            Text(f"Earlier: installation {record['number']}, {began}, came to {record['stage']}", style="dim")
        )
    if condition := row["condition"]:
        console.print(Text(f"{condition['name']}: {printable(condition['hint'])}", style="yellow"))
    console.print(Text(f"Stage: {row['stage']}. Next: {told['missing']}.", style="bold"))


def _took(seconds: float) -> str:
    return f"{seconds:.3f}s" if seconds < 10 else age(seconds)
