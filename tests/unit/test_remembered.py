"""Replies remembered by request: only for the present table, and within a limit."""

from appliance.remembered import Remembered


def test_what_was_added_is_there_the_next_time() -> None:
    remembered: Remembered[bytes, bytes] = Remembered(10)
    remembered.of("table")[b"query"] = b"reply"
    assert remembered.of("table")[b"query"] == b"reply"


def test_a_new_table_begins_an_empty_memory() -> None:
    remembered: Remembered[bytes, bytes] = Remembered(10)
    old, new = [1], [1]  # equal but not identical, like the tables before and after a reload without changes
    remembered.of(old)[b"query"] = b"reply"
    assert not remembered.of(new)


def test_replies_are_never_more_than_the_bound_where_each_is_added_by_itself() -> None:
    remembered: Remembered[int, int] = Remembered(10)
    for number in range(100):
        remembered.of("table")[number] = number
        assert len(remembered) <= 10
