"""ocp-appliance capture."""

import base64
from pathlib import Path

import click

from appliance.cli._socket import find_socket, socket_options


@click.command()
@click.argument("host")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    required=True,
    help="The file to write, or - for standard output.",
)
@socket_options
def command(host: str, output: Path, data_dir: Path | None, socket: Path | None) -> None:
    """Save the packets of HOST's last boot as a pcapng file, for Wireshark."""
    from appliance.control_client import ask

    answers = ask(find_socket(data_dir, socket), "capture", host=host)
    packets = b"".join(base64.b64decode(str(answer["pcapng"])) for answer in answers)
    try:
        with click.open_file(str(output), "wb") as out:
            out.write(packets)
    except OSError as error:
        raise click.FileError(str(output), error.strerror) from error
    if str(output) != "-":
        click.echo(f"{output}: {len(packets):,} bytes")
