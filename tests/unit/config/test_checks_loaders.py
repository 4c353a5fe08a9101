"""The loaders of hosts: which files are missing, and which do not start there."""

from pathlib import Path

import pytest

from appliance.config import check
from tests.config_files import HOST, edited, make_data_dir, spelled, with_host

SHIM = "tftp/shim/x64/shimx64.efi"
GRUB = "tftp/shim/x64/grubx64.efi"


def told(root: Path, loader: str, files: dict[str, bytes], *, release: str = "4.16.3", arch: str = "") -> list[str]:
    """Return the problems where a sixth host has *loader*, and the data directory has *files* besides."""
    data_dir = make_data_dir(root)
    for name, content in files.items():
        (data_dir / name).parent.mkdir(parents=True, exist_ok=True)
        (data_dir / name).write_bytes(content)
    text = with_host(("32\n    address", f"32\n    {arch}loader: {loader}\n    address"))
    (root / "cluster.yaml").write_text(text.replace("release: 4.16.3", f"release: {release}"))
    return [line for line in spelled(root, check([root / "cluster.yaml"], data_dir, 0.0)) if "loader" in line]


def test_shim_and_grub_that_are_missing_are_named_with_where_they_are(tmp_path: Path) -> None:
    (line,) = told(tmp_path, "shim", {SHIM: b"MZ Red Hat Secure Boot CA 5"})
    assert line == (
        "cluster.yaml:41: warning: hosts[5].loader: boot file shim/x64/grubx64.efi not found; copy "
        "/boot/efi/EFI/redhat/grubx64.efi of RHEL (packages shim-x64 and grub2-efi-x64) to tftp/shim/x64/ in the data "
        "directory, or apt install shim-signed grub-efi-amd64-signed (Debian, Ubuntu; their shim does not start the "
        "kernel of RHCOS)"
    )


def test_red_hat_s_shim_is_not_reported(tmp_path: Path) -> None:
    files = {SHIM: b"MZ Red Hat Secure Boot CA 5", GRUB: b"MZ"}
    assert told(tmp_path, "shim", files) == []


@pytest.mark.parametrize(
    ("key", "name"), [(b"Debian Secure Boot CA", "Debian"), (b"Canonical Ltd. Master CA", "Ubuntu")]
)
def test_shim_that_refuses_the_kernel_of_rhcos_is_reported(key: bytes, name: str, tmp_path: Path) -> None:
    (line,) = told(tmp_path, "shim", {SHIM: b"MZ" + key, GRUB: b"MZ"})
    assert f"data/{SHIM} is a program of {name}, which does not start the kernel of RHCOS" in line


def test_shim_of_another_distribution_may_be_right_for_okd(tmp_path: Path) -> None:
    files = {SHIM: b"MZ Debian Secure Boot CA", GRUB: b"MZ"}
    lines = told(tmp_path, "shim", files, release="4.15.0-0.okd-2024-03-10-010116")
    assert [line for line in lines if "does not start the kernel" in line] == []


def test_loader_that_does_not_exist_for_the_architecture_is_an_error(tmp_path: Path) -> None:
    lines = told(tmp_path, "undionly", {}, arch="arch: aarch64\n    ")
    assert lines[-1].endswith(
        "hosts[5].loader: undionly does not exist for aarch64; use auto, ipxe, ipxe-snp, shim or a file"
    )


def test_loader_of_a_role_is_not_judged_for_a_host_with_its_own(tmp_path: Path) -> None:
    text = with_host(("32\n    address", "32\n    arch: aarch64\n    loader: auto\n    address"))
    (tmp_path / "cluster.yaml").write_text(f"{text}roles: {{worker: {{loader: undionly}}}}\n")

    assert check([tmp_path / "cluster.yaml"], make_data_dir(tmp_path), 0.0).errors == ()


def test_file_that_several_hosts_lack_is_told_once(tmp_path: Path) -> None:
    text = with_host(("32\n    address", "32\n    loader: own.efi\n    address"))
    text = edited(("    address: 192.0.2.31\n", "    address: 192.0.2.31\n    loader: own.efi\n"), text=text)
    (tmp_path / "cluster.yaml").write_text(text)

    found = spelled(tmp_path, check([tmp_path / "cluster.yaml"], make_data_dir(tmp_path), 0.0))

    assert [line[:67] for line in found] == ["cluster.yaml:38: warning: hosts[4].loader: boot file own.efi not fo"]


def test_usual_loader_is_not_missed_where_every_host_has_another(tmp_path: Path) -> None:
    data_dir = make_data_dir(tmp_path)
    (data_dir / "tftp" / "arm64-efi" / "snponly.efi").unlink()
    text = with_host(("32\n    address", "32\n    arch: aarch64\n    loader: own.efi\n    address"))
    (tmp_path / "cluster.yaml").write_text(text)
    lines = spelled(tmp_path, check([tmp_path / "cluster.yaml"], data_dir, 0.0))
    assert [line for line in lines if "snponly.efi" in line] == []


def test_boot_file_that_no_host_loads_is_not_missed(tmp_path: Path) -> None:
    """Every aarch64 host that boots has a loader of its own; the balancer boots nothing."""
    data_dir = make_data_dir(tmp_path)
    (data_dir / "tftp" / "arm64-efi" / "snponly.efi").unlink()
    balancer = edited(("role: worker", "role: other"), ("w2", "lb"), ("32\n", "33\n"), ("0.2.32", "0.2.33"), text=HOST)
    text = with_host(("    address", "    arch: aarch64\n    loader: shim\n    address"))
    text = edited(("dns:\n", f"{balancer}    arch: aarch64\ndns:\n"), text=text)
    (tmp_path / "cluster.yaml").write_text(text)

    found = spelled(tmp_path, check([tmp_path / "cluster.yaml"], data_dir, 0.0))

    assert any("boot file shim/aa64/shimaa64.efi not found" in line for line in found)
    assert not any("snponly" in line for line in found)
