"""ocp-appliance serve."""

import logging
import sys
from pathlib import Path

import click

from appliance.errors import ApplianceError

logger = logging.getLogger(__name__)


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    envvar="APPLIANCE_DATA_DIR",
    help="The directory of images/, ignition/, tftp/ and the state, instead of dataDir of the file.",
)
@click.option(
    "--log",
    "log_format",
    type=click.Choice(["auto", "text", "json"]),
    default="auto",
    show_default=True,
    help="Log format; auto is json under systemd and text elsewhere.",
)
@click.option("--verbose", is_flag=True, help="Log progress and unanswered packets too.")
def command(files: tuple[Path, ...], data_dir: Path | None, log_format: str, *, verbose: bool) -> None:
    """Serve DNS, DHCP, TFTP and HTTP for the clusters in FILES.

    SIGHUP reloads the files. SIGTERM finishes the running transfers and then exits; a second one exits at once.
    """
    import asyncio

    from appliance import logs
    from appliance.app import App

    log = logs.configure(log_format, is_verbose=verbose)
    try:
        asyncio.run(App(files, data_dir, log).serve())
    except ApplianceError as error:
        if not log.is_json:
            raise
        # A program that parses the log as JSON must be able to parse its last line too.
        logger.critical("%s", error)
        sys.exit(error.exit_code)
