"""The command line: one file a command, each imported only when it is called."""

import importlib
import sys

import click

from appliance import __version__
from appliance.errors import ApplianceError

# Command → what it does. The module appliance.cli.<command> holds it as `command`.
COMMANDS = {
    "serve": "Serve DNS, DHCP, TFTP and HTTP for one or more cluster.yaml files.",
    "validate": "Check cluster.yaml files and print every problem at once.",
    "schema": "Print the JSON Schema of cluster.yaml, for editors.",
    "render": "Print what would be served, as zone files or scripts.",
    "simulate": "Network-boot one machine against a running appliance, without hardware.",
    "demo": "Install the reference cluster with simulated machines in a lab of its own.",
    "status": "Show where every host is.",
    "events": "Show the journal.",
    "explain": "Tell a host's last boot as a timeline, and what is missing now.",
    "seen": "List unknown machines that asked for an address.",
    "reinstall": "Let hosts install again at their next boot.",
    "hold": "Make hosts wait at iPXE.",
    "release": "Let held hosts go on.",
    "capture": "Write the packets of a host's last boot as pcapng.",
}


class _LazyGroup(click.Group):
    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"appliance.cli.{cmd_name}").command
        if not isinstance(command, click.Command):
            raise TypeError(f"appliance.cli.{cmd_name}.command is not a Click command")
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        # The table above, so that --help imports no command.
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_LazyGroup)
@click.version_option(__version__, prog_name="ocp-appliance")
def cli() -> None:
    """Network boot for an OpenShift cluster, from one cluster.yaml."""


def main() -> None:
    """Run the command line; an ApplianceError becomes its line and its exit code."""
    try:
        cli(prog_name="ocp-appliance")
    except ApplianceError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)
