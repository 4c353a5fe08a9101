"""HAProxy's configurations as they were reviewed. APPLIANCE_GOLDEN=write writes the files again."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance.balancer.compile import front_ends
from appliance.balancer.haproxy import NO_SERVER_STATE, Settings, configuration
from appliance.balancer.membership import Admin, Standing
from appliance.balancer.versions import Version
from appliance.cli import cli
from appliance.config import load
from appliance.model import Cluster
from appliance.share import share
from tests.haproxy import INSTALLED, MISSING, RELEASES, judgement, of_release, version_of
from tests.unit.openshift.test_ignition import DAY, certificate

GOLDEN = Path(__file__).parent / "haproxy"
DIRECTORIES = ("/run/ocp-appliance-haproxy", "/var/lib/ocp-appliance-haproxy")


def example(name: str) -> Cluster:
    (cluster,) = load([share("data") / name / "cluster.yaml"])
    return cluster


def printed(version: str) -> str:
    """Return what `render haproxy` prints for a machine of others."""
    words = ["render", "haproxy", str(share("data/ocp45/cluster.yaml")), "--haproxy-version", version]
    done = CliRunner().invoke(cli, words)
    assert done.exit_code == 0, done.output
    return done.stdout


def served(version: Version, run: str = DIRECTORIES[0], state: str = DIRECTORIES[1]) -> str:
    """Return what the appliance writes for a cluster with both address families, in the middle of its installation."""
    cluster = example("dual-stack")
    found = front_ends(cluster)
    bootstrap, master, *_ = found[0].members
    standings = {
        (found[0].name, bootstrap.host): Standing(Admin.DRAIN, "bootstrapping complete"),
        (found[0].name, master.host): Standing(Admin.MAINT, "held"),
    }
    settings = Settings(
        version,
        f"{run}/stats.sock",
        f"{run}/log.sock",
        server_state=f"{state}/servers.state",
        ca_files={found[0].name: f"{state}/api.pem"},
    )
    return configuration(found, standings, settings)


TEXTS: dict[str, Callable[[], str]] = {
    "1.8": lambda: printed("1.8"),
    "2.4": lambda: printed("2.4"),
    "2.6": lambda: printed("2.6"),
    "served-1.8": lambda: served(Version(1, 8)),
    "served-2.6": lambda: served(Version(2, 6)),
}


@pytest.mark.parametrize("name", TEXTS)
def test_configuration_is_as_kept(name: str) -> None:
    kept, text = GOLDEN / f"{name}.cfg", TEXTS[name]()
    if os.environ.get("APPLIANCE_GOLDEN") == "write":
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(text)
    assert text == kept.read_text()


def test_nothing_is_printed_for_a_node_that_answers_by_itself() -> None:
    done = CliRunner().invoke(cli, ["render", "haproxy", str(share("data/single-node/cluster.yaml"))])
    assert done.exit_code == 2
    assert "nothing to balance: apiVIPs, apiInternalVIPs and ingressVIPs are addresses of its hosts" in done.output


def test_every_kept_configuration_is_compared() -> None:
    assert {path.stem for path in GOLDEN.glob("*.cfg")} == set(TEXTS)


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
def test_installed_haproxy_accepts_what_is_served(tmp_path: Path) -> None:
    assert judgement(_prepared(INSTALLED, tmp_path), tmp_path) == ""


@pytest.mark.slow
@pytest.mark.parametrize("release", RELEASES)
def test_every_version_of_haproxy_accepts_what_is_served(release: str, tmp_path: Path) -> None:
    command = of_release(release)
    assert judgement(_prepared(command, tmp_path), tmp_path, command) == ""


def _prepared(command: tuple[str, ...], directory: Path) -> str:
    """Return what is served for the HAProxy of *command*, with the files that it names in *directory*."""
    (directory / "servers.state").write_text(NO_SERVER_STATE)
    (directory / "api.pem").write_bytes(certificate(3650 * DAY))
    return served(version_of(command), str(directory), str(directory))


@pytest.mark.slow
@pytest.mark.parametrize("release", RELEASES)
def test_every_version_of_haproxy_accepts_what_is_printed(release: str, tmp_path: Path) -> None:
    command = of_release(release)
    text = printed(str(version_of(command)))
    # Its user exists where the package is installed.
    for word in ("user", "group"):
        text = text.replace(f"    {word} haproxy\n", "")
    assert judgement(text, tmp_path, command) == ""
