"""The DNS server and its forwarders on loopback."""

import asyncio
import logging
import socket
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import dns.asyncquery
import dns.flags
import dns.message
import dns.rcode
import pytest

import appliance.dns.connections as connections_module
import appliance.dns.resolver as resolver_module
from appliance.dns.server import DnsServer
from appliance.errors import ListenError
from appliance.events import DnsAsked
from appliance.install.installation import Installation
from appliance.model import Cluster, Endpoint, Record
from tests.clusters import reference_cluster
from tests.dns_cases import forwarding_cluster, query, table
from tests.dns_serving import LOOPBACK, Served, serving
from tests.dns_upstream import Upstream, address_of, running
from tests.serving import free_port


def node_on_loopback() -> Cluster:
    cluster = reference_cluster()
    return replace(cluster, hosts=(replace(cluster.hosts[1], addresses=(IPv4Address(LOOPBACK),)), *cluster.hosts[2:]))


async def test_answers_over_udp() -> None:
    async with serving(reference_cluster()) as served:
        reply = await served.ask(query("m1.ocp45.example.localdomain"))
        assert str(reply.answer[0][0]) == "172.16.0.21"


async def test_the_same_question_gets_the_same_answer_under_its_own_id() -> None:
    async with serving(reference_cluster()) as served:
        wire = query("m1.ocp45.example.localdomain")
        first = await served.ask(b"\0\1" + wire[2:])
        second = await served.ask(b"\0\2" + wire[2:])
        assert (first.id, second.id, first.answer) == (1, 2, second.answer)


async def test_new_tables_are_served_at_once() -> None:
    async with serving(reference_cluster()) as served:
        wire = query("api.ocp45.example.localdomain")
        await served.ask(wire)
        served.table = table(reference_cluster(api_vips=(IPv4Address("172.16.0.9"),)))
        assert str((await served.ask(wire)).answer[0][0]) == "172.16.0.9"


async def test_a_socket_on_all_addresses_answers_from_the_one_that_was_asked() -> None:
    async with serving(reference_cluster(), "0.0.0.0") as served:
        asked = dns.message.from_wire(query("m1.ocp45.example.localdomain"))
        # dnspython only accepts an answer from the address that it asked.
        for name in ("m1", "m1", "m2"):
            asked = dns.message.from_wire(query(f"{name}.ocp45.example.localdomain"))
            reply = await dns.asyncquery.udp(asked, "127.0.0.9", timeout=5, port=served.port)
            assert reply.answer


async def test_known_replies_are_bounded() -> None:
    async with serving(reference_cluster()) as served:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect((LOOPBACK, served.port))
            for number in range(6000):
                client.send(query(f"x{number}.apps.ocp45.example.localdomain"))
                if number % 32 == 0:
                    await asyncio.sleep(0)
            await served.ask(query("m1.ocp45.example.localdomain"))
        assert len(served.server._remembered) <= 4096 + 64


async def send_short_datagram(served: Served) -> None:
    """Send a datagram that gets no reply; return when the server has read it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect((LOOPBACK, served.port))
        client.send(b"short")
        await served.ask(query("m1.ocp45.example.localdomain"))


async def test_silence_is_logged_with_its_reason_and_the_client_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "appliance.dns")
    async with serving(reference_cluster()) as served:
        await send_short_datagram(served)
    assert caplog.messages == [f"dns.silence why=short client={LOOPBACK}"]


async def test_silence_over_tcp_is_logged_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "appliance.dns")
    async with serving(reference_cluster()) as served:
        reader, writer = await open_tcp(served)
        writer.write(b"\0\5short")
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
    assert caplog.messages == [f"dns.silence why=short client={LOOPBACK}"]


async def test_silence_is_not_logged_but_counted_without_verbose(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "appliance.dns")
    async with serving(reference_cluster()) as served:
        await send_short_datagram(served)
        assert served.server.counts["udp", "silence"] == 1
    assert caplog.messages == []


async def test_replies_are_counted_by_transport_and_rcode() -> None:
    async with serving(reference_cluster()) as served:
        await served.ask(query("m1.ocp45.example.localdomain"))
        await served.ask(query("nowhere.example.localdomain"))
        await served.ask_over_tcp(query("quay.io"))
        assert served.server.counts == {("udp", "NOERROR"): 1, ("udp", "NXDOMAIN"): 1, ("tcp", "REFUSED"): 1}


async def test_host_that_asks_for_api_int_is_reported_once_until_something_happens_to_it() -> None:
    """A node that has joined the cluster keeps asking every few seconds."""
    m1, api_int = "m1.ocp45.example.localdomain", "api-int.ocp45.example.localdomain"
    async with serving(node_on_loopback()) as served:
        for number in (1, 2):
            served.installations[m1] = Installation(m1, number)
            for _ in range(3):
                await served.ask(query(api_int))
            assert served.events == [DnsAsked(m1, client=LOOPBACK, name=api_int)] * number


async def test_query_for_api_int_is_reported_with_its_transport() -> None:
    async with serving(node_on_loopback()) as served:
        await served.ask(query("api-int.ocp45.example.localdomain"))
        await served.ask_over_tcp(query("api-int.ocp45.example.localdomain"))
        assert [event.facts()["transport"] for event in served.events] == ["udp", "tcp"]


@pytest.mark.parametrize("address", [LOOPBACK, "0.0.0.0"])
async def test_reply_that_cannot_be_sent_is_counted_once(address: str) -> None:
    """The kernel sends nothing to port 0, which only a forged datagram comes from."""
    async with serving(reference_cluster(), address) as served:
        reply = query("m1.ocp45.example.localdomain")
        served.server._send(served.server._udp[0][1], (LOOPBACK, 0), reply)
        served.server._send_from(served.server._udp[0][1], [], (LOOPBACK, 0), reply)
        assert served.server.counts == {("udp", "unsent"): 2}


async def test_client_with_many_connections_closes_only_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections_module, "MAX_CONNECTIONS_PER_CLIENT", 2)
    async with serving(reference_cluster(), "0.0.0.0") as served:
        other = await asyncio.open_connection(LOOPBACK, served.port, local_addr=("127.0.0.9", 0))
        own = [await open_tcp(served) for _ in range(3)]
        assert await asyncio.wait_for(own[0][0].read(), 5) == b""
        wire = query("m1.ocp45.example.localdomain")
        for reader, writer in (other, own[1], own[2]):
            writer.write(len(wire).to_bytes(2) + wire)
            assert await asyncio.wait_for(reader.readexactly(2), 5)
        for _, writer in (other, *own):
            writer.close()


async def test_a_taken_port_is_an_error_that_names_the_setting() -> None:
    async with serving(reference_cluster()) as served:
        listen = replace(reference_cluster().listen, dns=(Endpoint(IPv4Address(LOOPBACK), served.port),))
        with pytest.raises(ListenError, match=r"listen\.dns"):
            DnsServer(table, {}, listen, print)


# TCP


async def open_tcp(served: Served) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(LOOPBACK, served.port)


async def read_reply(reader: asyncio.StreamReader) -> dns.message.Message:
    return dns.message.from_wire(await reader.readexactly(int.from_bytes(await reader.readexactly(2))))


async def test_several_questions_on_one_connection_are_answered() -> None:
    async with serving(reference_cluster()) as served:
        reader, writer = await open_tcp(served)
        wires = [query(f"{name}.ocp45.example.localdomain") for name in ("m1", "m2", "m3")]
        writer.write(b"".join(len(wire).to_bytes(2) + wire for wire in wires))
        found = {str((await read_reply(reader)).answer[0][0]) for _ in wires}
        assert found == {"172.16.0.21", "172.16.0.22", "172.16.0.23"}
        writer.close()


async def test_question_that_comes_byte_by_byte_is_answered() -> None:
    async with serving(reference_cluster()) as served:
        reader, writer = await open_tcp(served)
        wire = query("m1.ocp45.example.localdomain")
        for byte in len(wire).to_bytes(2) + wire:
            writer.write(bytes([byte]))
            await asyncio.sleep(0)
        assert (await read_reply(reader)).answer
        writer.close()


async def test_zone_transfer_is_refused() -> None:
    async with serving(reference_cluster()) as served:
        reader, writer = await open_tcp(served)
        wire = query("example.localdomain", "AXFR")
        writer.write(len(wire).to_bytes(2) + wire)
        assert (await read_reply(reader)).rcode() == dns.rcode.REFUSED
        writer.close()


async def test_idle_connection_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections_module, "IDLE_SECONDS", 0.05)
    async with serving(reference_cluster()) as served:
        reader, writer = await open_tcp(served)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_client_that_does_not_read_loses_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections_module, "IDLE_SECONDS", 0.05)
    cluster = reference_cluster()
    long = Record("long.example.localdomain", "TXT", 60, " ".join([f'"{"x" * 255}"'] * 32))
    loop = asyncio.get_running_loop()
    async with serving(replace(cluster, dns=replace(cluster.dns, records=(long,)))) as served:
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            await loop.sock_connect(client, (LOOPBACK, served.port))
            wire = query("long.example.localdomain", "TXT")

            async def ask_for_ever() -> None:
                while True:
                    await loop.sock_sendall(client, (len(wire).to_bytes(2) + wire) * 64)

            with pytest.raises(ConnectionError):
                await asyncio.wait_for(ask_for_ever(), 5)


async def test_client_that_sends_no_more_still_gets_all_its_answers() -> None:
    async with serving(reference_cluster()) as served:
        reader, writer = await open_tcp(served)
        wire = query("m1.ocp45.example.localdomain")
        writer.write((len(wire).to_bytes(2) + wire) * 500)
        writer.write_eof()
        answers = [await read_reply(reader) for _ in range(500)]
        assert (len(answers), await reader.read()) == (500, b"")
        writer.close()


async def test_one_connection_too_many_closes_the_quietest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections_module, "MAX_CONNECTIONS", 2)
    async with serving(reference_cluster()) as served:
        wire = query("m1.ocp45.example.localdomain")
        framed = len(wire).to_bytes(2) + wire
        opened = []
        for _ in range(2):
            reader, writer = await open_tcp(served)
            writer.write(framed)
            await read_reply(reader)
            opened.append((reader, writer))
        opened[0][1].write(framed)
        await read_reply(opened[0][0])
        reader, writer = await open_tcp(served)
        writer.write(framed)
        await read_reply(reader)
        assert await asyncio.wait_for(opened[1][0].read(), 5) == b""
        opened[0][1].write(framed)
        assert (await read_reply(opened[0][0])).answer
        for _, each in (*opened, (reader, writer)):
            each.close()


# Forwarding


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the timeouts, for tests in which no forwarder answers."""
    give_up_soon(monkeypatch)


def give_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver_module, "WAIT_SECONDS", (0.1, 0.1))
    monkeypatch.setattr(resolver_module, "STALE_WAIT_SECONDS", 0.05)


async def test_other_names_are_asked_of_the_forwarder_and_kept() -> None:
    upstream = Upstream(address_of)
    async with running(upstream) as endpoint, serving(forwarding_cluster(endpoint)) as served:
        for _ in range(3):
            reply = await served.ask(query("quay.io"))
            assert str(reply.answer[0][0]) == "203.0.113.7"
        assert len(upstream.asked) == 1


async def test_each_question_has_a_port_an_id_and_a_case_of_its_own() -> None:
    upstream = Upstream(address_of)
    async with running(upstream) as endpoint, serving(forwarding_cluster(endpoint)) as served:
        for number in range(16):
            await served.ask(query(f"registry-{number}.access.redhat.com"))
    assert len(set(upstream.ports)) > 8
    assert len({query.id for query in upstream.asked}) > 8
    assert len({str(query.question[0].name)[-18:] for query in upstream.asked}) > 8


async def test_equal_questions_at_once_are_asked_once() -> None:
    upstream = Upstream(address_of)
    async with running(upstream) as endpoint, serving(forwarding_cluster(endpoint)) as served:
        await asyncio.gather(*(served.ask(query(name)) for name in ("quay.io", "QUAY.io", "quay.IO") * 10))
    assert len(upstream.asked) == 1


async def test_a_dead_forwarder_is_passed_over() -> None:
    dead, alive = Upstream(lambda _query: None), Upstream(address_of)
    async with running(dead) as first, running(alive) as second, serving(forwarding_cluster(first, second)) as served:
        assert (await served.ask(query("quay.io"))).answer
        await served.ask(query("registry.redhat.io"))
    assert len(dead.asked) == 1


async def test_a_forwarder_that_fails_is_passed_over() -> None:
    def failing(query: dns.message.Message) -> dns.message.Message:
        reply = dns.message.make_response(query)
        reply.set_rcode(dns.rcode.SERVFAIL)
        return reply

    async with (
        running(Upstream(failing)) as first,
        running(Upstream(address_of)) as second,
        serving(forwarding_cluster(first, second)) as served,
    ):
        assert (await served.ask(query("quay.io"))).answer


async def test_all_forwarders_dead_is_a_server_failure(impatient: None) -> None:
    async with running(Upstream(lambda _query: None)) as endpoint, serving(forwarding_cluster(endpoint)) as served:
        assert (await served.ask(query("quay.io"))).rcode() == dns.rcode.SERVFAIL


async def test_a_failure_is_not_asked_for_again_at_once(impatient: None) -> None:
    upstream = Upstream(lambda _query: None)
    async with running(upstream) as endpoint, serving(forwarding_cluster(endpoint)) as served:
        await served.ask(query("quay.io"))
        asked = len(upstream.asked)
        assert (await served.ask(query("quay.io"))).rcode() == dns.rcode.SERVFAIL
    assert len(upstream.asked) == asked


async def test_a_closed_port_upstream_is_a_server_failure() -> None:
    async with serving(forwarding_cluster(Endpoint(IPv4Address(LOOPBACK), free_port()))) as served:
        assert (await served.ask(query("quay.io"))).rcode() == dns.rcode.SERVFAIL


async def test_stale_answer_is_served_while_forwarders_are_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    upstream = Upstream(lambda query: address_of(query, ttl=1))
    async with running(upstream) as endpoint, serving(forwarding_cluster(endpoint)) as served:
        await served.ask(query("quay.io"))
        upstream.answering = lambda _query: None
        give_up_soon(monkeypatch)
        kept = served.server._resolver._memory.cache._kept
        for question, answer in kept.items():
            kept[question] = replace(answer, kept_at=answer.kept_at - 60, fresh_until=answer.fresh_until - 60)
        reply = await served.ask(query("quay.io"))
        assert (reply.answer[0].ttl, str(reply.answer[0][0])) == (30, "203.0.113.7")


async def test_truncated_answer_is_asked_for_over_tcp() -> None:
    def truncated(query: dns.message.Message) -> dns.message.Message:
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.TC
        return reply

    upstream = Upstream(truncated, address_of)
    async with running(upstream) as endpoint, serving(forwarding_cluster(endpoint)) as served:
        assert (await served.ask(query("quay.io"))).answer
    assert upstream.asked_over_tcp == 1


async def test_forged_answer_in_another_case_is_not_believed() -> None:
    def forged(query: dns.message.Message) -> dns.message.Message:
        reply = address_of(query, "198.51.100.66")
        reply.question[0].name = type(query.question[0].name)(
            label.swapcase() for label in query.question[0].name.labels
        )
        return reply

    upstream = Upstream(forged, address_of)
    async with running(upstream) as endpoint, serving(forwarding_cluster(endpoint)) as served:
        assert str((await served.ask(query("quay.io"))).answer[0][0]) == "203.0.113.7"


async def test_forwarder_without_edns_is_asked_without() -> None:
    def old(query: dns.message.Message) -> dns.message.Message:
        if query.edns < 0:
            return address_of(query)
        reply = dns.message.make_response(query)
        reply.use_edns(-1)
        reply.set_rcode(dns.rcode.FORMERR)
        return reply

    async with running(Upstream(old)) as endpoint, serving(forwarding_cluster(endpoint)) as served:
        assert (await served.ask(query("quay.io"))).answer


async def test_alias_to_the_outside_comes_with_its_address() -> None:
    records = (Record("out.example.localdomain", "CNAME", 60, "www.example.net"),)
    async with (
        running(Upstream(address_of)) as endpoint,
        serving(forwarding_cluster(endpoint, records=records)) as served,
    ):
        reply = await served.ask(query("out.example.localdomain"))
        assert [rrset.to_text().lower() for rrset in reply.answer] == [
            "out.example.localdomain. 60 in cname www.example.net.",
            "www.example.net. 300 in a 203.0.113.7",
        ]


async def test_forwarding_works_over_tcp_too() -> None:
    async with running(Upstream(address_of)) as endpoint, serving(forwarding_cluster(endpoint)) as served:
        assert (await served.ask_over_tcp(query("quay.io"))).answer


async def test_a_slow_forwarder_does_not_hold_up_other_questions_of_a_connection() -> None:
    async with running(Upstream(lambda _query: None)) as endpoint, serving(forwarding_cluster(endpoint)) as served:
        reader, writer = await open_tcp(served)
        for name in ("quay.io", "m1.ocp45.example.localdomain"):
            wire = query(name)
            writer.write(len(wire).to_bytes(2) + wire)
        assert str((await read_reply(reader)).answer[0][0]) == "172.16.0.21"
        writer.close()


async def test_strangers_are_refused() -> None:
    upstream = Upstream(address_of)
    async with running(upstream) as endpoint:
        cluster = forwarding_cluster(endpoint)
        closed = replace(cluster, dns=replace(cluster.dns, allow_recursion=(IPv4Network("192.0.2.0/24"),)))
        async with serving(closed) as served:
            assert (await served.ask(query("quay.io"))).rcode() == dns.rcode.REFUSED
    assert not upstream.asked
