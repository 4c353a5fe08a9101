"""`serve` with a load balancer: HAProxy runs with it, and the mistakes that prevent it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.simulate.namespace import ip
from tests.haproxy import MISSING
from tests.serve_lab import REFERENCE_TEXT, Site, site, until

pytestmark = [pytest.mark.netns, pytest.mark.skipif(bool(MISSING), reason=MISSING)]
TEXT = REFERENCE_TEXT.replace("engine: external", "engine: haproxy")
VIPS = ("172.16.0.110", "172.16.0.111")


@pytest.fixture
def on(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, TEXT) as made:
        yield made


def test_serve_refuses_a_vip_that_is_not_on_this_machine(on: Site) -> None:
    code, said = on.refused()
    assert (code, "ip address add 172.16.0.110/24 dev br0" in said) == (71, True), said


def test_serve_runs_haproxy(on: Site) -> None:
    ip(*(f"addr add {vip}/24 dev br0" for vip in VIPS), place=on.place)
    with on.serve() as appliance:
        appliance.said(r"balancer\.config by=start front_ends=4")
        rows = until(lambda: [line for line in appliance.command("balancer").splitlines() if "m1" in line], "a row")
        assert len(rows) == 2, rows
