"""Packages of other Debian releases that cannot be had: the tests that need them are skipped, and say why."""

from pathlib import Path

import pytest

from tests.vm import parts


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache without packages."""
    monkeypatch.setattr(parts, "CACHE", tmp_path)
    monkeypatch.setattr(parts, "_unavailable", {})
    return tmp_path


def test_without_apt_a_test_is_skipped_with_the_reason(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(empty_cache))
    with pytest.raises(pytest.skip.Exception, match=r"ipxe of Debian trixie \(amd64\) cannot be downloaded: "):
        parts.unpacked("trixie", "ipxe")


def test_mirror_that_cannot_be_reached_skips_a_test_soon(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_mirror", lambda: "http://127.0.0.1:9/debian")
    with pytest.raises(pytest.skip.Exception, match=r"apt-get (failed|is not installed)"):
        parts.unpacked("trixie", "ipxe")
    assert not (empty_cache / "trixie-amd64" / "ready").exists()


def test_package_in_the_cache_is_not_fetched_again(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(empty_cache))
    there = empty_cache / "trixie-amd64" / "packages" / "ipxe"
    there.mkdir(parents=True)
    assert parts.unpacked("trixie", "ipxe") == there
