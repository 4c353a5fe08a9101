"""Opening the file for an answer."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.events import WebKind
from appliance.files import Identity
from appliance.web.answers import ErrorResponse, Place, SendFile
from appliance.web.compile import Site, compile_web
from appliance.web.opening import Opened, entity_of, open_first
from tests.clusters import reference_cluster
from tests.swapping import met, swapping


def no_sum(_path: Path, _identity: Identity) -> None:
    return None


def site_at(directory: Path) -> Site:
    (directory / "images").mkdir(parents=True)
    (directory / "tftp").mkdir()
    return compile_web((reference_cluster(directory),)).sites[0]


@pytest.fixture
def sites(tmp_path: Path) -> tuple[Site, Site]:
    return site_at(tmp_path / "first"), site_at(tmp_path / "second")


def opened(path: str, *sites: Site, is_image: bool = False) -> tuple[bytes, WebKind] | int:
    """Return the contents and kind of the opened file, or the status of the error."""
    file = SendFile(path, WebKind.KERNEL, "x/y", tuple(Place(site, is_image) for site in sites))
    match open_first(file, no_sum):
        case Opened(fd, _, entity, kind):
            with os.fdopen(fd, "rb") as stream:
                content = stream.read()
            assert entity.size == len(content)
            return content, kind
        case ErrorResponse(status):
            return status


def test_first_place_that_has_the_file_gives_it(sites: tuple[Site, Site]) -> None:
    first, second = sites
    (second.images / "a").write_bytes(b"second")
    assert opened("a", first, second) == (b"second", WebKind.KERNEL)
    (first.images / "a").write_bytes(b"first")
    assert opened("a", first, second) == (b"first", WebKind.KERNEL)


@pytest.mark.parametrize(("is_image", "expected"), [(False, (b"loader", WebKind.LOADER)), (True, 404)])
def test_boot_loader_is_found_unless_the_name_is_an_images(
    sites: tuple[Site, Site], is_image: bool, expected: object
) -> None:
    (sites[0].data_dir / "tftp" / "a.efi").write_bytes(b"loader")
    assert opened("a.efi", sites[0], is_image=is_image) == expected


def test_file_that_exists_and_cannot_be_served_is_the_error(sites: tuple[Site, Site]) -> None:
    (sites[1].images / "a").symlink_to("/etc/passwd")
    assert opened("a", *sites) == 403


def test_missing_file_is_not_found(sites: tuple[Site, Site]) -> None:
    assert opened("a", *sites) == 404


def test_damaged_image_leaves_no_descriptor_open(sites: tuple[Site, Site]) -> None:
    site = replace(sites[0], sha256={"a": "a" * 64})
    (site.images / "a").write_bytes(b"x")
    before = os.listdir("/proc/self/fd")
    file = SendFile("a", WebKind.KERNEL, "x/y", (Place(site, is_image=True),))
    refused = open_first(file, lambda _path, _identity: "b" * 64)
    assert isinstance(refused, ErrorResponse)
    assert refused.status == 503
    assert os.listdir("/proc/self/fd") == before


def test_time_of_a_file_is_reported_in_whole_seconds() -> None:
    """Last-Modified has no fractions (RFC 9110 section 5.6.7)."""
    assert entity_of(Identity(0, 1, 2, 1_700_000_000_999_999_999), "x/y").modified == 1_700_000_000


SECRETS = (
    ("images/auth/kubeconfig", b"anything"),
    ("images/bootstrap.ign.bak", b"anything"),
    ("images/boot.cfg", b"clusters:\n- cluster:\n    server: x\n"),
    ("images/vmlinuz", b'{"ignition":{"version":"3.2.0"}}'),
    ("tftp/efi/boot.cfg", b"-----BEGIN PRIVATE KEY-----\n"),
)


@pytest.mark.parametrize(("path", "content"), SECRETS)
def test_file_with_secrets_is_not_opened(path: str, content: bytes, sites: tuple[Site, Site]) -> None:
    file = sites[0].data_dir / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    before = os.listdir("/proc/self/fd")
    assert opened(path.partition("/")[2], *sites) == 403
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize("make", ["hardlink_to", "symlink_to"])
def test_other_name_of_a_file_with_secrets_is_not_opened(make: str, sites: tuple[Site, Site]) -> None:
    secret = sites[0].images / "auth" / "secret"
    secret.parent.mkdir()
    secret.write_bytes(b"of no known content" if make == "symlink_to" else b"aBcDe-12345-fGhIj-67890")
    getattr(sites[0].images / "vmlinuz", make)(secret)
    assert opened("vmlinuz", *sites) == 403


def test_directory_of_loaders_swapped_for_a_link_all_the_time_never_gives_the_file_outside(
    sites: tuple[Site, Site], tmp_path: Path
) -> None:
    root = sites[0].data_dir / "tftp"
    for directory, content in ((root / "inside", b"first"), (tmp_path / "outside", b"secret")):
        directory.mkdir()
        (directory / "own.efi").write_bytes(content)

    def look() -> object:
        found = opened("efi/own.efi", sites[0])
        return found[0] if isinstance(found, tuple) else found

    with swapping(root / "efi", root / "inside", tmp_path / "outside"):
        assert met(look, b"first", 403) == {b"first", 403}
