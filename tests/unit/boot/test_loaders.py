"""Where iPXE binaries are found."""

from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.boot import loaders
from appliance.boot.loaders import KNOWN_LOADERS, find_loader, package_hint, packaged_loader


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


# Signed programs

Put = Callable[[str], Path]


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Put:
    """Return what makes a packaged file; without it, no package has any signed program."""
    root = tmp_path / "root"
    moved = {
        directory: tuple({name: f"{root}{path}" for name, path in paths.items()} for paths in sets)
        for directory, sets in loaders._SIGNED.items()
    }
    monkeypatch.setattr(loaders, "_SIGNED", moved)

    def put(path: str) -> Path:
        made = root / path.lstrip("/")
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_bytes(b"signed")
        return made

    return put


REDHAT, DEBIAN = "/boot/efi/EFI/redhat", "/usr/lib/shim/shimx64.efi.signed"
DEBIANS_GRUB = "/usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed"


def test_shim_and_grub_of_debian_are_found(data_dir: Path, packaged: Put) -> None:
    shim, grub = packaged(DEBIAN), packaged(DEBIANS_GRUB)
    assert find_loader("shim/x64/shimx64.efi", data_dir) == shim
    assert find_loader("shim/x64/grubx64.efi", data_dir) == grub


def test_shim_and_grub_come_from_one_distribution(data_dir: Path, packaged: Put) -> None:
    packaged(f"{REDHAT}/shimx64.efi")
    shim = packaged(DEBIAN)
    packaged(DEBIANS_GRUB)
    assert find_loader("shim/x64/shimx64.efi", data_dir) == shim


def test_red_hat_s_programs_take_precedence_over_debian_s(data_dir: Path, packaged: Put) -> None:
    for path in (DEBIAN, DEBIANS_GRUB, f"{REDHAT}/grubx64.efi"):
        packaged(path)
    shim = packaged(f"{REDHAT}/shimx64.efi")
    assert find_loader("shim/x64/shimx64.efi", data_dir) == shim


def test_operator_s_own_shim_is_not_given_a_packaged_grub(data_dir: Path, packaged: Put) -> None:
    packaged(DEBIAN)
    packaged(DEBIANS_GRUB)
    own = data_dir / "tftp" / "shim" / "x64" / "shimx64.efi"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"own")
    assert find_loader("shim/x64/shimx64.efi", data_dir) == own
    assert find_loader("shim/x64/grubx64.efi", data_dir) is None
    own.with_name("grubx64.efi").write_bytes(b"own")
    assert find_loader("grubx64.efi", data_dir) == own.with_name("grubx64.efi")


def test_shim_that_lost_its_directory_gets_the_same_grub(data_dir: Path, packaged: Put) -> None:
    """shim takes its directory from the DHCP header's field, which is empty if a server names the file in option 67."""
    packaged(DEBIAN)
    grub = packaged(DEBIANS_GRUB)
    assert packaged_loader("grubx64.efi", data_dir) == grub


def test_signed_program_that_nobody_may_read_is_missing(
    data_dir: Path, packaged: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: Path) -> bool:
        raise PermissionError

    monkeypatch.setattr(Path, "is_file", refuse)
    assert packaged_loader("shim/x64/shimx64.efi", data_dir) is None


def test_hint_for_a_signed_program_names_both_distributions() -> None:
    hint = package_hint("shim/aa64/grubaa64.efi")
    assert "/boot/efi/EFI/redhat/grubaa64.efi" in hint
    assert "grub-efi-arm64-signed" in hint
    assert "tftp/shim/aa64/" in hint
