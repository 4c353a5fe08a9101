"""The registry when the wall clock of its machine is set: what it keeps moves along, and nothing is decided by it."""

import asyncio
import time
from dataclasses import fields, replace

import pytest

from appliance.clock import Clock
from appliance.events import BalancerReached, ClockSet, ConditionRaised, DhcpUnknown, Program, WebKind, WebRefused
from appliance.install.activity import Activity
from appliance.install.installation import Order
from appliance.registry import Registry
from appliance.state.journal import Journal
from appliance.state.sqlite import SqliteStore
from appliance.state.store import Change
from tests.boots import LIVE, Boot, refuse_writes
from tests.machine_clock import MachineClock, SettableAppliance

YEAR = 365 * 86400.0
M1 = Boot(LIVE.hosts[1])
STEPS = pytest.mark.parametrize("step", [YEAR, -YEAR])


@pytest.fixture
def appliance(quick_path):
    appliance = SettableAppliance(quick_path)
    yield appliance
    appliance.journal.close()


@STEPS
def test_clock_that_is_set_is_told_once(appliance, step):
    appliance.machine.set(step)
    appliance.tick()
    appliance.tick()
    assert [event.seconds for event in appliance.told if isinstance(event, ClockSet)] == [step]


@STEPS
def test_all_that_is_kept_moves_along(appliance, step):
    appliance.happen([*M1.live(), M1.started(WebKind.ROOTFS, 900)])
    for port in (22623, 6443):
        appliance.happen([BalancerReached(M1.host, M1.address, f"front-{port}", port, "m1")])
    appliance.happen([DhcpUnknown("", "52:54:00:00:00:99", Program.PXE)])
    appliance.happen([WebRefused(M1.host, M1.address, "/x", WebKind.OTHER, 404, "why")])
    registry, now = appliance.registry, appliance.machine.wall
    appliance.machine.set(step)
    appliance.tick()
    (stranger,), ((refused_at, _),) = registry.strangers.latest(), registry.refusals
    activity = registry.activity[M1.host]
    floats = {field.name for field in fields(Activity) if field.type is float}
    assert {"seen_at", "installing_at", "asked_config_at", "asked_api_at", "began_at", "moved_at"} == floats
    assert {getattr(activity, name) for name in floats} == {now + step}
    assert {stranger.first_at, stranger.last_at, refused_at} == {now + step}
    assert set(appliance[M1].reached.values()) == {now + step}


@STEPS
def test_no_host_falls_silent_by_it(appliance, step):
    appliance.happen(M1.to_script())
    appliance.machine.set(step)
    appliance.tick()
    assert not [event for event in appliance.told if isinstance(event, ConditionRaised)]


@STEPS
@pytest.mark.parametrize("is_running", [True, False])
def test_it_makes_no_difference_whether_the_appliance_ran(appliance, step, is_running):
    appliance.happen(M1.live())
    if is_running:
        appliance.machine.set(step)
        appliance.tick()
    appliance.journal.close()
    if not is_running:
        appliance.machine.set(step)
    appliance.start()
    assert appliance[M1].ready_at == appliance.machine.wall
    assert appliance[M1].order is Order.INSTALL


def test_host_that_is_in_no_cluster_for_now_moves_too(appliance):
    appliance.happen(M1.live())
    appliance.registry.update([replace(LIVE, hosts=LIVE.hosts[2:])])
    appliance.machine.set(YEAR)
    appliance.tick()
    appliance.registry.update([LIVE])
    assert appliance[M1].ready_at == appliance.machine.wall


def test_host_that_was_writing_at_a_reboot_is_held_until_its_time_has_passed(appliance):
    appliance.happen(M1.live())
    appliance.journal.close()
    appliance.machine.reboot(down=3600, up=5)
    appliance.start()
    orders = [appliance[M1].order]
    appliance.machine.wait(4)
    appliance.tick()
    orders.append(appliance[M1].order)
    assert orders == [Order.HOLD, Order.LOCAL]


def test_doubt_of_a_reboot_is_told(appliance):
    appliance.happen(M1.live())
    appliance.journal.close()
    appliance.machine.reboot()
    appliance.start()
    appliance.tick()
    assert "clock-unclear" in {event.name for event in appliance.told if isinstance(event, ConditionRaised)}


def test_step_that_is_followed_while_the_disk_refuses_is_whole_when_it_works_again(appliance):
    appliance.happen(M1.live())
    refuse_writes(appliance.journal)
    appliance.machine.set(-YEAR)
    appliance.tick()
    assert appliance.journal.trouble
    appliance.journal.retry(appliance.registry.installations.values())
    appliance.journal.close()
    appliance.start()
    assert appliance[M1].ready_at == appliance.machine.wall


def test_step_that_is_lost_with_the_memory_is_found_again(appliance, quick_path):
    appliance.happen(M1.live())
    refuse_writes(appliance.journal)
    appliance.machine.set(-YEAR)
    appliance.tick()
    appliance.journal.close()  # without having been written
    appliance.start()
    assert appliance[M1].ready_at == appliance.machine.wall


def test_record_that_another_writer_changed_is_kept_as_that_one_left_it():
    machine, store = MachineClock(), SqliteStore.in_memory()
    clock = machine.clock()
    registry = Registry(Journal(store), [LIVE], lambda _: None, clock)
    registry.order(registry.hosts[M1.host], "hold")
    kept = store.load().get(M1.host)
    revision = kept.revision if kept else 0
    theirs = replace(registry.installations[M1.host], ready_at=5.0)
    registry._known[M1.host] = registry.installations[M1.host] = replace(theirs, ready_at=4.0)
    store.save([Change(M1.host, revision, theirs)])
    machine.set(YEAR)
    registry.follow_clock()
    assert registry.installations[M1.host] == theirs
    store.close()


async def test_clock_that_is_set_back_does_not_stop_what_runs_every_few_seconds(quick_path, monkeypatch):
    monkeypatch.setattr("appliance.registry.TICK_SECONDS", 0.01)
    monkeypatch.setattr("appliance.registry.RETRY_SECONDS", 0.01)
    behind = 0.0
    appliance = SettableAppliance(quick_path)
    registry = Registry(appliance.journal, [LIVE], appliance.told.append, Clock(lambda: time.time() - behind))
    running = asyncio.create_task(registry.run())
    async with asyncio.timeout(10):
        # The time of the next try is set in the first of two troubles, and passes in the second.
        for _ in range(2):
            refuse_writes(appliance.journal)
            appliance.journal.store.save_strangers([])
            while appliance.journal.trouble:
                await asyncio.sleep(0.01)
            behind = YEAR
            while behind and not any(isinstance(event, ClockSet) for event in appliance.told):
                await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    appliance.journal.close()
