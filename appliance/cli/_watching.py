"""What the commands that watch and order share: where the appliance is, and how times and sizes read."""

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., object])

Json = dict[str, object]


def socket_options(command: Command) -> Command:
    """Give a command --data-dir and --socket, of which `find_socket` makes the control socket's path."""
    command = click.option(
        "--socket",
        type=click.Path(path_type=Path),
        envvar="APPLIANCE_SOCKET",
        help="The appliance's control socket, instead of the one in its data directory.",
    )(command)
    return click.option(
        "--data-dir",
        type=click.Path(path_type=Path),
        envvar="APPLIANCE_DATA_DIR",
        help="The data directory of the appliance to ask. Default: the service's.",
    )(command)


def find_socket(data_dir: Path | None, socket: Path | None) -> Path:
    """Return the control socket that the options, or the usual places, name."""
    from appliance.config.build import DEFAULT_DATA_DIR
    from appliance.control import SOCKET_NAME

    if socket is not None:
        return socket
    of_the_service = Path("/run/ocp-appliance") / SOCKET_NAME
    if data_dir is not None:
        in_data_dir = data_dir / SOCKET_NAME
        # The service's environment names its data directory, and systemd gives its socket another place.
        return of_the_service if not os.path.lexists(in_data_dir) and _is_of_service(data_dir) else in_data_dir
    return of_the_service if os.path.lexists(of_the_service) else DEFAULT_DATA_DIR / SOCKET_NAME


def _is_of_service(data_dir: Path) -> bool:
    from appliance.config.build import DEFAULT_DATA_DIR

    return data_dir == DEFAULT_DATA_DIR


def age(seconds: float) -> str:
    """Return a length of time as people say it: 7s, 12m, 3h, 2d."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f}{unit}"
    return f"{max(0.0, seconds):.0f}s"


def clock(at: float) -> str:
    """Return a time of day in this computer's zone."""
    return datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S")


def date(at: float) -> str:
    """Return a date and time in this computer's zone."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def size(count: float) -> str:
    """Return a number of bytes in a unit that fits."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


def printable(text: object) -> str:
    """Return *text* without what could steer a terminal: names and paths come off the wire."""
    return "".join(char if char.isprintable() else "�" for char in str(text))
