"""ocp-appliance render: what would be served, for a person to read or another program to check."""

from pathlib import Path

import click


@click.group()
def command() -> None:
    """Print what would be served, as zone files or scripts."""


@command.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--zone", "name", help="A zone other than the first file's forward zone.")
def zone(files: tuple[Path, ...], name: str | None) -> None:
    """Print a zone that FILES describe, as a master file (RFC 1035 section 5).

    Its serial is the file's dns.serial; what is served has one at least as high.
    """
    from appliance.config import load
    from appliance.dns.zone import zones_of

    clusters = load(files)
    zones = {zone.name: zone for zone in zones_of(clusters)}
    wanted = clusters[0].dns.zone if name is None else name.lower().removesuffix(".")
    if wanted not in zones:
        raise click.UsageError(f"--zone {name}: no such zone; there are {', '.join(zones)}")
    others = ", ".join(other for other in zones if other != wanted)
    click.echo(f"; {wanted}; the other zones of these files: {others}")
    click.echo(zones[wanted].text(clusters[0].dns.serial), nl=False)
