"""Time servers by name: their addresses for DHCP option 42, from real forwarders on loopback."""

import asyncio
from dataclasses import replace
from ipaddress import IPv4Address

import dns.message
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import pytest

from appliance import time_servers
from appliance.model import Cluster, DhcpMode, Endpoint, ForwardZone
from tests.clusters import reference_cluster
from tests.dns_upstream import Upstream, address_of, running

NAME = "0.pool.ntp.example"


def named(*forwarders: Endpoint, forward: tuple[ForwardZone, ...] = ()) -> Cluster:
    """Return a cluster whose network has one time server by its address and one by its name."""
    cluster = reference_cluster()
    (network,) = cluster.networks
    network = replace(network, ntp_servers=(IPv4Address("172.16.0.9"),), ntp_names=(NAME,))
    dns_settings = replace(cluster.dns, forwarders=forwarders, forward=forward)
    return replace(cluster, networks=(network,), dns=dns_settings)


async def told(cluster: Cluster) -> tuple[list[str], tuple[str, ...]]:
    """Return the time servers of *cluster* once they are looked up, and the names that have no address."""
    (found,), missing = await asyncio.to_thread(time_servers.resolved, [cluster])
    return [str(server) for server in found.networks[0].ntp_servers], missing


def several(query: dns.message.Message) -> dns.message.Message:
    """Return an answer with an alias and six addresses."""
    reply = dns.message.make_response(query)
    reply.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "CNAME", "clock.example."))
    reply.answer.append(dns.rrset.from_text("clock.example.", 60, "IN", "A", *(f"203.0.113.{n}" for n in range(1, 7))))
    return reply


def refused(query: dns.message.Message) -> dns.message.Message:
    """Return a refusal."""
    reply = dns.message.make_response(query)
    reply.set_rcode(dns.rcode.REFUSED)
    return reply


async def test_name_is_told_by_its_address_after_those_that_are_written() -> None:
    async with running(Upstream(address_of)) as forwarder:
        assert await told(named(forwarder)) == (["172.16.0.9", "203.0.113.7"], ())


async def test_name_with_many_addresses_is_told_by_the_first_ones() -> None:
    async with running(Upstream(several)) as forwarder:
        servers, _ = await told(named(forwarder))

    assert len(servers) == 1 + time_servers.MAX_ADDRESSES
    assert set(servers[1:]) <= {f"203.0.113.{number}" for number in range(1, 7)}


async def test_second_forwarder_is_asked_when_the_first_one_refuses() -> None:
    async with running(Upstream(refused)) as first, running(Upstream(address_of)) as second:
        assert (await told(named(first, second)))[1] == ()


async def test_name_in_a_zone_of_others_is_asked_of_its_forwarders() -> None:
    async with running(Upstream(refused)) as general, running(Upstream(address_of)) as own:
        zones = (ForwardZone("example", (general,)), ForwardZone("ntp.example", (own,)))
        assert (await told(named(general, forward=zones)))[1] == ()


async def test_name_that_no_forwarder_knows_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_servers, "WAIT_SECONDS", 0.1)
    async with running(Upstream(lambda query: None)) as silent, running(Upstream(refused)) as refusing:
        assert await told(named(silent, refusing)) == (["172.16.0.9"], (NAME,))


async def test_second_forwarder_is_asked_when_the_first_one_answers_what_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """dnslib decodes the tag of a CAA record, whatever its octets are."""
    monkeypatch.setattr(time_servers, "WAIT_SECONDS", 0.1)
    record = dns.rdata.GenericRdata(dns.rdataclass.IN, dns.rdatatype.CAA, b"\x00\x02\xff\xfe")

    def odd(query: dns.message.Message) -> dns.message.Message:
        reply = address_of(query)
        reply.additional.append(dns.rrset.from_rdata("odd.example.", 60, record))
        return reply

    async with running(Upstream(odd)) as first, running(Upstream(address_of)) as second:
        assert await told(named(first, second)) == (["172.16.0.9", "203.0.113.7"], ())


async def test_answer_to_another_question_is_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_servers, "WAIT_SECONDS", 0.1)
    other = dns.message.make_query("other.example", "A")

    async with running(Upstream(lambda query: address_of(other))) as forwarder:
        assert (await told(named(forwarder)))[1] == (NAME,)


async def test_forwarder_that_is_down_takes_its_time_once_and_not_for_every_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time_servers, "WAIT_SECONDS", 0.2)
    monkeypatch.setattr(time_servers, "TOTAL_SECONDS", 0.8)
    down = Upstream(lambda query: None)
    async with running(down) as first, running(Upstream(address_of)) as second:
        cluster = named(first, second)
        (network,) = cluster.networks
        names = tuple(f"{number}.pool.ntp.example" for number in range(8))
        assert (await told(replace(cluster, networks=(replace(network, ntp_names=names),))))[1] == ()
    assert len(down.asked) == 1


@pytest.mark.parametrize("mode", [DhcpMode.PROXY, DhcpMode.OFF])
async def test_no_name_is_looked_up_where_dhcp_gives_no_options(mode: DhcpMode) -> None:
    upstream = Upstream(address_of)
    async with running(upstream) as forwarder:
        assert await told(replace(named(forwarder), dhcp=mode)) == (["172.16.0.9"], ())
    assert upstream.asked == []


async def test_time_for_all_names_together_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time_servers, "TOTAL_SECONDS", 0.2)
    cluster = named(*(Endpoint(IPv4Address("127.0.0.1"), 1) for _ in range(3)))
    (network,) = cluster.networks
    names = tuple(f"{number}.ntp.example" for number in range(50))
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with running(Upstream(lambda query: None)) as silent:
        slow = replace(cluster, dns=replace(cluster.dns, forwarders=(silent,)))
        _, missing = await told(replace(slow, networks=(replace(network, ntp_names=names),)))

    assert missing == names
    assert loop.time() - began < 3
