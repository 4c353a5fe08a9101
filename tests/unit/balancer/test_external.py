"""A load balancer of others, tried over loopback."""

import asyncio
import socket
import ssl
from dataclasses import replace
from ipaddress import IPv4Address, ip_address
from typing import Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.balancer import external
from appliance.balancer.compile import front_ends
from appliance.balancer.external import Finding, Target, Trial, targets, tried
from appliance.model import Endpoint, FrontEnd, HealthCheck, Probe
from tests.balancer_nodes import Authority, server_context
from tests.boots import LIVE

API, MACHINE_CONFIG, HTTPS_INGRESS, HTTP_INGRESS = front_ends(LIVE)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(scope="module")
def tls(tmp_path_factory):
    """The server's side of TLS, with a certificate of an authority that nobody knows."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    return server_context(Authority("nobody's").issue(path, "api-int.example"))


class Server:
    """A server that sends *answer* when it has read a request, and then closes; with None it says nothing."""

    def __init__(self, answer: bytes | None = OK, context: ssl.SSLContext | None = None) -> None:
        self.answer, self.context = answer, context
        self.requests: list[bytes] = []

    async def __aenter__(self) -> Self:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.context)
        self.endpoint = Endpoint(IPv4Address("127.0.0.1"), self.server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_exception: object) -> None:
        self.server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.answer is None:
            await reader.read()
        elif self.answer:
            self.requests.append(await reader.read(1000))
            writer.write(self.answer)
        writer.close()


async def trial(front_end: FrontEnd, endpoint: Endpoint, *, is_wanted: bool = True) -> Trial:
    (found,) = await tried([Target(front_end, endpoint, is_wanted)])
    return found


def nobody() -> Endpoint:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return Endpoint(IPv4Address("127.0.0.1"), sock.getsockname()[1])


async def test_api_that_is_ready_answers(tls):
    async with Server(OK, tls) as server:
        found = await trial(API, server.endpoint)
    assert (found.is_well, found.words, found.hint) == (True, "answers: HTTP 200", "")
    assert server.requests[0].startswith(b"GET /readyz HTTP/1.1\r\nHost: api-int.ocp45.example.localdomain\r\n")


async def test_machine_config_server_is_asked_for_its_health(tls):
    async with Server(b"HTTP/1.1 204 No Content\r\n\r\n", tls) as server:
        found = await trial(MACHINE_CONFIG, server.endpoint)
    assert found.words == "answers: HTTP 204"
    assert server.requests[0].startswith(b"GET /healthz HTTP/1.1\r\n")


async def test_member_that_is_not_ready_is_a_fault_of_the_balancers_check(tls):
    async with Server(b"HTTP/1.1 500 Internal Server Error\r\n\r\n", tls) as server:
        found = await trial(API, server.endpoint)
    assert (found.is_well, found.words) == (False, "answers: HTTP 500")
    assert "let it check GET /readyz over HTTPS" in found.hint


async def test_port_without_a_listener_is_refused():
    endpoint = nobody()
    found = await trial(API, endpoint)
    assert (found.is_well, found.words) == (False, "does not answer: connection refused")
    assert found.hint.startswith(f"nothing listens on {endpoint}")


@pytest.mark.parametrize("front_end", [API, HTTPS_INGRESS, HTTP_INGRESS], ids=lambda front_end: front_end.name)
async def test_balancer_that_closes_connections_has_no_member(front_end):
    async with Server(b"") as server:
        found = await trial(front_end, server.endpoint)
    assert (found.is_well, found.words) == (False, "does not answer: accepts the connection, and closes it")
    assert "has no member that works" in found.hint


async def test_router_that_keeps_the_connection_answers(monkeypatch):
    monkeypatch.setattr(external, "QUIET_SECONDS", 0.05)
    async with Server(None) as server:
        found = await trial(HTTPS_INGRESS, server.endpoint)
    assert (found.is_well, found.words) == (True, "answers: accepts connections")


async def test_server_without_tls_is_not_the_cluster():
    async with Server(b"220 mail.example ESMTP\r\n") as server:
        found = await trial(API, server.endpoint)
    assert (found.finding, found.is_well) == (Finding.FOREIGN, False)
    assert "something other than the cluster listens" in found.hint


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH\r\n", b"x" * 100_000], ids=["no HTTP", "no end of line"])
async def test_server_without_http_is_not_the_cluster(tls, answer):
    async with Server(answer, tls) as server:
        assert (await trial(API, server.endpoint)).finding is Finding.FOREIGN


async def test_server_that_says_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr(external, "ANSWER_SECONDS", 0.1)
    async with Server(None) as server:
        found = await trial(API, server.endpoint)
    assert (found.finding, found.is_well) == (Finding.CLOSED, False)


async def test_address_that_swallows_connections_is_silent(monkeypatch):
    monkeypatch.setattr(external, "CONNECT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        # The kernel drops further SYNs once the queue of a server that does not accept is full.
        waiting = [socket.create_connection(full.getsockname())]
        found = await trial(API, Endpoint(IPv4Address("127.0.0.1"), full.getsockname()[1]))
        for sock in waiting:
            sock.close()
    assert found.finding is Finding.SILENT
    assert "a firewall drops connections" in found.hint


async def test_address_without_a_route_is_unreachable():
    # TCP has no multicast, so that nothing is sent.
    found = await trial(API, Endpoint(ip_address("224.0.0.1"), 6443))
    assert (found.finding, found.words) == (Finding.UNREACHABLE, "does not answer: network is unreachable")


async def test_front_ends_are_tried_at_once(monkeypatch):
    monkeypatch.setattr(external, "QUIET_SECONDS", 0.4)
    async with Server(None) as server:
        began = asyncio.get_running_loop().time()
        found = await tried([Target(HTTP_INGRESS, server.endpoint)] * 10)
        took = asyncio.get_running_loop().time() - began
    assert [each.is_well for each in found] == [True] * 10
    assert took < 2


# Which addresses are tried


def test_every_address_of_every_front_end_is_tried():
    found = [(target.front_end.name, str(target.endpoint)) for target in targets(LIVE) if target.is_wanted]
    assert found == [
        ("api-6443", "172.16.0.110:6443"),
        ("api-6443", "172.16.0.111:6443"),
        ("machine-config-22623", "172.16.0.110:22623"),
        ("ingress-443", "172.16.0.111:443"),
        ("ingress-80", "172.16.0.111:80"),
    ]


def test_machine_config_server_is_tried_where_it_must_not_answer():
    assert [str(target.endpoint) for target in targets(LIVE) if not target.is_wanted] == ["172.16.0.111:22623"]


def test_address_that_is_both_inner_and_outer_may_have_the_machine_config_server():
    assert all(target.is_wanted for target in targets(replace(LIVE, api_vips=LIVE.api_int_vips)))


async def test_machine_config_server_on_the_outer_address_is_a_fault(tls):
    async with Server(OK, tls) as server:
        found = await trial(MACHINE_CONFIG, server.endpoint, is_wanted=False)
    assert (found.is_well, found.words) == (False, "answers: HTTP 200")
    assert "let the load balancer listen for it on apiInternalVIPs alone" in found.hint


@pytest.mark.parametrize("closes", [True, False], ids=["turned away", "refused"])
async def test_outer_address_without_the_machine_config_server_is_well(closes):
    async with Server(b"") as server:
        found = await trial(MACHINE_CONFIG, server.endpoint if closes else nobody(), is_wanted=False)
    assert (found.is_well, found.hint) == (True, "")
    assert found.words.startswith("cannot be used, as it should be: ")


async def test_front_end_of_the_operators_own_is_asked_by_its_check():
    own = FrontEnd("registry", (), (), 5000, HealthCheck(Probe.HTTP, "/v2/"))
    async with Server(OK) as server:
        found = await trial(own, server.endpoint)
    assert found.words == "answers: HTTP 200"
    assert server.requests[0].startswith(b"GET /v2/ HTTP/1.1\r\n")


@given(st.binary(max_size=4000))
def test_no_answer_of_a_stranger_raises(answer):
    own = FrontEnd("registry", (), (), 5000, HealthCheck(Probe.HTTP, "/"))

    async def ask() -> Trial:
        async with Server(answer) as server:
            return await trial(own, server.endpoint)

    assert asyncio.run(ask()).words
