"""Places for connections, shared out fairly."""

from appliance.web.doors import PLACES_OF_A_HOST, Doors


class Caller:
    """A connection that notes when it is closed."""

    def __init__(self) -> None:
        self.has_left = False

    def leave(self) -> None:
        self.has_left = True


def doors(most: int = 8, strangers: int = 4) -> Doors[Caller]:
    return Doors(most, strangers, lambda client: client.startswith("10."))


def enter(at: Doors[Caller], client: str, count: int = 1, *, busy: bool = False) -> list[Caller]:
    callers = [Caller() for _ in range(count)]
    for caller in callers:
        if at.enter(caller, client) and busy:
            at.begin(caller)
    return callers


def test_thousand_connections_of_one_address_get_in() -> None:
    at = doors(4096, 2048)
    assert not any(caller.has_left for caller in enter(at, "192.0.2.1", 2000, busy=True))
    assert (len(at), at.turned_away) == (2000, 0)


def test_strangers_leave_places_for_hosts() -> None:
    at = doors()
    enter(at, "192.0.2.1", 8, busy=True)
    enter(at, "10.0.0.1", 4)
    assert (len(at), at.turned_away) == (8, 4)


def test_greediest_address_loses_its_oldest_idle_connection() -> None:
    at = doors()
    greedy = enter(at, "192.0.2.1", 3)
    other = enter(at, "192.0.2.2")
    enter(at, "192.0.2.3")
    assert [caller.has_left for caller in greedy + other] == [True, False, False, False]


def test_greediest_address_loses_a_busy_connection_if_it_has_no_idle_one() -> None:
    at = doors()
    greedy = enter(at, "192.0.2.1", 4, busy=True)
    enter(at, "192.0.2.2")
    assert [caller.has_left for caller in greedy] == [True, False, False, False]


def test_host_cannot_take_the_places_of_others() -> None:
    at = doors(100, 50)
    enter(at, "10.0.0.1", PLACES_OF_A_HOST + 5, busy=True)
    assert len(at) == PLACES_OF_A_HOST


def test_addresses_of_one_ipv6_network_count_together() -> None:
    at = doors()
    first = enter(at, "2001:db8::1", 2) + enter(at, "2001:db8::2", 2)
    enter(at, "2001:db8:0:1::1")
    assert [caller.has_left for caller in first] == [True, False, False, False]


def test_every_place_comes_back() -> None:
    at = doors()
    for caller in enter(at, "192.0.2.1", 3, busy=True) + enter(at, "10.0.0.1", 2):
        at.exit(caller)
        at.exit(caller)
    assert (len(at), at._addresses, at._places) == (0, {}, {})
