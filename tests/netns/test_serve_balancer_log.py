"""`serve` with a load balancer: what a host connects to through HAProxy is in the journal, and proves its system."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.simulate.namespace import Namespace, ip
from tests.balancer_nodes import MACHINE_CONFIG, Certificates, standin_nodes
from tests.haproxy import MISSING
from tests.packages import why_missing
from tests.serve_lab import REFERENCE_TEXT, Serving, Site, run, serving, site, until

MISSING_HERE = MISSING or why_missing("curl")
pytestmark = [pytest.mark.netns, pytest.mark.skipif(bool(MISSING_HERE), reason=MISSING_HERE)]
TEXT = REFERENCE_TEXT.replace("engine: external", "engine: haproxy")
VIP = "172.16.0.110"
M1 = "172.16.0.21", "00:50:56:96:37:c8"
W1, OTHER_MAC = ("172.16.0.31", "00:50:56:96:6b:da"), "52:54:00:00:00:77"
LABELS = 'client="worker",front_end="machine-config-22623",outcome="{}"'


@pytest.fixture
def on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    # Not below a directory with the test's name: a UNIX socket has a short path.
    with site(tmp_path_factory.mktemp("b"), TEXT) as made:
        ip(*(f"addr add {vip}/24 dev br0" for vip in (VIP, "172.16.0.111")), place=made.place)
        yield made


@pytest.fixture
def appliance(on: Site) -> Iterator[Serving]:
    with serving([on.config], on.data_dir, place=on.place) as running:
        yield running


@pytest.fixture
def with_m1(on: Site, appliance: Serving, tmp_path: Path) -> Iterator[None]:
    """Let m1's machine config server run, and HAProxy know it."""
    with standin_nodes(on, Certificates(tmp_path / "certificates")) as add:
        add("m1", *M1).start(MACHINE_CONFIG)
        until(lambda: re.search(r"machine-config-22623 +\S* *m1 .*up", appliance.command("balancer")), "m1 is up", 60)
        yield


def ask(machine: Namespace) -> int:
    """Ask the machine config server from *machine*; return curl's exit code, 0 if there was an answer."""
    url = f"https://{VIP}:22623/config/worker"
    return run("curl", "-sk", "--max-time", "10", "-o", "/dev/null", url, place=machine).returncode


def counted(on: Site, outcome: str) -> bool:
    metrics = run("curl", "-s", "http://127.0.0.1:8080/metrics", place=on.place).stdout
    return f"balancer_client_connections_total{{{LABELS.format(outcome)}}}" in metrics


def told(appliance: Serving) -> list[str]:
    return [event["host"] for event in appliance.events() if event["kind"] == "balancer.reached"]


@pytest.mark.usefixtures("with_m1")
def test_host_that_asks_the_machine_config_server_is_joining_and_explain_says_so(on: Site, appliance: Serving) -> None:
    with on.neighbour(*W1) as machine:
        assert ask(machine) == 0
        until(lambda: appliance.rows()["w1"]["stage"] == "joining", "w1 is joining")
    said = appliance.command("explain", "w1")
    assert re.search("asks the machine config server +forwarded to m1 by machine-config-22623", said), said


@pytest.mark.usefixtures("with_m1")
def test_other_machine_at_the_address_of_a_host_is_counted_and_proves_nothing(on: Site, appliance: Serving) -> None:
    with on.neighbour(W1[0], OTHER_MAC) as machine:
        assert ask(machine) == 0
        until(lambda: counted(on, "forwarded"), "the connection is counted")
    assert told(appliance) == []
    assert appliance.rows()["w1"]["stage"] == "waiting"


def test_host_that_finds_no_member_is_counted_and_proves_nothing(on: Site, appliance: Serving) -> None:
    appliance.said(r"balancer\.config by=start")
    # HAProxy takes its members for up until the first checks have ended.
    until(lambda: not re.search(r"22623.*(unknown|up)", appliance.command("balancer")), "all members are down", 90)
    with on.neighbour(*W1) as machine:
        assert ask(machine) != 0
        until(lambda: counted(on, "failed"), "the connection is counted")
    assert told(appliance) == []
