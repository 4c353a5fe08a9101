"""Byte ranges equal slices of the file, and together they are the file."""

from hypothesis import given
from hypothesis import strategies as st

from appliance.web.ranges import Entity, Response, Slice, respond, slices

SIZES = st.integers(0, 300)
SPECS = st.one_of(
    st.tuples(st.integers(0, 320), st.integers(0, 320)).map(lambda ends: f"{min(ends)}-{max(ends)}"),
    st.integers(0, 320).map(lambda first: f"{first}-"),
    st.integers(0, 320).map(lambda length: f"-{length}"),
)


def oracle(spec: str, content: bytes) -> bytes:
    """Return the part of *content* that a byte-range-spec selects, by slices of Python."""
    first, _, last = spec.partition("-")
    if not first:
        return content[-int(last) :] if int(last) else b""
    return content[int(first) : int(last) + 1] if last else content[int(first) :]


def body(answer: Response, content: bytes) -> bytes:
    return b"".join(
        content[part.first : part.first + part.size] if isinstance(part, Slice) else part for part in answer.parts
    )


def entity(content: bytes) -> Entity:
    return Entity(len(content), '"v"', 0, "application/octet-stream")


@given(spec=SPECS, size=SIZES)
def test_single_range_is_pythons_slice(spec: str, size: int) -> None:
    content = bytes(index % 251 for index in range(size))
    answer = respond(entity(content), "GET", {"Range": f"bytes={spec}"})
    expected = oracle(spec, content)
    if expected:
        assert (answer.status, body(answer, content)) == (206, expected)
    else:
        assert answer.status == 416
    assert answer.headers["Content-Length"] == str(len(body(answer, content)))


@given(specs=st.lists(SPECS, min_size=1, max_size=6), size=SIZES)
def test_ranges_are_pythons_slices_in_the_order_asked(specs: list[str], size: int) -> None:
    content = bytes(index % 251 for index in range(size))
    expected = [piece for piece in (oracle(spec, content) for spec in specs) if piece]
    found = slices(f"bytes={','.join(specs)}", size)
    if sum(map(len, expected)) > size:
        assert found is None
    else:
        assert found is not None
        assert [content[part.first : part.first + part.size] for part in found] == expected


@given(header=st.text(max_size=60), size=SIZES, method=st.sampled_from(["GET", "HEAD"]))
def test_any_header_is_answered_with_bytes_that_are_there(header: str, size: int, method: str) -> None:
    content = bytes(size)
    for name in ("Range", "If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"):
        answer = respond(entity(content), method, {name: header})
        assert answer.status in (200, 206, 304, 412, 416)
        for part in answer.parts:
            if isinstance(part, Slice):
                assert 0 <= part.first <= part.first + part.size <= size
        if "Content-Length" in answer.headers and method == "GET":
            assert int(answer.headers["Content-Length"]) == len(body(answer, content))


@given(cuts=st.lists(st.integers(0, 300), max_size=5), size=st.integers(1, 300))
def test_download_in_pieces_is_the_file(cuts: list[int], size: int) -> None:
    content = bytes(index % 251 for index in range(size))
    ends = sorted({cut for cut in cuts if 0 < cut < size} | {size})
    got = b""
    for end in ends:
        answer = respond(entity(content), "GET", {"Range": f"bytes={len(got)}-{end - 1}", "If-Range": '"v"'})
        got += body(answer, content)
    assert got == content
