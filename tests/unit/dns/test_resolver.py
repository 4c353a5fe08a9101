"""What the resolver remembers, how long it waits, and that no question ends the server."""

import dns.rcode
import pytest

from appliance.dns.forward import AnswerCache, Kept, Question
from tests.dns_cases import forwarding_cluster, query
from tests.dns_serving import serving
from tests.dns_upstream import Upstream, address_of, running


class CacheThatCannotPut(AnswerCache):
    """A cache with a mistake, met where an answer comes in."""

    def put(self, question: Question, kept: Kept) -> None:
        raise OverflowError


class CacheThatCannotGet(AnswerCache):
    """A cache with a mistake, met where a question comes in."""

    def get(self, question: Question, now: float) -> Kept | None:
        raise OverflowError


@pytest.mark.parametrize("cache", [CacheThatCannotPut(), CacheThatCannotGet()])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_mistake_of_ours_is_a_server_failure_and_serving_goes_on(cache: AnswerCache, transport: str) -> None:
    async with running(Upstream(address_of)) as endpoint, serving(forwarding_cluster(endpoint)) as served:
        served.server._resolver._cache = cache
        ask = served.ask if transport == "udp" else served.ask_over_tcp
        assert (await ask(query("quay.io"))).rcode() == dns.rcode.SERVFAIL
        assert (await ask(query("m1.ocp45.example.localdomain"))).answer


async def test_answer_with_a_ttl_of_zero_counts_as_no_stale_one() -> None:
    upstream = Upstream(lambda query: address_of(query, ttl=0))
    async with running(upstream) as endpoint, serving(forwarding_cluster(endpoint)) as served:
        assert (await served.ask(query("quay.io"))).answer[0].ttl == 0
        assert served.server.counts == {("udp", "NOERROR"): 1, ("upstream", "answered"): 1}
