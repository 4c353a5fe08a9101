"""`ocp-appliance validate`."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from appliance.errors import ConfigError, Problem

if TYPE_CHECKING:
    from appliance.config import Checked
    from appliance.model import Cluster


@click.command("validate")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Output format."
)
@click.option("--data-dir", type=click.Path(path_type=Path), help="The data directory, instead of dataDir of the file.")
def command(files: tuple[Path, ...], output: str, data_dir: Path | None) -> None:
    """Check cluster.yaml files, and the images and Ignition files that they refer to.

    Prints every problem. Exits with status 78 if a file cannot be served, and 0 if there are only warnings.
    Several files are checked together, as one appliance would serve them. With `engine: haproxy`, the last lines say
    what firewalld and SELinux must allow, if they are at work on this machine.
    """
    from appliance.config import check

    checked = check(files, data_dir, reads_images=True)
    if output == "json":
        click.echo(json.dumps(_as_json(checked), indent=2))
    else:
        for problem in checked.problems:
            click.echo(str(problem))
        for line in _summary(checked):
            click.echo(line)
        for line in _advice(checked.clusters):
            click.echo(line)
    if checked.errors:
        raise click.exceptions.Exit(ConfigError.exit_code)


def _summary(checked: "Checked") -> Iterator[str]:
    from appliance.openshift.ignition import expiry_text

    if checked.errors:
        yield f"{_count(len(checked.errors), 'problem')} and {_count(len(checked.warnings), 'warning')}"
    for cluster in checked.clusters:
        roles = Counter(host.role.value for host in cluster.hosts)
        machines = ", ".join(f"{count} {role}" for role, count in roles.items())
        networks = ", ".join(str(network.cidr) for network in cluster.networks)
        warnings = [problem for problem in checked.warnings if problem.file == str(cluster.source)]
        yield (
            f"{cluster.source}: {cluster.name}.{cluster.base_domain}, release {cluster.release}:"
            f" {machines} in {networks}; {_count(len(warnings), 'warning')}"
        )
        for name, expires_at in _lifetimes(cluster):
            yield f"{cluster.source}: {name} expires at {expiry_text(expires_at)}"


def _advice(clusters: Sequence["Cluster"]) -> Iterator[str]:
    from appliance.balancer.compile import all_front_ends
    from appliance.balancer.firewall import advice

    return advice(all_front_ends(clusters))


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def _lifetimes(cluster: "Cluster") -> Iterator[tuple[str, float]]:
    """Yield the Ignition files with valid certificates, and when the first of these expires (UTC)."""
    from appliance.openshift.ignition import MAX_IGNITION_BYTES, inspect

    for name in dict.fromkeys(host.ignition for host in cluster.hosts if host.ignition):
        try:
            with (cluster.data_dir / "ignition" / name).open("rb") as file:
                data = file.read(MAX_IGNITION_BYTES + 1)
        except OSError:
            continue  # there is a warning about it
        expires_at = None if len(data) > MAX_IGNITION_BYTES else inspect(data).expires_at
        if expires_at is not None and expires_at > time.time():
            yield name, expires_at


def _as_json(checked: "Checked") -> dict[str, Any]:
    return {
        "valid": not checked.errors,
        "problems": [_problem(problem) for problem in checked.problems],
        "clusters": [_cluster(cluster) for cluster in checked.clusters],
        "advice": list(_advice(checked.clusters)),
    }


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "file": problem.file,
        "line": problem.line,
        "path": problem.path,
        "severity": "warning" if problem.is_warning else "error",
        "message": problem.message,
    }


def _cluster(cluster: "Cluster") -> dict[str, Any]:
    return {
        "file": str(cluster.source),
        "name": cluster.name,
        "baseDomain": cluster.base_domain,
        "release": str(cluster.release),
        "hosts": len(cluster.hosts),
        "dataDir": str(cluster.data_dir),
        "digest": cluster.digest,
        "ignitionExpiry": dict(_lifetimes(cluster)),
    }
