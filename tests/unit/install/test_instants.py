"""Every time in a record moves with the clock, and after a reboot the larger doubt decides."""

from dataclasses import asdict, replace

import pytest

from appliance.events import HostUnanswered, Stamped
from appliance.install.installation import LAPSE_SECONDS, Condition, Installation, Order, Rules, Stage, begin
from appliance.install.instants import after_reboot, instants, shifted
from appliance.install.lifecycle import advance
from appliance.model import Install
from tests.boots import MB, NOW
from tests.state_examples import FULL

RULES = Rules(Install.ONCE, True, lambda host, number: "t")
IMAGE_BYTES = 900 * MB  # 9 s to write


def floats(value):
    if isinstance(value, float):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [found for part in parts for found in floats(part)]


def writing(seconds_ago, **changes):
    """Return the record of a host that has had everything to write its disk for *seconds_ago*."""
    facts = {
        "stage": Stage.IGNITION,
        "image_bytes": IMAGE_BYTES,
        "lacks_image": False,
        "window_opened_at": NOW - seconds_ago - 60,
        "delivered_at": NOW - seconds_ago,
        "ready_at": NOW - seconds_ago,
        "reached": {Stage.IGNITION: NOW - seconds_ago},
    }
    return replace(begin("m1.example", RULES), **facts | changes)


def test_example_has_every_instant():
    assert not [name for name, value in asdict(FULL).items() if value is None]


def test_every_float_in_a_record_moves():
    before, after = floats(asdict(FULL)), floats(asdict(shifted(FULL, 1000.0)))
    assert after == [at + 1000.0 for at in before]
    assert sorted(instants(FULL)) == sorted(before)


def test_nothing_but_instants_moves():
    assert shifted(shifted(FULL, 1000.0), -1000.0) == FULL


def test_record_without_instants_stays_the_same_object():
    fresh = begin("m1.example", RULES)
    assert shifted(fresh, 1000.0) is fresh
    assert after_reboot(fresh, NOW, 1.0, Install.ONCE) is fresh


def test_host_that_may_still_be_writing_after_a_reboot_is_held():
    after = after_reboot(writing(3600), NOW, 2.0, Install.ONCE)
    assert (after.order, after.doubt.name) == (Order.HOLD, "clock-unclear")
    assert "adopt m1.example" in after.doubt.hint
    assert "reinstall m1.example" in after.doubt.hint


def test_machine_that_is_up_for_as_long_as_a_disk_takes_leaves_no_doubt():
    assert after_reboot(writing(3600), NOW, 9.0, Install.ONCE).doubt is None


def test_clock_that_was_set_back_over_a_reboot_does_not_say_that_a_disk_is_not_written():
    after = after_reboot(writing(-86400), NOW, 2.0, Install.ONCE)
    assert (after.order, after.ready_at) == (Order.HOLD, NOW)
    assert max(instants(after)) == NOW


def test_clock_that_is_set_back_keeps_the_distances_within_a_record():
    record = Installation("m1", reached={Stage.FIRMWARE: NOW + 10, Stage.SCRIPT: NOW + 30})
    after = after_reboot(record, NOW, 1e6, Install.ONCE)
    assert after.reached == {Stage.FIRMWARE: NOW - 20, Stage.SCRIPT: NOW}


def test_state_that_was_moved_to_a_machine_that_runs_for_long_is_not_taken_for_old():
    assert after_reboot(writing(3), NOW, 1e6, Install.ONCE).doubt is not None


def test_window_does_not_close_by_a_clock_that_was_set_forward_over_a_reboot():
    after = after_reboot(writing(365 * 86400), NOW, 20.0, Install.ONCE)
    assert (after.window_opened_at, after.delivered_at) == (NOW - 20, NOW - 20)


@pytest.mark.parametrize("install", [Install.ALWAYS, Install.NEVER])
def test_host_whose_disk_is_not_judged_by_time_is_not_in_doubt(install):
    assert after_reboot(writing(3600), NOW, 2.0, install).doubt is None


@pytest.mark.parametrize(
    "changes",
    [{"is_settled": True}, {"stage": Stage.BOOTED}, {"ready_at": None, "delivered_at": None}],
    ids=["settled", "booted", "not ready"],
)
def test_host_that_does_not_write_is_not_in_doubt(changes):
    assert after_reboot(writing(3600, **changes), NOW, 2.0, Install.ONCE).doubt is None


def doubted(**changes):
    doubt = Condition("may-be-running", "why", NOW - 1000)
    return replace(begin("m1.example", RULES), doubt=doubt, order=Order.HOLD, **changes)


@pytest.mark.parametrize("age", [10.0, 365 * 86400.0, -86400.0])
def test_doubt_lapses_no_earlier_than_if_it_had_begun_at_the_reboot(age):
    after = after_reboot(doubted(asked_at=NOW - age - 1, looked_at=NOW - age), NOW, 20.0, Install.ONCE)
    assert NOW - 20.0 + LAPSE_SECONDS <= after.lapses_at <= NOW + LAPSE_SECONDS


@pytest.mark.parametrize("looked_at", [None, NOW - 3600])
@pytest.mark.parametrize("age", [1.0, 365 * 86400.0, -86400.0])
def test_look_after_a_reboot_is_too_late_for_a_query_before_it(age, looked_at):
    before = doubted(asked_at=NOW - age, looked_at=looked_at if age < 3600 else None)
    after = after_reboot(before, NOW, 1.0, Install.ONCE)
    assert after.lapses_at is None
    event = HostUnanswered("m1.example", "192.0.2.1", "nobody has the address")
    assert advance(after, Stamped(NOW, event), RULES).lapses_at is None


def test_older_doubt_stays():
    doubt = Condition("state-lost", "why", NOW - 5000)
    assert after_reboot(writing(3600, doubt=doubt), NOW, 2.0, Install.ONCE).doubt == doubt


def test_doubt_does_not_end_by_a_clock_that_was_set_forward_over_a_reboot():
    """The node may have asked a moment before, and may be starting."""
    doubt = Condition("may-be-running", "", NOW - 1e7)
    before = replace(begin("m1.example", RULES), doubt=doubt, asked_at=NOW - 1e7, looked_at=NOW - 1e7 + 3)
    after = after_reboot(before, NOW, 2.0, Install.ONCE)
    assert after.lapses_at == NOW - 2.0 + LAPSE_SECONDS
