"""The balancer with the installed HAProxy: what it starts, tells, reloads, mends and survives."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.balancer.server import Balancer
from tests.balancer_lab import API, Lab, balancer_lab, full, until
from tests.haproxy import MISSING

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with balancer_lab(tmp_path) as made:
        yield made


def _pid(lab: Lab, balancer: Balancer) -> int | None:
    child = balancer._child
    return child.pid if child is not None else None


def _admin(balancer: Balancer, name: str, front_end: str = API) -> str | None:
    report = balancer.reports.get((front_end, full(name)))
    return report.admin if report is not None else None


async def test_haproxy_is_started_with_every_member(lab: Lab) -> None:
    async with lab.running() as balancer:
        await until(lambda: len(balancer.reports) == 8, "8 reports")
        assert balancer.trouble is None
    assert lab.kinds()[:1] == ["balancer.config"]


async def test_member_that_answers_is_told_once(lab: Lab) -> None:
    await lab.members["m1"].start()
    async with lab.running():
        await until(lambda: "balancer.up" in lab.kinds(), "an event")
        assert f"host={full('m1')}" in lab.lines("balancer.up")[0]
