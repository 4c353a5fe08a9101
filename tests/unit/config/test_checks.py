"""How the checks of cluster.yaml work together, and files that look wrong but are right."""

import os
import re
from pathlib import Path

from appliance.boot.loaders import package_hint
from appliance.config import check
from tests.config_files import CLEAN, check_text, edited, make_data_dir, nobodys_directory, spelled, told


def test_clean_file_has_no_problem(tmp_path: Path) -> None:
    assert told(tmp_path, CLEAN) == []


def test_one_bad_value_hides_no_other_problem(tmp_path: Path) -> None:
    text = edited(("name: prod", "name: p_d"), ("address: 192.0.2.22", "address: 192.0.2.21"), ("4.16.3", "x"))

    assert [line.split(": ")[1] for line in told(tmp_path, text)] == ["metadata.name", "release", "hosts[2].address"]


def test_unreadable_network_does_not_make_hosts_strangers(tmp_path: Path) -> None:
    assert len(told(tmp_path, edited(("192.0.2.0/24", "192.0.2.0/240")))) == 1


def test_problems_come_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = edited(("name: prod", "name: p_d"), ("52:54:00:00:00:23", "x"), ("192.0.2.20", "y"))
    lines = [problem.line for problem in check_text(tmp_path, text).problems]

    assert lines == sorted(lines)


def test_single_node_needs_no_load_balancer(tmp_path: Path) -> None:
    text = re.sub(r"  - hostname: (m2|m3|w1)\n(    .*\n){3}", "", CLEAN)
    (cluster,) = check_text(tmp_path, edited(("apiVIPs: 192.0.2.8\ningressVIPs: 192.0.2.9\n", ""), text=text)).clusters

    assert [str(vip) for vip in (*cluster.api_vips, *cluster.api_int_vips, *cluster.ingress_vips)] == ["192.0.2.21"] * 3


def test_compact_cluster_may_spread_routes_over_its_nodes(tmp_path: Path) -> None:
    assert told(tmp_path, edited(("ingressVIPs: 192.0.2.9", "ingressVIPs: [192.0.2.21, 192.0.2.22]"))) == []


def test_31_bit_network_has_two_addresses_for_machines(tmp_path: Path) -> None:
    network = "      gateway: 192.0.2.1\n    - cidr: 198.51.100.8/31\n      gateway: 198.51.100.8\n"
    text = edited(("      gateway: 192.0.2.1\n", network), ("address: 192.0.2.31", "address: 198.51.100.9"))

    assert told(tmp_path, text) == []


def test_missing_image_warns_where_to_put_it(tmp_path: Path) -> None:
    image = make_data_dir(tmp_path) / "images" / "own-kernel"

    assert told(tmp_path, f"{CLEAN}images: {{kernel: own-kernel}}\n") == [
        (
            f"40: warning: images.kernel: kernel {image.relative_to(tmp_path)} not found; "
            "download it from the mirror to this path"
        )
    ]


def test_missing_kernel_of_the_other_spelling_is_pointed_at(tmp_path: Path) -> None:
    images = make_data_dir(tmp_path) / "images"
    (images / "k-live-kernel-x86_64").write_text("x")

    assert told(tmp_path, f"{CLEAN}images: {{kernel: k-live-kernel.x86_64}}\n") == [
        (
            "40: warning: images.kernel: kernel data/images/k-live-kernel.x86_64 not found, "
            "but k-live-kernel-x86_64 exists; write that name as images.kernel"
        )
    ]


def test_directory_in_an_image_place_is_reported(tmp_path: Path) -> None:
    (make_data_dir(tmp_path) / "images" / "k").mkdir()

    assert told(tmp_path, f"{CLEAN}images: {{kernel: k}}\n") == [
        "40: warning: images.kernel: kernel data/images/k is a directory; replace it with the file"
    ]


def test_empty_image_is_reported(tmp_path: Path) -> None:
    (make_data_dir(tmp_path) / "images" / "k").touch()

    assert told(tmp_path, f"{CLEAN}images: {{kernel: k}}\n") == [
        "40: warning: images.kernel: kernel data/images/k is empty; download it again"
    ]


def test_warnings_alone_still_give_the_cluster(tmp_path: Path) -> None:
    checked = check_text(tmp_path, f"{CLEAN}images: {{kernel: own-kernel}}\n")

    assert (len(checked.clusters), len(checked.warnings), checked.errors) == (1, 1, ())


def test_fifo_in_an_image_place_is_reported(tmp_path: Path) -> None:
    os.mkfifo(make_data_dir(tmp_path) / "images" / "k")

    assert told(tmp_path, f"{CLEAN}images: {{kernel: k}}\n") == [
        "40: warning: images.kernel: kernel data/images/k is not a regular file; replace it with the file"
    ]


def test_legacy_release_does_not_use_a_root_file_system(tmp_path: Path) -> None:
    lines = told(tmp_path, edited(("4.16.3", "4.5.6")) + "images: {rootfs: r}\n")

    assert "40: warning: images.rootfs: not used: release 4.5 installs images.metal" in lines


def test_missing_boot_file_names_the_package(tmp_path: Path) -> None:
    (make_data_dir(tmp_path) / "tftp" / "arm64-efi" / "snponly.efi").unlink()
    (tmp_path / "cluster.yaml").write_text(CLEAN.replace("role: worker\n", "role: worker\n    arch: aarch64\n"))
    checked = check([tmp_path / "cluster.yaml"], tmp_path / "data", 0.0)
    told_of_it = [line for line in spelled(tmp_path, checked) if "boot file" in line]

    assert told_of_it == [
        "cluster.yaml:34: warning: hosts[4]: boot file arm64-efi/snponly.efi for aarch64 not found; "
        + package_hint("arm64-efi/snponly.efi")
    ]


def test_image_that_may_not_be_read_is_reported() -> None:
    with nobodys_directory() as directory:
        (make_data_dir(directory) / "images" / "k").touch(0)
        (line,) = told(directory, f"{CLEAN}images: {{kernel: k}}\n")

    assert line == (
        "40: warning: images.kernel: kernel data/images/k cannot be read by this user; "
        "chown it to the user that runs the appliance, or chmod a+r it if it is not secret"
    )
