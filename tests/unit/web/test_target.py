"""From request targets to paths."""

import pytest

from appliance.web.answers import ErrorResponse
from appliance.web.target import content_type, normal_path


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a/b", "a/b"),
        ("//a///b", "a/b"),
        ("/./a/./b", "a/b"),
        ("/a%20b", "a b"),
        ("/a?x=/../y", "a"),
        ("/a#b", "a"),
        ("http://192.0.2.1/a/b", "a/b"),
        ("HTTP://192.0.2.1:80//a", "a"),
        ("/a%252e%252e", "a%2e%2e"),
        ("/%C3%A9", "é"),
    ],
)
def test_path_is_decoded_once(target: str, path: str) -> None:
    assert normal_path(target) == path


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/../etc/passwd", 400),
        ("/a/../../etc/passwd", 400),
        ("/%2e%2e/etc/passwd", 400),
        ("/%2E%2e%2Fetc/passwd", 400),
        ("/a%2f..%2fb", 400),
        ("/a%5c..%5cb", 400),
        ("/a\\b", 400),
        ("/a%00.img", 400),
        ("/a%0d%0aX: y", 400),
        ("/a%", 400),
        ("/a%zz", 400),
        ("/a%c0%af", 400),
        ("/a\udcff", 400),
        ("*", 400),
        ("", 400),
        ("a/b", 400),
        ("http://192.0.2.1", 400),
        ("/", 404),
        ("/a/", 404),
        ("/a/.", 404),
        ("/.hidden", 404),
        ("/a/.git/config", 404),
    ],
)
def test_ambiguous_or_hidden_path_is_refused(target: str, status: int) -> None:
    error = normal_path(target)
    assert isinstance(error, ErrorResponse)
    assert error.status == status


@pytest.mark.parametrize(
    ("path", "media_type"),
    [("efi/ipxe.efi", "application/efi"), ("IPXE.EFI", "application/efi"), ("x.img", "application/octet-stream")],
)
def test_efi_program_has_the_type_that_uefi_http_boot_wants(path: str, media_type: str) -> None:
    assert content_type(path) == media_type
