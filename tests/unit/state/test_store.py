"""The contract of every store, tested with each: add a new store as a parameter of the fixture `store`."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise

import pytest

from appliance.clock import ClockSetting
from appliance.events import RogueDhcp, Stamped
from appliance.state import sqlite
from appliance.state.events import row_of
from appliance.state.fallback import FallbackStore
from appliance.state.sqlite import SqliteStore
from appliance.state.store import KEPT_RECORDS, Change, Conflict, Kept, Saved
from tests.boots import NOW, refuse_writes_of
from tests.state_examples import FULL, offered

HOST = FULL.host


def fallen_back(path):
    store = FallbackStore(path)
    refuse_writes_of(store)
    store.save_strangers([])
    assert store.trouble
    return store


STORES = {
    "memory": lambda _path: SqliteStore.in_memory(),
    "disk": lambda path: SqliteStore.on_disk(path / "state.db"),
    "fallback-on-disk": FallbackStore,
    "fallback-in-memory": fallen_back,
}


@pytest.fixture(params=STORES)
def store(request, quick_path):
    store = STORES[request.param](quick_path)
    yield store
    store.close()


def saved(store, installation, revision=0, rows=()):
    """Save *installation*, which must succeed; return its new revision."""
    outcome = store.save([Change(installation.host, revision, installation)], rows)
    assert isinstance(outcome, Saved)
    return outcome.revision


def at(second, host=HOST, number=1):
    return row_of(offered(host, mac=f"52:54:00:00:00:{second:02x}", at=NOW + second, number=number))


# The clock

SETTING = ClockSetting("boot", 1234.5)


def test_new_store_knows_no_clock(store):
    assert store.clock() is None


def test_last_setting_of_the_clock_is_kept(store):
    for setting in (replace(SETTING, boot="another"), SETTING):
        assert isinstance(store.save([], (), setting), Saved)
    assert store.clock() == SETTING


def test_other_changes_leave_the_clock(store):
    store.save([], (), SETTING)
    saved(store, FULL)
    assert store.clock() == SETTING


def test_clock_is_not_kept_without_the_changes_that_go_with_it(store):
    saved(store, FULL)
    assert isinstance(store.save([Change(HOST, 99, FULL)], (), SETTING), Conflict)
    assert store.clock() is None


# Installations


def test_new_store_has_nothing(store):
    assert (store.load(), store.records(HOST), store.events(), store.strangers()) == ({}, [], [], [])


def test_saved_installation_is_loaded_with_its_revision(store):
    revision = saved(store, FULL)
    assert store.load() == {HOST: Kept(FULL, revision)}


def test_revision_rises_with_each_change(store):
    first = saved(store, FULL)
    assert 0 < first < saved(store, replace(FULL, tries=3), first)


def test_change_from_an_old_revision_is_a_conflict_with_what_is_current(store):
    first = saved(store, FULL)
    current = replace(FULL, tries=3)
    second = saved(store, current, first)
    assert store.save([Change(HOST, first, replace(FULL, tries=4))]) == Conflict(HOST, current, second)


def test_change_that_takes_a_host_for_new_is_a_conflict_when_it_is_not(store):
    revision = saved(store, FULL)
    assert store.save([Change(HOST, 0, replace(FULL, tries=4))]) == Conflict(HOST, FULL, revision)


def test_change_of_a_host_that_the_store_does_not_have_is_a_conflict_with_nothing(store):
    assert store.save([Change(HOST, 7, FULL)]) == Conflict(HOST, None, 0)


def test_conflict_changes_nothing_of_the_whole_batch(store):
    revision = saved(store, FULL)
    other = replace(FULL, host="m2.example")
    changes = [Change(other.host, 0, other), Change(HOST, revision + 1, replace(FULL, tries=9))]
    assert isinstance(store.save(changes, [at(1)]), Conflict)
    assert store.load() == {HOST: Kept(FULL, revision)}
    assert store.events() == []


def test_host_that_lost_a_race_gets_through_from_what_is_current(store):
    first = saved(store, FULL)
    saved(store, replace(FULL, tries=3), first)
    conflict = store.save([Change(HOST, first, replace(FULL, early_returns=5))])
    again = replace(conflict.installation, early_returns=5)
    saved(store, again, conflict.revision)
    assert store.load()[HOST].installation == replace(FULL, tries=3, early_returns=5)


def test_of_many_writers_from_one_revision_a_single_one_gets_through(store):
    revision = saved(store, FULL)
    changes = [Change(HOST, revision, replace(FULL, tries=tries)) for tries in range(50)]
    with ThreadPoolExecutor(4) as threads:
        outcomes = list(threads.map(lambda change: store.save([change]), changes))
    (winner,) = (tries for tries, outcome in enumerate(outcomes) if isinstance(outcome, Saved))
    assert store.load()[HOST].installation.tries == winner


def test_hosts_of_one_batch_get_one_revision(store):
    other = replace(FULL, host="m2.example")
    outcome = store.save([Change(HOST, 0, FULL), Change(other.host, 0, other)])
    assert {kept.revision for kept in store.load().values()} == {outcome.revision}


def test_forgotten_host_is_gone_with_its_records(store):
    revision = saved(store, FULL)
    store.save([Change(HOST, revision, None)])
    assert (store.load(), store.records(HOST)) == ({}, [])


def test_host_that_comes_back_never_repeats_a_revision(store):
    first = saved(store, FULL)
    store.save([Change(HOST, first, None)])
    assert saved(store, FULL) > first


def test_records_of_another_machine_are_dropped_when_a_change_says_so(store):
    revision = saved(store, replace(FULL, number=1))
    store.save([Change(HOST, revision, replace(FULL, number=2), forgets=True)])
    assert [record.number for record in store.records(HOST)] == [2]


def test_latest_installation_is_loaded_and_ten_are_kept(store):
    revision = 0
    for number in range(1, 16):
        revision = saved(store, replace(FULL, number=number), revision)
    assert store.load()[HOST].installation.number == 15
    assert [record.number for record in store.records(HOST)] == list(range(6, 16))
    assert KEPT_RECORDS == 10


async def test_change_is_written_when_its_outcome_says_so(store):
    outcome = store.save([Change(HOST, 0, FULL)])
    async with asyncio.timeout(10):
        await outcome.written
        await outcome.written  # it can be awaited again


# Events


def test_events_are_returned_oldest_first_and_by_host(store):
    for second in range(10):
        store.save([], [at(second, "m1.example" if second % 2 else "m2.example")])
    assert [row.at for row in store.events("m1.example", limit=3)] == [NOW + 5, NOW + 7, NOW + 9]


def test_events_of_one_installation_are_returned_alone(store):
    store.save([], [at(1, number=1), at(2, number=2), at(3, number=2)])
    assert [row.at for row in store.events(HOST, 2)] == [NOW + 2, NOW + 3]


def test_event_comes_back_as_it_was_with_a_rising_id(store):
    store.save([], [at(1), at(2)])
    first, second = store.events()
    assert 0 < first.id < second.id
    assert replace(first, id=0) == at(1)


def test_history_is_bounded(store, monkeypatch):
    monkeypatch.setattr(sqlite, "MAX_EVENTS", 300)
    for index in range(1000):
        store.save([], [row_of(offered(mac=index.to_bytes(6).hex(":"), at=NOW + index))])
    rows = store.events(limit=2000)
    assert 297 <= len(rows) <= 303
    assert rows[-1].at == NOW + 999


def test_host_keeps_its_events_through_a_flood_of_others(store, monkeypatch):
    monkeypatch.setattr(sqlite, "MAX_EVENTS", 300)
    store.save([], [at(second) for second in range(60)])
    for index in range(1000):
        store.save([], [at(index % 250, "m2.example")])
    assert [row.at for row in store.events(HOST)] == [NOW + second for second in range(60)]


def test_events_of_no_host_keep_theirs_through_a_flood_of_another_kind(store, monkeypatch):
    monkeypatch.setattr(sqlite, "MAX_EVENTS", 300)
    rogues = [RogueDhcp("", server, "eth0", "192.0.2.1") for server in ("192.0.2.2", "192.0.2.3")]
    store.save([], [row_of(Stamped(NOW, rogue)) for rogue in rogues])
    for index in range(1000):
        store.save([], [at(index % 250, "", number=0)])
    assert [row.kind for row in store.events(limit=1000)].count(RogueDhcp.kind) == len(rogues)


# Unknown machines, serials, the secret


def test_unknown_machines_are_replaced_and_returned_oldest_first(store):
    store.save_strangers([("a", NOW, {"mac": "a"})])
    store.save_strangers([("c", NOW + 2, {"mac": "c"}), ("b", NOW + 1, {"mac": "b"})])
    assert store.strangers() == [{"mac": "b"}, {"mac": "c"}]


def test_serial_is_the_same_for_the_same_content(store):
    assert store.serial_of("example", "a") == store.serial_of("example", "a")


def test_serial_rises_with_each_change_also_back(store):
    serials = [store.serial_of("example", digest) for digest in "abab"]
    assert [after - before for before, after in pairwise(serials)] == [1, 1, 1]


def test_raised_least_serial_is_taken_over(store):
    store.serial_of("example", "a", 2000091802)
    assert store.serial_of("example", "a", 2100000000) == 2100000000


def test_new_zone_starts_at_the_time(store):
    before = int(time.time())
    assert before <= store.serial_of("example", "a") <= time.time()


def test_serials_may_be_asked_for_in_a_thread(store):
    with ThreadPoolExecutor(4) as threads:
        serials = list(threads.map(lambda index: store.serial_of("example", str(index)), range(100)))
    assert len(set(serials)) == 100


def test_secret_has_256_bits_and_stays(store):
    assert len(store.secret) == 32
    assert store.secret == store.secret


def test_secrets_of_two_stores_differ(store):
    other = SqliteStore.in_memory()
    assert other.secret != store.secret
    other.close()


def test_sync_and_retry_without_trouble_change_nothing(store):
    revision = saved(store, FULL, rows=[at(1)])
    store.sync()
    if store.trouble is None:
        store.retry([FULL])
    assert store.load() == {HOST: Kept(FULL, revision)}
    assert len(store.events()) == 1


# Restarts, for stores on disk


def opened_disk(path):
    return SqliteStore.on_disk(path / "state.db")


@pytest.fixture(params=[opened_disk, FallbackStore])
def opened(request):
    return request.param


def test_shares_of_the_history_are_known_after_a_restart(opened, quick_path, monkeypatch):
    monkeypatch.setattr(sqlite, "MAX_EVENTS", 300)
    first = opened(quick_path)
    first.save([], [at(second) for second in range(100)])
    first.close()
    second = opened(quick_path)
    for index in range(1000):
        second.save([], [at(index % 250, "m2.example")])
    assert len(second.events(HOST)) == 100
    second.close()


def test_all_is_there_after_a_restart(opened, quick_path):
    first = opened(quick_path)
    revision = saved(first, FULL, rows=[at(1)])
    first.save_strangers([("a", NOW, {"mac": "a"})])
    before = first.load(), first.events(), first.strangers(), first.secret
    first.close()
    second = opened(quick_path)
    assert before == (second.load(), second.events(), second.strangers(), second.secret)
    assert saved(second, replace(FULL, tries=3), revision) > revision
    second.close()


def test_serial_outlives_a_restart(opened, quick_path):
    first = opened(quick_path)
    serial = first.serial_of("example", "a", 2000091802)
    first.close()
    second = opened(quick_path)
    assert serial == 2000091802
    assert second.serial_of("example", "b", 2000091802) == serial + 1
    second.close()
