"""Which refusals the dashboard shows."""

from appliance.events import WebKind, WebRefused
from appliance.install.refusals import MAX_REFUSALS, Refusals


def refused(host, path):
    return WebRefused(host, "192.0.2.9", path, WebKind.OTHER, 404, "not found")


def test_latest_refusals_are_kept():
    refusals = Refusals()
    for number in range(MAX_REFUSALS + 5):
        refusals.add(number, refused("", f"/{number}"))
    assert [at for at, _ in refusals] == list(range(5, MAX_REFUSALS + 5))


def test_refusals_of_a_host_stay_through_a_flood_of_others():
    refusals = Refusals()
    refusals.add(0, refused("m1", "/a"))
    for number in range(1000):
        refusals.add(number, refused("", f"/{number}"))
        refusals.add(number, refused("m2", f"/{number}"))
    assert "/a" in [event.path for _, event in refusals]
