"""ocp-appliance events."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from appliance.cli._socket import find_socket, socket_options
from appliance.status.spelling import date

if TYPE_CHECKING:
    from appliance.status.shapes import EventRow


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Keep printing new events until interrupted.")
@click.option("--host", help="Show only events of this host, by its full or short name.")
@click.option(
    "-n",
    "--last",
    type=click.IntRange(1, 200_000),
    default=1000,
    show_default=True,
    help="Show at most this many past events.",
)
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Output format."
)
@socket_options
def command(
    host: str | None, last: int, output: str, data_dir: Path | None, socket: Path | None, *, follow: bool
) -> None:
    """Show the journal of events, oldest first, one per line."""
    from appliance.control_client import ask

    try:
        for answer in ask(find_socket(data_dir, socket), "events", host=host, limit=last, follow=follow):
            event = cast("EventRow", answer["event"])
            click.echo(json.dumps(event) if output == "json" else _line(event))
    except KeyboardInterrupt:
        return


def _line(event: "EventRow") -> str:
    from appliance.events import fact_text

    facts = " ".join(f"{name}={fact_text(value)}" for name, value in event["facts"].items())
    times = f" ({event['times']} times)" if event["times"] > 1 else ""
    return f"{date(event['at'])} {event['host'] or '-'} {event['kind']} {facts}{times}".rstrip()
