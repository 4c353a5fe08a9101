"""What HAProxy says of its servers, over reloads."""

from dataclasses import replace

import pytest

from appliance.balancer.reports import NOT_TRUSTED, Report, Totals, reports_of
from appliance.balancer.runtime import NO_HANDSHAKE, ServerStat
from tests.balancers import API, Heard

HEARD = Heard()
(FRONT_END,) = (each for each in HEARD.front_ends if each.name == API)
SERVER, KEY = (API, "m1"), (API, HEARD.host("m1"))
NOW = 1000.0
UP = ServerStat(True, True, 40, "passed: HTTP 200", 3, current=2, total=7)
UNCHECKED = replace(UP, is_checked=False, check="", checked_ms=None, seconds=0)


def report(
    stat: ServerStat,
    admin: str = "ready",
    before: Report | None = None,
    now: float = NOW,
    verified: tuple[str, ...] = (),
) -> Report:
    known = {} if before is None else {KEY: before}
    return reports_of([FRONT_END], {SERVER: stat}, {SERVER: admin}, known, now, verified)[KEY]


def test_report_has_what_haproxy_says() -> None:
    assert report(UP) == Report(True, True, "ready", NOW - 40, "passed: HTTP 200", 3, 2, 7)


def test_new_worker_has_the_last_check_of_the_one_before() -> None:
    found = report(UNCHECKED, before=report(UP))
    assert (found.is_checked, found.check) == (True, "passed: HTTP 200")


@pytest.mark.parametrize(
    ("stat", "admin", "before"),
    [
        (UNCHECKED, "ready", None),
        (UNCHECKED, "ready", report(UNCHECKED)),
        (UNCHECKED, "ready", report(replace(UP, is_up=False))),
        (UNCHECKED, "maint", report(UP)),
    ],
    ids=["first", "unchecked before", "down before", "maint"],
)
def test_check_of_which_nobody_knows_is_not_taken_for_passed(
    stat: ServerStat, admin: str, before: Report | None
) -> None:
    assert not report(stat, admin, before).is_checked


def test_moment_of_a_change_does_not_tremble() -> None:
    assert report(UP, before=report(UP), now=NOW + 0.9).since == NOW - 40


def test_moment_of_a_change_that_was_not_heard_of_is_the_new_one() -> None:
    assert report(replace(UP, seconds=1), before=report(UP), now=NOW + 60).since == NOW + 59


def test_handshake_that_fails_is_one_without_trust_where_certificates_are_verified() -> None:
    failed = replace(UP, is_up=False, check=f"failed: {NO_HANDSHAKE}")
    assert report(failed).check == f"failed: {NO_HANDSHAKE}"
    assert report(failed, verified=(API,)).check == f"{NOT_TRUSTED}, or no TLS"


def test_connections_are_counted_over_workers() -> None:
    totals = Totals()
    totals.over_workers(1, {SERVER: UP}, {})
    assert totals.over_workers(2, {SERVER: replace(UP, total=1)}, {})[SERVER].total == 8
    assert totals.over_workers(3, {SERVER: replace(UP, total=0)}, {})[SERVER].total == 8


def test_connections_of_a_server_that_is_gone_are_forgotten() -> None:
    totals = Totals()
    totals.over_workers(1, {SERVER: UP}, {})
    totals.over_workers(2, {}, {})
    assert totals.over_workers(3, {SERVER: UP}, {})[SERVER].total == 7


def test_connections_of_workers_that_end_are_counted_as_those_of_the_new_one() -> None:
    assert Totals().over_workers(1, {SERVER: UP}, {SERVER: 5})[SERVER].current == 7
