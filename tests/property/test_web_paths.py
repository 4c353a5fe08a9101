"""For any path in a request, only files below images/ are opened."""

from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st

from appliance.web.answers import ErrorResponse
from appliance.web.target import normal_path

PIECES = st.lists(
    st.sampled_from(["a", "..", ".", "", "%2e%2e", "%2e", "..%2f", "%5c", "\\", "%00", "b.img", "%252e%252e", "~"]),
    max_size=8,
)
NAMES = st.text(st.characters(exclude_characters="/\\", exclude_categories=("C", "Z")), min_size=1, max_size=12)


@given(pieces=PIECES)
def test_path_never_leaves_its_root(pieces: list[str]) -> None:
    path = normal_path("/" + "/".join(pieces))
    if not isinstance(path, ErrorResponse):
        parts = path.split("/")
        assert not path.startswith("/")
        assert not {"..", ".", ""} & set(parts)
        assert "\\" not in path
        assert path.isprintable()


@given(names=st.lists(NAMES.filter(lambda name: not name.startswith(".")), min_size=1, max_size=4))
def test_any_ordinary_name_can_be_asked_for(names: list[str]) -> None:
    path = "/".join(names)
    assert normal_path("/" + quote(path)) == path


@given(target=st.text(max_size=80))
def test_every_target_is_a_path_or_an_error(target: str) -> None:
    path = normal_path(target)
    assert isinstance(path, str) or path.status in (400, 404)
