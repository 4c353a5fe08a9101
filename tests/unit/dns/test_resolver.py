"""What the resolver caches, how long it waits, and that no query or answer stops the server."""

import asyncio
import socket
from dataclasses import replace

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
import pytest

import appliance.dns.resolver as resolver_module
import appliance.dns.waiting as waiting_module
from appliance.dns.forward import AnswerCache, CachedAnswer, Question
from appliance.model import Endpoint, ForwardZone, Record
from tests.dns_cases import forwarding_cluster, query, table
from tests.dns_serving import LOOPBACK, Served, serving
from tests.dns_upstream import Upstream, address_of, running


class CacheThatCannotPut(AnswerCache):
    """A cache with a bug that an answer triggers."""

    def put(self, question: Question, kept: CachedAnswer) -> None:
        raise OverflowError


class CacheThatCannotGet(AnswerCache):
    """A cache with a bug that a query triggers."""

    def get(self, question: Question, now: float) -> CachedAnswer | None:
        raise OverflowError


async def test_one_client_too_many_that_waits_gets_a_server_failure_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting_module, "MAX_WAITING", 1)
    was_asked, may_answer = asyncio.Event(), asyncio.Event()

    def slow(query: dns.message.Message) -> dns.message.Message | None:
        was_asked.set()
        return address_of(query) if may_answer.is_set() else None

    async with running(Upstream(slow)) as endpoint, serving(forwarding_cluster(endpoint)) as served:
        first = asyncio.create_task(served.ask(query("quay.io")))
        await was_asked.wait()
        assert (await served.ask(query("registry.redhat.io"))).rcode() == dns.rcode.SERVFAIL
        may_answer.set()
        assert (await first).answer
        assert (await served.ask(query("registry.redhat.io"))).answer


async def test_domain_whose_servers_are_silent_leaves_room_for_others_of_the_same_client() -> None:
    def only_quay(query: dns.message.Message) -> dns.message.Message | None:
        return address_of(query) if query.question[0].name == dns.name.from_text("quay.io") else None

    upstream = Upstream(only_quay)
    async with running(upstream) as endpoint, serving(forwarding_cluster(endpoint)) as served:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect((LOOPBACK, served.port))
            for number in range(540):  # 120 a second, as long as each waits
                client.send(query(f"x{number}.silent.example.net"))
                await asyncio.sleep(0)
            assert (await served.ask(query("quay.io"))).answer


async def test_silent_domain_over_tcp_leaves_room_for_others_of_the_same_client() -> None:
    def only_quay(query: dns.message.Message) -> dns.message.Message | None:
        return address_of(query) if query.question[0].name == dns.name.from_text("quay.io") else None

    async with running(Upstream(only_quay)) as endpoint, serving(forwarding_cluster(endpoint)) as served:
        streams = [await asyncio.open_connection(LOOPBACK, served.port) for _ in range(20)]
        # 300 questions in all, of which one connection may have 16 unanswered.
        for number, (_, writer) in enumerate(streams):
            for wire in [query(f"x{number}-{each}.silent.example.net") for each in range(15)]:
                writer.write(len(wire).to_bytes(2) + wire)
        reader, writer = streams[-1]
        wire = query("quay.io")
        writer.write(len(wire).to_bytes(2) + wire)
        async with asyncio.timeout(10):
            reply = await reply_about("quay.io", reader)
        assert reply.answer
        for _, writer in streams:
            writer.close()


async def reply_about(name: str, reader: asyncio.StreamReader) -> dns.message.Message:
    """Return the reply about *name*; those about other names are passed over."""
    while True:
        reply = dns.message.from_wire(await reader.readexactly(int.from_bytes(await reader.readexactly(2))))
        if reply.question[0].name == dns.name.from_text(name):
            return reply


async def test_burst_does_not_exceed_the_bound_on_waiting_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting_module, "MAX_WAITING", 8)
    async with running(Upstream(lambda query: None)) as endpoint, serving(forwarding_cluster(endpoint)) as served:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect((LOOPBACK, served.port))
            for number in range(40):
                client.send(query(f"x{number}.example.net"))
            await served.ask(query("m1.ocp45.example.localdomain"))
        assert served.server._resolver._waiting._waiting == 8


@pytest.mark.parametrize("cache", [CacheThatCannotPut(), CacheThatCannotGet()])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_mistake_of_ours_is_a_server_failure_and_serving_goes_on(cache: AnswerCache, transport: str) -> None:
    async with running(Upstream(address_of)) as endpoint, serving(forwarding_cluster(endpoint)) as served:
        served.server._resolver._memory_of(served.table).cache = cache
        ask = served.ask if transport == "udp" else served.ask_over_tcp
        assert (await ask(query("quay.io"))).rcode() == dns.rcode.SERVFAIL
        assert (await ask(query("m1.ocp45.example.localdomain"))).answer


async def test_answer_with_a_ttl_of_zero_counts_as_no_stale_one() -> None:
    upstream = Upstream(lambda query: address_of(query, ttl=0))
    async with running(upstream) as endpoint, serving(forwarding_cluster(endpoint)) as served:
        assert (await served.ask(query("quay.io"))).answer[0].ttl == 0
        assert served.server.counts == {("udp", "NOERROR"): 1, ("upstream", "answered"): 1}


async def test_forwarder_that_loses_two_questions_answers_the_third(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver_module, "WAIT_SECONDS", tuple(wait / 20 for wait in resolver_module.WAIT_SECONDS))
    lossy = Upstream(lambda query: address_of(query) if len(lossy.asked) > 2 else None)
    async with running(lossy) as endpoint, serving(forwarding_cluster(endpoint)) as served:
        assert (await served.ask(query("quay.io"))).answer


def test_waits_for_one_forwarder_fill_up_the_time_that_a_client_waits() -> None:
    assert sum(resolver_module.WAIT_SECONDS) == pytest.approx(resolver_module.TOTAL_SECONDS)


LOAD_BALANCER = Record("lb.ocp45.example.localdomain", "CNAME", 60, "www.lb.example.net")


def leading_to_ours_and_out_again(query: dns.message.Message) -> dns.message.Message:
    """Return what servers outside have: a CNAME to LOAD_BALANCER, a CNAME at its target, and the end of that."""
    name = query.question[0].name.to_text().lower()
    targets = {"app.example.net.": f"{LOAD_BALANCER.name}.", "www.lb.example.net.": "lb1.example.net."}
    if name not in targets:
        return address_of(query)
    reply = dns.message.make_response(query, recursion_available=True)
    reply.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", targets[name]))
    if name.startswith("www"):
        reply.answer.append(dns.rrset.from_text(targets[name], 60, "IN", "A", "203.0.113.7"))
    return reply


@pytest.mark.parametrize("edns", [False, True])
async def test_foreign_alias_of_our_alias_to_the_outside_is_followed_to_its_address(edns: bool) -> None:
    upstream = Upstream(leading_to_ours_and_out_again)
    async with running(upstream) as endpoint, serving(forwarding_cluster(endpoint, records=(LOAD_BALANCER,))) as served:
        wire = dns.message.make_query("app.example.net", "A", use_edns=edns).to_wire()
        first, again = await served.ask(wire), await served.ask(wire)
    for reply in (first, again):
        assert [str(rrset[0]).rstrip(".") for rrset in reply.answer] == [
            LOAD_BALANCER.name,
            "www.lb.example.net",
            "lb1.example.net",
            "203.0.113.7",
        ]
        assert not reply.flags & dns.flags.AA
    assert len(upstream.asked) == 2


async def test_our_alias_and_a_foreign_one_that_lead_to_each_other_end() -> None:
    def back(query: dns.message.Message) -> dns.message.Message:
        reply = dns.message.make_response(query, recursion_available=True)
        reply.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "CNAME", f"{LOAD_BALANCER.name}."))
        return reply

    upstream = Upstream(back)
    async with running(upstream) as endpoint, serving(forwarding_cluster(endpoint, records=(LOAD_BALANCER,))) as served:
        reply = await served.ask(query("app.example.net"))
    assert (reply.rcode(), len(upstream.asked)) == (dns.rcode.NOERROR, 2)


async def test_reload_that_keeps_the_forwarders_keeps_their_answers_and_not_the_old_table() -> None:
    upstream = Upstream(address_of)
    async with running(upstream) as endpoint, serving(forwarding_cluster(endpoint)) as served:
        await served.ask(query("quay.io"))
        swap_forwarder(served, endpoint)
        await served.ask(query("quay.io"))
        memory = served.server._resolver._memory
    assert len(upstream.asked) == 1
    assert memory is not None
    assert memory.table is served.table


def swap_forwarder(served: Served, endpoint: Endpoint) -> None:
    """Make *endpoint* the only forwarder of *served*, as a reload does."""
    served.table = table(forwarding_cluster(endpoint))


async def test_new_forwarders_are_asked_what_the_old_ones_have_answered() -> None:
    old, new = Upstream(address_of), Upstream(lambda query: address_of(query, "203.0.113.99"))
    async with running(old) as first, running(new) as second, serving(forwarding_cluster(first)) as served:
        await served.ask(query("quay.io"))
        swap_forwarder(served, second)
        assert str((await served.ask(query("quay.io"))).answer[0][0]) == "203.0.113.99"


async def test_answer_that_old_forwarders_give_late_is_not_kept_with_the_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver_module, "WAIT_SECONDS", (0.05,) * 80)
    was_asked, may_answer = asyncio.Event(), asyncio.Event()

    def late(query: dns.message.Message) -> dns.message.Message | None:
        was_asked.set()
        return address_of(query) if may_answer.is_set() else None

    old, new = Upstream(late), Upstream(lambda query: address_of(query, "203.0.113.99"))
    async with running(old) as first, running(new) as second, serving(forwarding_cluster(first)) as served:
        client = asyncio.create_task(served.ask(query("quay.io")))
        await was_asked.wait()
        swap_forwarder(served, second)
        await served.ask(query("registry.redhat.io"))
        may_answer.set()
        assert str((await client).answer[0][0]) == "203.0.113.7"
        assert str((await served.ask(query("quay.io"))).answer[0][0]) == "203.0.113.99"


async def test_same_forwarders_after_a_reload_are_not_asked_again() -> None:
    upstream = Upstream(address_of)
    async with running(upstream) as endpoint, serving(forwarding_cluster(endpoint)) as served:
        await served.ask(query("quay.io"))
        swap_forwarder(served, endpoint)
        await served.ask(query("quay.io"))
    assert len(upstream.asked) == 1


async def test_name_in_a_zone_with_forwarders_of_its_own_is_asked_of_these() -> None:
    general, company = Upstream(address_of), Upstream(address_of)
    async with running(general) as endpoint, running(company) as other:
        cluster = forwarding_cluster(endpoint)
        settings = replace(cluster.dns, forward=(ForwardZone("corp.example", (other,)),))
        async with serving(replace(cluster, dns=settings)) as served:
            await served.ask(query("ldap.corp.example"))
            await served.ask(query("quay.io"))
    assert [len(upstream.asked) for upstream in (general, company)] == [1, 1]


async def test_private_address_from_a_forwarder_is_dropped_on_demand() -> None:
    async with running(Upstream(lambda asked: address_of(asked, "10.1.2.3"))) as endpoint:
        cluster = forwarding_cluster(endpoint)
        async with serving(replace(cluster, dns=replace(cluster.dns, drop_private_answers=True))) as served:
            reply = await served.ask(query("www.example.net"))
    assert (reply.rcode(), reply.answer) == (dns.rcode.NOERROR, [])
