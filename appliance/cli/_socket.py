"""The control socket of the appliance that a command talks to: its two options, and the defaults."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., object])


def socket_options(command: Command) -> Command:
    """Give a command --data-dir and --socket, which `find_socket` turns into the control socket's path."""
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
        help="The data directory of the running appliance. Default: that of the systemd service.",
    )(command)


def find_socket(data_dir: Path | None, socket: Path | None) -> Path:
    """Return the control socket that the options name, or else the service's, or else the default data directory's."""
    from appliance.config.build import DEFAULT_DATA_DIR
    from appliance.control_client import SOCKET_NAME

    if socket is not None:
        return socket
    service_socket = Path("/run/ocp-appliance") / SOCKET_NAME
    if data_dir is not None:
        own_socket = data_dir / SOCKET_NAME
        # The service's environment file sets APPLIANCE_DATA_DIR to the default data directory, while systemd puts
        # the service's socket below /run: an operator who sourced that file means the service.
        is_service = data_dir == DEFAULT_DATA_DIR and not os.path.lexists(own_socket)
        return service_socket if is_service else own_socket
    return service_socket if os.path.lexists(service_socket) else DEFAULT_DATA_DIR / SOCKET_NAME
