"""What lies in the data directory for others: files that must not be served, and modes that let others in."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.config import check
from appliance.files import group_name, user_name
from tests.config_files import CLEAN, make_data_dir, nobodys_directory

KUBECONFIG = "clusters:\n- cluster:\n    server: https://api:6443\n"


def warnings(root: Path) -> list[str]:
    """Return the warnings about CLEAN and its data directory as it is, without its name."""
    (root / "cluster.yaml").write_text(CLEAN)
    checked = check([root / "cluster.yaml"], root / "data", 0.0)
    assert checked.errors == ()
    return [problem.message.replace(f"{root}/data", "DATA") for problem in checked.problems]


@pytest.fixture
def open_root() -> Iterator[Path]:
    """Yield a directory that everybody may enter."""
    with nobodys_directory() as root:
        root.chmod(0o755)
        make_data_dir(root)
        for directory, _, names in os.walk(root):
            os.chmod(directory, 0o755)
            for name in names:
                os.chmod(Path(directory, name), 0o640)
        yield root


@pytest.mark.parametrize("place", ["images/auth/kubeconfig", "tftp/auth/kubeconfig", "images/admin.conf", "tftp/efi/x"])
def test_secret_file_in_a_served_directory_is_reported(place: str, tmp_path: Path) -> None:
    path = make_data_dir(tmp_path) / place
    path.parent.mkdir(exist_ok=True)
    path.write_text(KUBECONFIG)
    (told,) = warnings(tmp_path)
    assert told.startswith(f"DATA/{place} looks like ")


def test_image_that_is_an_ignition_file_is_reported(tmp_path: Path) -> None:
    (make_data_dir(tmp_path) / "images" / "x").hardlink_to(tmp_path / "data" / "ignition" / "bootstrap.ign")
    assert warnings(tmp_path) == [
        "DATA/images/x looks like an Ignition file, which is never served; remove it from there"
    ]


def test_many_secret_files_are_summed_up(tmp_path: Path) -> None:
    for number in range(12):
        (make_data_dir(tmp_path) / "images" / f"{number}.ign").write_text("x")
    told = warnings(tmp_path)
    assert (len(told), told[-1]) == (6, "the same is true of 7 more files")


def test_pipe_in_a_served_directory_holds_nothing_up(tmp_path: Path) -> None:
    os.mkfifo(make_data_dir(tmp_path) / "images" / "pipe")
    assert warnings(tmp_path) == []


def test_directory_with_safe_modes_is_no_problem(open_root: Path) -> None:
    assert warnings(open_root) == []


@pytest.mark.parametrize("name", ["ignition/bootstrap.ign", "ignition/bootstrap.ign.bak", "auth/kubeconfig", "old.ign"])
def test_secret_file_that_everybody_can_read_is_reported(name: str, open_root: Path) -> None:
    path = open_root / "data" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("{}" if name.endswith("bak") else '{"ignition": {"version": "3.2.0"}}')
    path.parent.chmod(0o755)
    path.chmod(0o644)
    (told,) = warnings(open_root)
    assert told.startswith(f"every user of this machine can read DATA/{name} (mode 0644); chmod o-r it")


@pytest.mark.parametrize("barred", ["", "data", "data/ignition"])
def test_secret_file_in_a_directory_that_keeps_others_out_is_no_problem(barred: str, open_root: Path) -> None:
    (open_root / "data" / "ignition" / "bootstrap.ign").chmod(0o644)
    (open_root / barred).chmod(0o750)
    assert warnings(open_root) == []


def test_link_to_a_directory_that_keeps_others_out_is_no_problem(open_root: Path) -> None:
    (open_root / "private").mkdir(mode=0o700)
    (open_root / "data").rename(open_root / "private" / "data")
    (open_root / "data").symlink_to(open_root / "private" / "data")
    (open_root / "private" / "data" / "ignition" / "bootstrap.ign").chmod(0o644)
    assert warnings(open_root) == []


@pytest.mark.parametrize("name", ["", "images", "ignition", "tftp"])
@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o757])
def test_directory_that_everybody_can_write_to_is_reported(name: str, mode: int, open_root: Path) -> None:
    (open_root / "data" / name).chmod(mode)
    (told,) = warnings(open_root)
    assert f"every user of this machine can write to {Path('DATA', name)} (mode {mode:04o})" in told


def test_directory_that_a_group_can_write_to_is_reported_unless_it_is_the_owners_own(open_root: Path) -> None:
    images = open_root / "data" / "images"
    images.chmod(0o775)
    owner, group = user_name(images.stat().st_uid), group_name(images.stat().st_gid)
    wanted = [] if owner == group else [f"the group {group} can write to DATA/images (mode 0775)"]
    assert [told.partition(",")[0] for told in warnings(open_root)] == wanted


@pytest.mark.parametrize("name", ["images", "ignition", "tftp", "auth"])
def test_directory_that_cannot_be_read_is_passed_over(name: str, open_root: Path) -> None:
    (open_root / "data" / name).mkdir(exist_ok=True)
    (open_root / "data" / name).chmod(0)
    try:
        assert not [told for told in warnings(open_root) if "every user" in told or "looks like" in told]
    finally:
        (open_root / "data" / name).chmod(0o755)


def test_data_directory_that_is_a_link_to_itself_has_no_modes(tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to("data")
    assert not [told for told in warnings(tmp_path) if "(mode" in told]


@pytest.mark.parametrize(("mode", "is_told"), [(0o644, True), (0o640, False)])
def test_initramfs_with_ignition_that_everybody_can_read_is_reported(open_root: Path, mode: int, is_told: bool) -> None:
    images = open_root / "data" / "images" / "boot-artifacts"
    images.mkdir(mode=0o755)
    initrd = images / "agent.x86_64-initrd.img"
    initrd.write_bytes(b"070701")
    initrd.chmod(mode)
    text = CLEAN.replace("release: 4.16.3", "release: 4.16.3\nboot: agent").replace("role: bootstrap", "role: worker")
    (open_root / "cluster.yaml").write_text(text)
    checked = check([open_root / "cluster.yaml"], open_root / "data", 0.0)
    found = [
        problem.message for problem in checked.problems if "every user of this machine can read" in problem.message
    ]
    assert [str(initrd) in message for message in found] == [True] * is_told
