"""ocp-appliance serve."""

from pathlib import Path

import click


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    envvar="APPLIANCE_DATA_DIR",
    help="Where images/, ignition/, tftp/ and the state lie, instead of the file's dataDir.",
)
@click.option(
    "--log",
    "log_format",
    type=click.Choice(["auto", "text", "json"]),
    default="auto",
    show_default=True,
    help="Form of the log lines; auto is json under systemd and text elsewhere.",
)
@click.option("--verbose", is_flag=True, help="Log progress and silence too.")
def command(files: tuple[Path, ...], data_dir: Path | None, log_format: str, *, verbose: bool) -> None:
    """Serve DNS, DHCP, TFTP and HTTP for the clusters that FILES describe.

    SIGHUP reads the files again; SIGTERM finishes the transfers under way and ends.
    """
    import asyncio

    from appliance import logs
    from appliance.app import App

    logs.configure(log_format, is_verbose=verbose)
    asyncio.run(App(files, data_dir).serve())
