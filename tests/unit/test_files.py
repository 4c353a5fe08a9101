"""Files on disk: which of them are opened, and why others are not."""

import os
import resource
from pathlib import Path

import pytest

from appliance import files
from appliance.confidential import confidential_content
from appliance.files import Fault, UnservableError, diagnosis, find_below, normalised, open_below, open_public
from tests.swapping import met, swapping


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


def is_public(root: Path, path: str) -> bool:
    try:
        os.close(open_public(root, path)[0])
    except UnservableError as error:
        return error.fault is not Fault.CONFIDENTIAL
    return True


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
    """Return the result of opening *path* below *root* as the user nobody: "opened", or status and error."""
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
def test_error_for_an_unreadable_file_has_its_mode_and_the_remedy(root: Path) -> None:
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


FAULTS = {
    "none.img": Fault.MISSING,
    "sub": Fault.DIRECTORY,
    "": Fault.DIRECTORY,
    "out.img": Fault.OUTSIDE,
    "outdir": Fault.OUTSIDE,
    "../secret": Fault.OUTSIDE,
    "pipe": Fault.SPECIAL,
    "loop": Fault.LOOP,
    "in\0/file": Fault.MISSING,
    "\ud800": Fault.MISSING,
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault_says_what_kept_the_file_from_being_opened(name: str, root: Path, tmp_path: Path) -> None:
    (root / "out.img").symlink_to("../secret")
    (root / "outdir").symlink_to(tmp_path)
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "pipe")
    with pytest.raises(UnservableError) as caught:
        open_below(root, name)
    assert caught.value.fault is FAULTS[name]


def test_absolute_name_is_looked_up_below_the_root(root: Path) -> None:
    assert content(root, "/a.img") == b"abc"
    assert status(root, "/etc/hostname") == 404


def test_absolute_link_to_a_file_below_the_root_is_followed(root: Path) -> None:
    (root / "link.img").symlink_to(root / "sub" / "b.img")
    assert content(root, "link.img") == b"b"


def test_process_without_a_descriptor_left_says_so(root: Path) -> None:
    held = [os.open(root, os.O_PATH)]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (held[0], hard))
    try:
        with pytest.raises(UnservableError) as caught:
            open_below(root, "a.img")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        os.close(held[0])
    assert (caught.value.status, caught.value.fault) == (503, Fault.EXHAUSTED)


@pytest.mark.parametrize("in_any_case", [False, True])
@pytest.mark.parametrize("what", ["file", "directory"])
def test_link_that_is_swapped_all_the_time_never_gives_the_file_outside(
    what: str, in_any_case: bool, root: Path, tmp_path: Path
) -> None:
    """The name is looked up, checked and opened, and a link can change between any two of these steps."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "b.img").write_bytes(b"secret")
    inside = root / "sub"
    name, targets = (
        ("link/b.img", (inside, outside)) if what == "directory" else ("link", (inside / "b.img", outside / "b.img"))
    )

    def look() -> object:
        try:
            fd, _ = open_below(root, name, in_any_case=in_any_case)
        except UnservableError as error:
            return error.fault
        with os.fdopen(fd, "rb") as file:
            return file.read()

    with swapping(root / "link", *targets):
        assert met(look, b"b", Fault.OUTSIDE) == {b"b", Fault.OUTSIDE}


@pytest.mark.parametrize(
    "name", ["/efi/ipxe.efi", "efi\\ipxe.efi", "\\EFI\\IPXE.EFI", "efi//ipxe.efi", "./efi/ipxe.efi"]
)
def test_every_spelling_of_a_boot_file_is_one_name(name: str) -> None:
    assert normalised(name) == "efi/ipxe.efi"


def test_exact_spelling_takes_precedence_over_another_case(tmp_path: Path) -> None:
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


def test_content_is_judged_once_for_each_version_of_a_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[bytes] = []

    def judge(head: bytes) -> str:
        judged.append(head)
        return confidential_content(head)

    monkeypatch.setattr(files, "confidential_content", judge)
    key = b"-----BEGIN RSA PRIVATE KEY-----"
    for content in (b"harmless", key):
        (root / "x").write_bytes(content)
        for _ in range(3):
            assert is_public(root, "x") is (content != key)
    assert judged == [b"harmless", key]


def test_verdicts_are_bounded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_VERDICTS", 4)
    for number in range(20):
        (root / "x").write_bytes(bytes(number))
        os.close(open_public(root, "x")[0])
    assert len(files._verdicts) <= 4


@pytest.mark.parametrize(
    "name",
    [
        "agent.x86_64-initrd.img",
        "sub/node.aarch64-initrd.img",
        "agent-initrd.x86_64.img",
        "Agent.x86_64-initrd.IMG",
        "agent.x86_64-initrd.img.bak",
        "old-agent.x86_64-initrd.img~",
    ],
)
def test_initramfs_with_ignition_is_not_public_under_its_name_or_by_a_link(root: Path, name: str) -> None:
    (root / name).write_bytes(b"initramfs")
    (root / "link.img").symlink_to(name)
    assert not is_public(root, name)
    assert not is_public(root, "link.img")
    for each in (name, "link.img"):
        os.close(open_public(root, each, may_be_sealed=True)[0])


@pytest.mark.parametrize("name", ["agent.x86_64-vmlinuz", "agent.x86_64-rootfs.img", "rhcos-live-initramfs.x86_64.img"])
def test_other_files_that_machines_boot_are_public(root: Path, name: str) -> None:
    (root / name).write_bytes(b"file")
    assert is_public(root, name)
