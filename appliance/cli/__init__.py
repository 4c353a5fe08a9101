"""The command line. Each command has a module of its own, which is imported only when the command is called."""

import importlib
import sys

import click

from appliance import __version__
from appliance.errors import ApplianceError

# Command → its line in --help. The module appliance.cli.<command> has the Click command as `command`.
COMMANDS = {
    "serve": "Serve DNS, DHCP, TFTP and HTTP for one or more cluster.yaml files.",
    "validate": "Check cluster.yaml files and report every problem at once.",
    "schema": "Print the JSON Schema of cluster.yaml, for editors.",
    "render": "Print what would be served, as zone files or iPXE scripts.",
    "simulate": "Network-boot one simulated machine against a running appliance.",
    "demo": "Install a cluster of simulated machines in a network of its own.",
    "status": "Show the stage and progress of every host.",
    "balancer": "Show which hosts get the load balancer's connections, or change that.",
    "events": "Show the journal of events.",
    "explain": "Explain a host's last boot and what it is waiting for.",
    "seen": "List unknown machines that asked for an address.",
    "reinstall": "Reinstall hosts at their next network boot.",
    "hold": "Make hosts wait at iPXE.",
    "release": "Let held hosts continue.",
    "adopt": "Count hosts as installed.",
    "capture": "Save the packets of a host's last boot as a pcapng file.",
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
        # From the table above, so that --help imports no command: some take a second.
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_LazyGroup)
@click.version_option(__version__, prog_name="ocp-appliance")
def cli() -> None:
    """Network boot for an OpenShift cluster, from one cluster.yaml."""


def main() -> None:
    """Run the command line. An ApplianceError is printed as one line and ends the process with its exit code."""
    try:
        cli(prog_name="ocp-appliance")
    except ApplianceError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)
