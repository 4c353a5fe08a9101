"""What a line of HAProxy's log says."""

from ipaddress import ip_address

import pytest

from appliance.balancer.log import MAX_BYTES, Connection, Notice, Outcome, parse

OLD = b"<134>Nov 29 15:11:52 haproxy[31806]: "
NEW = b"<134>1 2026-11-29T15:13:19.181305+00:00 - haproxy 361 - - "
FORWARDED = Connection(ip_address("192.0.2.21"), 43347, "api-6443", "m1", Outcome.FORWARDED)


@pytest.mark.parametrize("header", [OLD, OLD.replace(b"haproxy", b"lb haproxy"), NEW])
def test_a_connection_is_read_in_every_framing(header: bytes) -> None:
    assert parse(header + b"connection 192.0.2.21 43347 api-6443 m1 0 --\n") == FORWARDED


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        (b"m1 3 --", Outcome.FORWARDED),
        (b"m1 3 CD", Outcome.FORWARDED),
        (b"<NOSRV> -1 SC", Outcome.FAILED),
        (b"m1 -1 SC", Outcome.FAILED),
        (b"m1 -1 sC", Outcome.FAILED),
        (b"<NOSRV> -1 PC", Outcome.FAILED),
        (b"m1 -1 CC", Outcome.ABANDONED),
        (b"<NOSRV> 0 --", Outcome.FAILED),
    ],
)
def test_only_a_connection_that_a_member_accepted_counts_as_forwarded(end: bytes, outcome: Outcome) -> None:
    found = parse(OLD + b"connection 192.0.2.21 43347 api-6443 " + end)
    assert isinstance(found, Connection)
    assert found.outcome is outcome


def test_a_client_of_a_socket_for_both_families_has_its_ipv4_address() -> None:
    found = parse(OLD + b"connection ::ffff:192.0.2.21 43347 api-6443 m1 0 --")
    assert found == FORWARDED


@pytest.mark.parametrize(
    "text",
    [
        b"connection 192.0.2.21 43347 api-6443 m1 0 -- more",
        b"connection 192.0.2.21 43347 api-6443 m1 0 --\nconnection 192.0.2.22 43347 api-6443 m1 0 --",
        b"connection 192.0.2.321 43347 api-6443 m1 0 --",
        b"connection 192.0.2.21 70000 api-6443 m1 0 --",
        b"connection unix:1 0 api-6443 m1 0 --",
        b"connection 192.0.2.21 43347 api 6443 m1 0 --",
    ],
)
def test_a_line_that_is_almost_a_connection_is_none(text: bytes) -> None:
    assert parse(OLD + text) is None


def test_a_line_without_a_header_of_syslog_is_none() -> None:
    assert parse(b"connection 192.0.2.21 43347 api-6443 m1 0 --") is None


def test_a_datagram_above_the_limit_is_none() -> None:
    assert parse(OLD + b"x" * MAX_BYTES) is None


@pytest.mark.parametrize(
    "text",
    [
        b"Server api-6443/m1 is DOWN. 0 active and 0 backup servers left. 0 sessions active, 0 requeued.",
        b"backend api-6443 has no server available!",
        b"proxy api-6443 has no server available!",
    ],
)
def test_the_result_of_a_health_check_is_no_alert(text: bytes) -> None:
    assert parse(OLD.replace(b"134", b"128") + text) == Notice(text.decode(), is_alert=False)


def test_an_emergency_of_haproxy_itself_is_an_alert() -> None:
    text = "Proxy api-6443 reached process FD limit (maxsock=100). Please check 'ulimit-n' and restart."
    assert parse(OLD.replace(b"134", b"128") + text.encode()) == Notice(text, is_alert=True)


def test_a_notice_has_no_control_characters() -> None:
    assert parse(OLD + b"a\x1b[31mb\xffc") == Notice("a?[31mb?c", is_alert=False)
