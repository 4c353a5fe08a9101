"""A repeated query gets the same reply as if it were answered anew."""

from appliance.dns.answers import MAX_KNOWN_BYTES, new_tail
from appliance.dns.protocol import own_answer
from tests.dns_cases import forwarding_cluster, query, table

TABLE = table()
WIRE = query("m1.ocp45.example.localdomain")


def test_reply_is_kept_without_ids() -> None:
    known: dict[bytes, bytes] = {}
    tail = new_tail(known, TABLE, b"\0\7" + WIRE[2:])
    assert known == {WIRE[2:]: tail}
    assert b"\0\7" + known[WIRE[2:]] == own_answer(TABLE, b"\0\7" + WIRE[2:])


def test_query_that_depends_on_the_client_is_not_kept() -> None:
    known: dict[bytes, bytes] = {}
    assert new_tail(known, TABLE, query("api-int.ocp45.example.localdomain")) is None
    assert new_tail(known, table(forwarding_cluster()), query("quay.io")) is None
    assert not known


def test_query_padded_beyond_use_is_answered_and_not_kept() -> None:
    known: dict[bytes, bytes] = {}
    padded = WIRE + bytes(MAX_KNOWN_BYTES)
    assert new_tail(known, TABLE, padded) is not None
    assert not known
