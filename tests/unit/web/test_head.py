"""The gate before aiohttp's parser: which heads it admits, and what it says of the others."""

import pytest

from appliance.web.head import MAX_FIELDS, Admitted, Refusal, check_head


def head(*fields: str, line: str = "GET /x HTTP/1.1") -> bytes:
    return "\r\n".join([line, *fields, "", ""]).encode()


@pytest.mark.parametrize("host", ["a/b", "u@x", "a, b", "", "a b", "[::1", "x:y"])
def test_host_that_is_no_host_is_400(host: str) -> None:
    verdict = check_head(head(f"Host: {host}"))
    assert isinstance(verdict, Refusal)
    assert (verdict.status, "Host" in verdict.why) == (400, True)


@pytest.mark.parametrize("fields", [(), ("Host: a", "host: a"), ("Host: a", "Transfer-Encoding:"),
    ("Host: a", "Transfer-Encoding: gzip"), ("Host: a", "Content-Length: 1", "Transfer-Encoding: chunked"),
    ("Host: a", "Content-Length: +1"), ("Host: a", "Content-Length: 1", "Content-Length: 1"),
    ("Host: a", "bad field"), ("Host: a", " folded: x"), ("Host : a",), ("Host: a", "X: \x00")])  # fmt: skip
def test_ambiguous_or_broken_head_is_400(fields: tuple[str, ...]) -> None:
    verdict = check_head(head(*fields))
    assert isinstance(verdict, Refusal)
    assert verdict.status == 400


@pytest.mark.parametrize("host", ["172.16.0.101", "172.16.0.101:80", "[2001:db8::1]:8080", "a-b.example.", "a_b"])
def test_usual_host_is_admitted_unchanged(host: str) -> None:
    data = head(f"Host: {host}", "User-Agent: iPXE/1.21.1", "Connection: keep-alive")
    assert check_head(data) == Admitted(data, has_body=False)


def test_upgrade_is_ignored() -> None:
    verdict = check_head(head("Host: a", "Connection: upgrade", "Upgrade: websocket", "X: y"))
    assert verdict == Admitted(b"GET /x HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n", has_body=False)


def test_body_ends_the_connection() -> None:
    verdict = check_head(head("Host: a", "Content-Length: 3"))
    assert verdict == Admitted(b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", has_body=True)


def test_http_1_0_needs_no_host_and_ends_the_connection() -> None:
    verdict = check_head(head(line="GET /x HTTP/1.0"))
    assert verdict == Admitted(b"GET /x HTTP/1.1\r\nHost: -\r\nConnection: close\r\n\r\n", has_body=False)


def test_too_many_fields_are_431() -> None:
    verdict = check_head(head("Host: a", *["X: y"] * MAX_FIELDS))
    assert isinstance(verdict, Refusal)
    assert verdict.status == 431


def test_bad_field_is_named_and_escaped() -> None:
    verdict = check_head(head("Host: a", "no colon \x1b"))
    assert isinstance(verdict, Refusal)
    assert verdict.why == r"bad header field: 'no colon \x1b'"
