"""What HAProxy's configuration says, line by line."""

from ipaddress import ip_network

import pytest

from appliance.balancer.compile import front_ends
from appliance.balancer.haproxy import IN_SECONDS, OUT_SECONDS, Settings, configuration
from appliance.balancer.membership import Admin, Standing, Standings
from appliance.balancer.versions import Version
from appliance.config import load
from appliance.model import FrontEnd, HealthCheck, Probe
from tests.simulate_segment import REFERENCE

HERE = Settings(Version(2, 6), "/run/x/stats.sock", "/run/x/log.sock", "/var/lib/x/servers")


def fronts() -> tuple[FrontEnd, ...]:
    (cluster,) = load([REFERENCE])
    return front_ends(cluster)


def text(standings: Standings | None = None, settings: Settings = HERE) -> str:
    return configuration(fronts(), standings or {}, settings)


def section(name: str, standings: Standings | None = None, settings: Settings = HERE) -> list[str]:
    """Return the lines of section *name*, without its head."""
    found = next(each for each in text(standings, settings).split("\n\n") if each.startswith(f"{name}\n"))
    return [line.strip() for line in found.splitlines()[1:]]


def test_bootstrap_is_a_backup() -> None:
    assert "server bs 172.16.0.11:6443 check backup" in section("listen api-6443")


def test_machine_config_server_rejects_everybody_but_nodes() -> None:
    lines = section("listen machine-config-22623")
    assert lines[1:3] == ["acl from_nodes src 172.16.0.0/24", "tcp-request connection reject unless from_nodes"]


def test_front_end_of_ones_own_rejects_whom_it_does_not_allow() -> None:
    check, office = HealthCheck(Probe.TCP), ip_network("198.51.100.0/24")
    own = FrontEnd("registry", fronts()[0].binds, (), 5000, check, allowed=(office,))
    lines = configuration((own,), {}, HERE).splitlines()
    assert "    acl allowed src 198.51.100.0/24" in lines
    assert "    tcp-request connection reject unless allowed" in lines


def test_routers_are_asked_at_their_own_port() -> None:
    assert "default-server port 1936" in section("listen ingress-443")


def test_member_in_maintenance_is_disabled() -> None:
    lines = section("listen api-6443", {("api-6443", "m1.ocp45.example.localdomain"): Standing(Admin.MAINT)})
    assert "server m1 172.16.0.21:6443 check disabled" in lines


def test_member_that_is_drained_has_no_weight() -> None:
    lines = section("listen api-6443", {("api-6443", "m1.ocp45.example.localdomain"): Standing(Admin.DRAIN)})
    assert "server m1 172.16.0.21:6443 check weight 0" in lines


def test_api_server_is_verified_by_name_where_the_authority_is_known() -> None:
    settings = Settings(ca_files={"api-6443": "/var/lib/x/api.pem"})
    lines = section("listen api-6443", settings=settings)
    name = "api-int.ocp45.example.localdomain"
    assert (
        f"default-server check-ssl check-sni {name} verify required ca-file /var/lib/x/api.pem verifyhost {name}"
        in lines
    )


def test_api_server_is_not_verified_without_an_authority() -> None:
    assert "default-server check-ssl check-sni api-int.ocp45.example.localdomain verify none" in section(
        "listen api-6443"
    )


def test_version_without_keepalive_times_is_told_none() -> None:
    assert "tcpka-idle" not in configuration(fronts(), {}, Settings(Version(2, 2)))


def test_name_of_two_words_is_refused() -> None:
    (first, *_) = fronts()
    stranger = FrontEnd("x\n    server evil 192.0.2.1:1", first.binds, first.members, 1, first.check)
    with pytest.raises(ValueError, match="no name for HAProxy"):
        configuration((stranger,), {}, HERE)


def test_dying_api_server_is_out_within_30_seconds() -> None:
    """Each of its last checks hangs until HAProxy gives up."""
    assert OUT_SECONDS <= 30


def test_new_api_server_is_in_within_20_seconds() -> None:
    assert IN_SECONDS <= 20
