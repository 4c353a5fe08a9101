"""Where iPXE binaries are found, and what a name off the wire can reach."""

import os
from pathlib import Path

import pytest

from appliance.boot import loaders
from appliance.boot.loaders import KNOWN_LOADERS, find_below, find_loader, normalised, package_hint


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    (tmp_path / "tftp" / "efi").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    "name", ["/efi/ipxe.efi", "efi\\ipxe.efi", "\\EFI\\IPXE.EFI", "efi//ipxe.efi", "./efi/ipxe.efi"]
)
def test_every_spelling_of_a_boot_file_is_one_name(name: str) -> None:
    assert normalised(name) == "efi/ipxe.efi"


def test_file_in_the_data_directory_goes_before_the_packages(data_dir: Path) -> None:
    own = data_dir / "tftp" / "efi" / "ipxe.efi"
    own.write_bytes(b"own build")
    assert find_loader("efi\\IPXE.efi", data_dir) == own


@pytest.mark.parametrize("layout", ["debian", "fedora"])
def test_package_of_each_distribution_is_found(
    layout: str, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"debian": "usr/lib/ipxe/snponly.efi", "fedora": "usr/share/ipxe/ipxe-snponly-x86_64.efi"}
    packaged = tmp_path / names[layout]
    packaged.parent.mkdir(parents=True)
    packaged.write_bytes(b"packaged")
    moved = {name: tuple(f"{tmp_path}{path}" for path in paths) for name, paths in loaders._PACKAGED.items()}
    monkeypatch.setattr(loaders, "_PACKAGED", moved)
    assert find_loader("efi/snponly.efi", data_dir) == packaged


def test_loader_that_is_nowhere_is_none(data_dir: Path) -> None:
    assert find_loader("efi/nowhere.efi", data_dir) is None


def test_hint_names_the_package_of_the_architecture() -> None:
    assert "ipxe-bootimgs-aarch64" in package_hint("arm64-efi/snponly.efi")
    assert "apt install ipxe" in package_hint("EFI\\ipxe.efi")


def test_hint_for_a_name_that_no_package_has_says_where_to_put_it() -> None:
    assert package_hint("own/loader.efi") == "put it at tftp/own/loader.efi in the data directory"


def test_the_boot_files_of_every_architecture_are_known() -> None:
    assert {"efi/ipxe.efi", "efi/snponly.efi", "undionly.kpxe", "arm64-efi/snponly.efi"} <= KNOWN_LOADERS


def test_exact_spelling_goes_before_another_case(tmp_path: Path) -> None:
    (tmp_path / "LOADER.efi").write_bytes(b"upper")
    (tmp_path / "loader.efi").write_bytes(b"lower")
    assert find_below(tmp_path, "loader.efi") == tmp_path / "loader.efi"


def test_directories_match_in_any_case(tmp_path: Path) -> None:
    (tmp_path / "EFI").mkdir()
    (tmp_path / "EFI" / "Loader.efi").write_bytes(b"x")
    assert find_below(tmp_path, "efi\\loader.EFI") == tmp_path / "EFI" / "Loader.efi"


def test_link_inside_the_root_is_followed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    (tmp_path / "b").symlink_to("a")
    assert find_below(tmp_path, "b") == tmp_path / "a"


ELSEWHERE = (
    *("../secret", "..\\secret", "in/../../secret", "/../secret", "out", "outdir/secret"),
    *(".hidden", "in/.hidden", "pipe", "in", "loop", "", "in\0/file", "x" * 5000, "\ud800"),
)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_name_that_leads_elsewhere_is_not_found(name: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "in").mkdir(parents=True)
    for hidden in (root / ".hidden", root / "in" / ".hidden", tmp_path / "secret"):
        hidden.write_bytes(b"secret")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "outdir").symlink_to(tmp_path)
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "pipe")
    assert find_below(root, name) is None


def test_missing_root_finds_nothing(tmp_path: Path) -> None:
    assert find_below(tmp_path / "not-there", "ipxe.efi") is None
