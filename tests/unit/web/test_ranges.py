"""Conditional requests and range requests, with the examples and rules of RFC 9110."""

import pytest

from appliance.web.ranges import MAX_RANGES, Entity, Slice, respond, slices

SEEN = 1_700_000_000
ENTITY = Entity(10_000, '"v1"', SEEN, "application/octet-stream")
SEEN_DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
LATER_DATE = "Tue, 14 Nov 2023 22:13:21 GMT"
EARLIER_DATE = "Tue, 14 Nov 2023 22:13:19 GMT"


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("bytes=0-499", [Slice(0, 500)]),
        ("bytes=500-999", [Slice(500, 500)]),
        ("bytes=-500", [Slice(9500, 500)]),
        ("bytes=9500-", [Slice(9500, 500)]),
        ("bytes=0-0,-1", [Slice(0, 1), Slice(9999, 1)]),
        ("bytes=0-0, -1", [Slice(0, 1), Slice(9999, 1)]),
        ("bytes=500-600,601-999", [Slice(500, 101), Slice(601, 399)]),
        ("bytes=0-99999", [Slice(0, 10_000)]),
        ("bytes=-99999", [Slice(0, 10_000)]),
        ("BYTES=0-0", [Slice(0, 1)]),
        ("bytes=,0-0,,", [Slice(0, 1)]),
        ("bytes=10000-", []),
        ("bytes=-0", []),
        ("bytes=20000-20001,0-0", [Slice(0, 1)]),
    ],
)
def test_range_takes_what_the_rfc_says(header: str, wanted: list[Slice]) -> None:
    assert slices(header, 10_000) == wanted


@pytest.mark.parametrize(
    "header",
    [
        "items=0-1", "bytes", "bytes=", "bytes=,", "bytes=a-b", "bytes=1", "bytes=-", "bytes=2-1", "bytes=0-0,2-1",
        "bytes=--1", "bytes=0x0-1", "bytes=+0-1", "bytes=0 - 1", "bytes=٠-١", "bytes=" + "9" * 5000 + "-",
        "bytes=0-" + "9" * 40, "bytes=0-9999,0-9999", "bytes=" + ",".join(["0-0"] * (MAX_RANGES + 1)),
    ],
)  # fmt: skip
def test_malformed_or_costly_range_is_ignored(header: str) -> None:
    assert slices(header, 10_000) is None


def test_whole_entity_has_exact_headers() -> None:
    answer = respond(ENTITY, "GET", {})
    assert answer.status == 200
    assert answer.headers == {
        "Accept-Ranges": "bytes",
        "ETag": '"v1"',
        "Last-Modified": SEEN_DATE,
        "Content-Type": "application/octet-stream",
        "Content-Length": "10000",
    }
    assert answer.parts == (Slice(0, 10_000),)


def test_head_has_the_headers_of_get_and_no_body() -> None:
    head = respond(ENTITY, "HEAD", {})
    assert head.headers == respond(ENTITY, "GET", {}).headers
    assert head.parts == ()


def test_head_ignores_range() -> None:
    assert respond(ENTITY, "HEAD", {"Range": "bytes=0-0"}).status == 200


def test_single_range_is_a_206_with_its_place() -> None:
    answer = respond(ENTITY, "GET", {"Range": "bytes=-500"})
    assert answer.status == 206
    assert answer.headers["Content-Range"] == "bytes 9500-9999/10000"
    assert answer.headers["Content-Length"] == "500"
    assert answer.parts == (Slice(9500, 500),)


def test_several_ranges_are_one_multipart_body_of_the_length_that_it_says() -> None:
    answer = respond(ENTITY, "GET", {"Range": "bytes=0-9,100-109"})
    boundary = answer.headers["Content-Type"].partition("boundary=")[2].encode()
    body = b"".join(part if isinstance(part, bytes) else b"x" * part.size for part in answer.parts)
    assert body.count(b"--" + boundary) == 3
    assert body.endswith(b"--" + boundary + b"--\r\n")
    assert answer.headers["Content-Length"] == str(len(body))
    assert b"Content-Range: bytes 100-109/10000" in body
    assert "Content-Range" not in answer.headers


def test_one_satisfiable_range_of_several_is_no_multipart() -> None:
    assert respond(ENTITY, "GET", {"Range": "bytes=0-9,20000-"}).headers["Content-Range"] == "bytes 0-9/10000"


def test_unsatisfiable_range_is_a_416_that_tells_the_size() -> None:
    answer = respond(ENTITY, "GET", {"Range": "bytes=10000-"})
    assert answer.status == 416
    assert answer.headers["Content-Range"] == "bytes */10000"
    assert answer.parts == ()


def test_range_of_an_empty_file_is_a_416() -> None:
    empty = Entity(0, '"v1"', SEEN, "text/plain")
    assert respond(empty, "GET", {"Range": "bytes=0-"}).status == 416
    assert respond(empty, "GET", {}).headers["Content-Length"] == "0"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-None-Match": '"v1"'}, 304),
        ({"If-None-Match": 'W/"v1"'}, 304),
        ({"If-None-Match": '"v0", "v1"'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"v2"'}, 200),
        ({"If-None-Match": "junk"}, 200),
        ({"If-Modified-Since": SEEN_DATE}, 304),
        ({"If-Modified-Since": LATER_DATE}, 304),
        ({"If-Modified-Since": EARLIER_DATE}, 200),
        ({"If-Modified-Since": "junk"}, 200),
        ({"If-Modified-Since": "Tuesday, 14-Nov-23 22:13:20 GMT"}, 304),
        ({"If-Modified-Since": "Tue Nov 14 22:13:20 2023"}, 304),
        ({"If-None-Match": '"v2"', "If-Modified-Since": LATER_DATE}, 200),
        ({"If-Match": '"v1"'}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": '"v2"'}, 412),
        ({"If-Match": 'W/"v1"'}, 412),
        ({"If-Unmodified-Since": SEEN_DATE}, 200),
        ({"If-Unmodified-Since": EARLIER_DATE}, 412),
        ({"If-Unmodified-Since": "junk"}, 200),
        ({"If-Match": '"v1"', "If-Unmodified-Since": EARLIER_DATE}, 200),
        ({"If-Match": '"v2"', "If-None-Match": '"v1"'}, 412),
        ({"If-None-Match": '"v1"', "Range": "bytes=0-0"}, 304),
        ({"Range": "bytes=0-0", "If-Range": '"v1"'}, 206),
        ({"Range": "bytes=0-0", "If-Range": '"v0"'}, 200),
        ({"Range": "bytes=0-0", "If-Range": 'W/"v1"'}, 200),
        ({"Range": "bytes=0-0", "If-Range": SEEN_DATE}, 206),
        ({"Range": "bytes=0-0", "If-Range": LATER_DATE}, 200),
        ({"Range": "bytes=20000-", "If-Range": '"v0"'}, 200),
        ({"Range": "bytes=0-0", "If-Range": "junk"}, 200),
    ],
)
def test_conditions_decide_in_the_order_of_the_rfc(headers: dict[str, str], status: int) -> None:
    assert respond(ENTITY, "GET", headers).status == status


def test_not_modified_has_no_body_but_the_names_of_the_entity() -> None:
    answer = respond(ENTITY, "GET", {"If-None-Match": '"v1"'})
    assert answer.parts == ()
    assert answer.headers["ETag"] == '"v1"'
    assert "Content-Length" not in answer.headers
