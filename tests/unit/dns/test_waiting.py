"""Who may wait for forwarders."""

import pytest

from appliance.dns.message import wire_name
from appliance.dns.waiting import (
    FEW,
    MAX_UNDER_WAY,
    MAX_UNDER_WAY_PER_CLIENT,
    MAX_UNDER_WAY_PER_DOMAIN,
    MAX_WAITING_PER_CLIENT,
    RESERVED,
    Waiting,
    domain_of,
)


def begun(waiting: Waiting, client: str, questions: int) -> int:
    """Return how many of *questions* about different domains of *client* are taken."""
    return sum(waiting.begin(client, wire_name(f"{client}{number}.example")) for number in range(questions))


def test_client_cannot_have_more_questions_under_way_than_its_share() -> None:
    assert begun(Waiting(), "a", 1000) == MAX_UNDER_WAY_PER_CLIENT


def test_domain_cannot_have_more_questions_under_way_than_its_share() -> None:
    waiting = Waiting()
    taken = [waiting.begin(f"c{number}", wire_name(f"x{number}.silent.example")) for number in range(100)]
    assert sum(taken) == MAX_UNDER_WAY_PER_DOMAIN


def test_clients_that_ask_much_leave_places_to_those_that_ask_little() -> None:
    waiting = Waiting()
    taken = [begun(waiting, client, 1000) for client in "abcdef"]
    assert sum(taken[:4]) == MAX_UNDER_WAY - RESERVED + FEW
    assert waiting.begin("quiet", wire_name("quay.io"))


def test_client_cannot_wait_more_often_than_its_share() -> None:
    waiting = Waiting()
    assert sum(waiting.enter("a") for _ in range(5000)) == MAX_WAITING_PER_CLIENT
    assert waiting.enter("b")


def test_nothing_is_kept_of_clients_that_have_left() -> None:
    waiting = Waiting()
    for number in range(1000):
        client, name = f"c{number}", wire_name(f"d{number}.example")
        waiting.enter(client)
        waiting.begin(client, name)
        waiting.end(client, name)
        waiting.leave(client)
    assert [*waiting._clients, *waiting._askers, *waiting._domains] == []


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("cdn01.quay.io", "quay.io"),
        ("localhost", "localhost"),
        ("4.3.2.10.in-addr.arpa", "2.10.in-addr.arpa"),
        ("arpa", "arpa"),
    ],
)
def test_domain_is_the_last_two_labels_or_four_of_a_reverse_name(name: str, domain: str) -> None:
    assert domain_of(wire_name(name)) == wire_name(domain)
