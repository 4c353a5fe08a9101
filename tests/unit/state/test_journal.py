"""The journal: what it writes at once, what it writes a second later, and how it handles other writers."""

from dataclasses import replace

import pytest

from appliance.state import journal as journals
from appliance.state.journal import BUFFERED_EVENTS, Journal
from appliance.state.sqlite import SqliteStore
from appliance.state.store import Change, Conflict, Saved
from tests.boots import NOW
from tests.state_examples import FULL, offered

HOST = FULL.host


@pytest.fixture
def kept():
    journal = Journal(SqliteStore.in_memory())
    yield journal
    journal.close()


def stored(journal):
    return {host: kept.installation for host, kept in journal.store.load().items()}


def changed_by_another(journal, installation):
    """Save *installation* like another appliance that uses the same store."""
    kept = journal.store.load().get(installation.host)
    outcome = journal.store.save([Change(installation.host, kept.revision if kept else 0, installation)])
    assert isinstance(outcome, Saved)


def test_change_and_its_event_are_stored_when_save_returns(kept):
    kept.save(FULL, offered())
    assert stored(kept) == {HOST: FULL}
    assert [(row.kind, row.number) for row in kept.store.events()] == [("dhcp.offer", FULL.number)]


def test_event_that_repeats_before_it_is_written_is_counted(kept):
    for second in range(5):
        kept.note(offered(at=NOW + second), 1)
    (row,) = kept.events()
    assert (row.times, row.at, row.last_at) == (5, NOW, NOW + 4)


def test_event_that_changes_something_after_it_was_repeated_is_counted_too(kept):
    kept.note(offered(at=NOW), FULL.number)
    kept.save(FULL, offered(at=NOW + 1))
    (row,) = kept.store.events()
    assert (row.times, row.at, row.last_at) == (2, NOW, NOW + 1)


def test_same_event_of_two_installations_is_kept_twice(kept):
    kept.note(offered(), 1)
    kept.note(offered(), 2)
    assert [row.number for row in kept.events()] == [1, 2]


def test_count_is_written_by_a_flush_and_with_the_next_change(kept):
    kept.note(offered(), 3, replace(FULL, repeats={"script": 9}))
    assert stored(kept) == {}
    kept.flush()
    assert stored(kept)[HOST].repeats == {"script": 9}
    kept.note(offered(), 3, replace(FULL, repeats={"script": 10}))
    other = replace(FULL, host="m2.example")
    kept.save(other)
    assert stored(kept) == {HOST: replace(FULL, repeats={"script": 10}), "m2.example": other}


def test_buffer_is_bounded(kept):
    for index in range(BUFFERED_EVENTS):
        kept.note(offered(mac=index.to_bytes(6).hex(":")), 0)
    assert len(kept.store.events(limit=10_000)) == BUFFERED_EVENTS


def test_changes_in_a_row_are_no_conflict(kept):
    for number in range(1, 4):
        assert isinstance(kept.save(replace(FULL, number=number)), Saved)
    assert [record.number for record in kept.records(HOST)] == [1, 2, 3]


def test_loaded_installation_can_be_changed(kept):
    changed_by_another(kept, FULL)
    assert kept.load() == {HOST: FULL}
    assert isinstance(kept.save(replace(FULL, tries=5)), Saved)


def test_conflict_stores_neither_installation_nor_event(kept):
    kept.save(FULL)
    changed_by_another(kept, replace(FULL, tries=7))
    outcome = kept.save(replace(FULL, tries=3), offered())
    assert isinstance(outcome, Conflict)
    assert outcome.installation == replace(FULL, tries=7)
    assert (stored(kept), kept.events()) == ({HOST: replace(FULL, tries=7)}, [])


def test_conflict_leaves_the_count_of_a_buffered_event(kept):
    kept.save(FULL)
    changed_by_another(kept, replace(FULL, tries=7))
    kept.note(offered(), FULL.number)
    kept.save(replace(FULL, tries=3), offered())
    assert [row.times for row in kept.events()] == [1]


def test_change_after_a_conflict_gets_through(kept):
    kept.save(FULL)
    changed_by_another(kept, replace(FULL, tries=7))
    current = kept.save(replace(FULL, tries=3)).installation
    assert isinstance(kept.save(replace(current, early_returns=4)), Saved)
    assert stored(kept)[HOST] == replace(FULL, tries=7, early_returns=4)


def test_counts_of_a_host_that_another_changed_give_way_and_stop_nobody(kept):
    kept.save(FULL)
    changed_by_another(kept, replace(FULL, tries=7))
    kept.note(offered(), FULL.number, replace(FULL, repeats={"script": 9}))
    other = replace(FULL, host="m2.example")
    assert isinstance(kept.save(other), Saved)
    assert stored(kept) == {HOST: replace(FULL, tries=7), "m2.example": other}
    assert isinstance(kept.save(replace(FULL, tries=3)), Conflict)  # this tells the registry


def test_move_forgets_old_names_and_stores_new_ones(kept):
    kept.save(FULL)
    kept.move([HOST], [replace(FULL, host="m9.example")])
    assert list(stored(kept)) == ["m9.example"]


def test_names_that_are_exchanged_keep_no_record_of_the_other_machine(kept):
    m1, m2 = replace(FULL, host="m1.example", mac="a"), replace(FULL, host="m2.example", mac="b")
    kept.save(m1)
    kept.save(m2)
    kept.move(["m1.example", "m2.example"], [replace(m2, host="m1.example", number=4), replace(m1, host="m2.example")])
    assert [(record.number, record.mac) for record in kept.records("m1.example")] == [(4, "b")]
    assert [record.mac for record in kept.records("m2.example")] == ["a"]


def test_move_in_conflict_moves_nobody(kept):
    kept.save(FULL)
    changed_by_another(kept, replace(FULL, tries=7))
    assert isinstance(kept.move([HOST], [replace(FULL, host="m9.example")]), Conflict)
    assert stored(kept) == {HOST: replace(FULL, tries=7)}


async def test_written_returns_for_a_saved_host_and_for_one_that_never_was(kept):
    kept.save(FULL)
    await kept.written(HOST)
    await kept.written("m9.example")


@pytest.mark.parametrize("limit", [0, 1, 7, 25, 100])
def test_pages_are_the_last_events_in_their_order(kept, monkeypatch, limit):
    monkeypatch.setattr(journals, "PAGE_EVENTS", 10)
    for second in range(25):
        kept.note(offered(HOST, at=NOW + second, mac=f"52:54:00:00:00:{second:02x}"), 1)
    rows = [row for page in kept.pages(HOST, limit) for row in page]
    assert rows == (kept.events(HOST, limit=limit) if limit else [])


def test_pages_end_with_what_was_there_when_they_began(kept, monkeypatch):
    monkeypatch.setattr(journals, "PAGE_EVENTS", 1)
    for second in range(3):
        kept.note(offered(HOST, at=NOW + second, mac=f"52:54:00:00:00:{second:02x}"), 1)
    count = 0
    for _ in kept.pages("", 100):
        count += 1
        kept.note(offered(HOST, at=NOW + 9, mac=f"52:54:00:00:01:{count:02x}"), 1)
        kept.flush()
    assert count == 3
