"""HAProxy as a child of `serve`, where no service manager runs it: it begins and ends with it."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.balancer_life import INNER, TEXT, Lab, lab, state_of
from tests.balancer_nodes import API, CONTROL_PLANE
from tests.haproxy import MISSING
from tests.serve_lab import Serving, until, with_host

pytestmark = [pytest.mark.netns, pytest.mark.skipif(bool(MISSING), reason=MISSING)]

M4 = """\
  - hostname: m4
    role: master
    macAddress: 00:50:56:96:24:01
    address: 172.16.0.24
"""
MASTERS = ("m1", "m2", "m3")


class Running:
    """A lab whose masters answer through a child of the appliance, with a load."""

    def __init__(self, here: Lab, appliance: Serving) -> None:
        self.here, self.appliance = here, appliance

    @property
    def children(self) -> list[int]:
        """The PIDs of the appliance's children and of theirs."""
        return descendants(self.appliance.process.pid)


def descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [each for child in children for each in (int(child), *descendants(int(child)))]


def is_running(pid: int) -> bool:
    try:
        return " (haproxy) Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with lab(tmp_path) as here, here.site.serve() as appliance:
        here.switch_on(*MASTERS)
        here.open(MASTERS, CONTROL_PLANE)
        until(lambda: state_of(appliance, "m1") == "up", "m1 is in")
        here.put_load("inner", INNER, API, 20, watches=6)
        here.answered_by("inner", set(MASTERS), since=0)
        yield Running(here, appliance)


def test_hosts_come_without_a_loss(running: Running) -> None:
    running.here.site.config.write_text(with_host(TEXT, M4))
    running.appliance.reload()
    running.here.switch_on("m4")
    running.here.open(["m4"], CONTROL_PLANE)
    running.here.answered_by("inner", {"m4"}, since=0)
    assert running.here.lost() == []


def test_a_child_that_is_killed_is_started_again(running: Running) -> None:
    for pid in running.children:
        os.kill(pid, signal.SIGKILL)
    began = time.time()
    until(lambda: running.here.loads.members("inner", began), "an answer")
    assert running.appliance.process.poll() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_haproxy_ends_with_the_appliance(running: Running, number: signal.Signals) -> None:
    children = running.children
    assert len(children) > 1
    running.appliance.end(number)
    until(lambda: not any(is_running(pid) for pid in children), "the end of HAProxy")
