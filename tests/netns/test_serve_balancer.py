"""`serve` with a load balancer: HAProxy runs with it, and the mistakes that prevent it."""

from collections.abc import Iterator

import pytest

from appliance.simulate.namespace import ip
from tests.haproxy import MISSING
from tests.serve_lab import REFERENCE_TEXT, Site, run, site, until

pytestmark = [pytest.mark.netns, pytest.mark.skipif(bool(MISSING), reason=MISSING)]
TEXT = REFERENCE_TEXT.replace("engine: external", "engine: haproxy")
VIPS = ("172.16.0.110", "172.16.0.111")


@pytest.fixture
def on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    # Not below a directory with the test's name: a UNIX socket has a short path.
    with site(tmp_path_factory.mktemp("b"), TEXT) as made:
        yield made


def test_absent_vip_is_refused_at_the_start(on: Site) -> None:
    code, said = on.refused()
    assert (code, "ip address add 172.16.0.110/24 dev br0" in said) == (71, True), said


def test_serve_runs_haproxy(on: Site) -> None:
    ip(*(f"addr add {vip}/24 dev br0" for vip in VIPS), place=on.place)
    with on.serve() as appliance:
        appliance.said(r"balancer\.config by=start front_ends=4")
        rows = until(lambda: [line for line in appliance.command("balancer").splitlines() if "m1" in line], "a row")
        assert len(rows) == 2, rows


def test_other_engine_needs_a_restart(on: Site) -> None:
    ip(*(f"addr add {vip}/24 dev br0" for vip in VIPS), place=on.place)
    with on.serve() as appliance:
        on.config.write_text(REFERENCE_TEXT)
        appliance.reload()
        appliance.said(r"config\.refuse .*loadBalancer\.engine changed to or from haproxy; restart")


def test_absent_vip_is_not_reloaded(on: Site) -> None:
    ip(*(f"addr add {vip}/24 dev br0" for vip in VIPS), place=on.place)
    with on.serve() as appliance:
        on.config.write_text(TEXT.replace("172.16.0.110", "172.16.0.112"))
        appliance.reload()
        assert "ip address add 172.16.0.112/24" in appliance.said(r"config\.refuse ")


def test_haproxy_ends_with_serve(on: Site) -> None:
    ip(*(f"addr add {vip}/24 dev br0" for vip in VIPS), place=on.place)
    with on.serve() as appliance:
        appliance.said(r"balancer\.config by=start")
        assert appliance.end() == 0
        done = run("ss", "-Hlnt", "sport = :6443", place=on.place)
        assert done.stdout == ""


def test_serve_alone_needs_no_haproxy(on: Site) -> None:
    on.config.write_text(REFERENCE_TEXT)
    with on.serve(environment={"PATH": "/nonexistent"}):
        pass
