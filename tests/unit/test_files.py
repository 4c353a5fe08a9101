"""Files on disk: which are opened, and why the others are not."""

import os
from pathlib import Path

import pytest

from appliance.files import UnservableError, diagnosis, open_below


@pytest.fixture
def root(tmp_path: Path) -> Path:
    images = tmp_path / "images"
    (images / "sub").mkdir(parents=True)
    (images / "a.img").write_bytes(b"abc")
    (images / "sub" / "b.img").write_bytes(b"b")
    (tmp_path / "secret").write_bytes(b"secret")
    return images


def status(root: Path, path: str) -> int:
    with pytest.raises(UnservableError) as caught:
        os.close(open_below(root, path)[0])
    return caught.value.status


def content(root: Path, path: str) -> bytes:
    fd, identity = open_below(root, path)
    with os.fdopen(fd, "rb") as file:
        data = file.read()
    assert identity.size == len(data)
    return data


def test_file_is_opened_with_what_identifies_it(root: Path) -> None:
    fd, identity = open_below(root, "a.img")
    os.close(fd)
    facts = (root / "a.img").stat()
    assert identity.etag == f'"{facts.st_mtime_ns:x}-3-{facts.st_ino:x}"'
    assert identity.modified_ns == facts.st_mtime_ns


def test_file_in_a_subdirectory_is_opened(root: Path) -> None:
    assert content(root, "sub/b.img") == b"b"


def test_link_to_a_file_below_the_root_is_followed(root: Path) -> None:
    (root / "link.img").symlink_to("sub/b.img")
    assert content(root, "link.img") == b"b"


def test_root_may_itself_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "big-disk").symlink_to(root)
    assert content(tmp_path / "big-disk", "a.img") == b"abc"


def test_link_out_of_the_root_is_refused(root: Path) -> None:
    (root / "out.img").symlink_to("../secret")
    assert status(root, "out.img") == 403


def test_directory_link_out_of_the_root_is_refused(root: Path, tmp_path: Path) -> None:
    (root / "up").symlink_to(tmp_path)
    assert status(root, "up/secret") == 403


def test_neighbour_of_the_root_with_a_longer_name_is_outside(root: Path, tmp_path: Path) -> None:
    (tmp_path / "images-private").mkdir()
    (tmp_path / "images-private" / "x").write_bytes(b"x")
    (root / "out").symlink_to(tmp_path / "images-private" / "x")
    assert status(root, "out") == 403


def test_file_that_is_not_there_is_a_404(root: Path) -> None:
    assert status(root, "none.img") == 404
    assert status(root, "a.img/b") == 404
    assert status(root, "x" * 5000) == 404


def test_directory_is_a_404(root: Path) -> None:
    assert status(root, "sub") == 404


def test_dangling_link_is_a_404(root: Path) -> None:
    (root / "gone").symlink_to("nowhere")
    assert status(root, "gone") == 404


def test_loop_of_links_is_refused(root: Path) -> None:
    (root / "x").symlink_to("y")
    (root / "y").symlink_to("x")
    assert status(root, "x") == 403


def test_named_pipe_is_refused_without_waiting_for_a_writer(root: Path) -> None:
    os.mkfifo(root / "pipe")
    assert status(root, "pipe") == 403


def test_device_is_refused(root: Path) -> None:
    (root / "zero").symlink_to("/dev/zero")
    assert status(root, "zero") == 403


def test_root_that_is_not_there_is_a_404(tmp_path: Path) -> None:
    assert status(tmp_path / "nothing", "a.img") == 404


def test_refused_file_leaves_no_descriptor_open(root: Path) -> None:
    (root / "out.img").symlink_to("../secret")
    before = len(os.listdir("/proc/self/fd"))
    status(root, "out.img")
    assert len(os.listdir("/proc/self/fd")) == before


def as_nobody(root: Path, path: str) -> str:
    """Return what an unprivileged process is told that opens *path* below *root*."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setresuid(65534, 65534, 65534)
            open_below(root, path)
            os.write(writer, b"opened")
        except UnservableError as error:
            os.write(writer, f"{error.status} {error}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as told:
        return told.read()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_unreadable_file_tells_its_mode_and_the_remedy(root: Path) -> None:
    for parent in [root, *root.parents][:-2]:
        parent.chmod(0o755)
    (root / "a.img").chmod(0o600)
    told = as_nobody(root, "a.img")
    assert told.startswith("403 uid 65534 may not read")
    assert "mode 0600, root:root" in told
    assert f"chmod a+r {root / 'a.img'}" in told


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_directory_that_may_not_be_entered_is_named(root: Path) -> None:
    for parent in [root, *root.parents][:-2]:
        parent.chmod(0o755)
    (root / "sub").chmod(0o700)
    assert f"chmod a+x {root / 'sub'}" in as_nobody(root, "sub/b.img")


def test_file_that_its_modes_allow_points_to_what_else_forbids(root: Path) -> None:
    assert "SELinux" in diagnosis(root / "a.img") or "AppArmor" in diagnosis(root / "a.img")
