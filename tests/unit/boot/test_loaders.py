"""Where iPXE binaries are found."""

from pathlib import Path

import pytest

from appliance.boot import loaders
from appliance.boot.loaders import KNOWN_LOADERS, find_loader, package_hint


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    (tmp_path / "tftp" / "efi").mkdir(parents=True)
    return tmp_path


def test_file_in_the_data_directory_takes_precedence_over_the_packages(data_dir: Path) -> None:
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
