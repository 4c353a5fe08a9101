"""Which file is opened for a name, and that a transfer keeps the version with which it began."""

import errno
import gc
import os
from pathlib import Path

import pytest

from appliance.tftp.compile import NetworkFiles, compile_tftp
from appliance.tftp.files import MAX_FRAMED_SIZES, MEMORY_FILE_BYTES, Content, Files
from appliance.tftp.protocol import Refusal
from tests.clusters import reference_cluster
from tests.swapping import met, swapping


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path / "tftp"
    (directory / "efi").mkdir(parents=True)
    (directory / "efi" / "own.efi").write_bytes(b"first")
    return directory


@pytest.fixture
def served(root: Path) -> NetworkFiles:
    return compile_tftp((reference_cluster(root.parent),)).networks[0]


def opened(files: Files, served: NetworkFiles, name: str) -> Content:
    content = files.open(served, name)
    assert isinstance(content, Content)
    return content


def large_file(path: Path) -> Path:
    path.write_bytes(b"x" * (MEMORY_FILE_BYTES + 1000))
    return path


@pytest.mark.parametrize("name", ["efi/own.efi", "/efi/own.efi", "EFI\\OWN.EFI", "efi//own.efi"])
def test_every_spelling_finds_the_file(name: str, served: NetworkFiles) -> None:
    assert opened(Files(), served, name).read(0, 99) == b"first"


def test_file_that_came_after_the_table_is_found(served: NetworkFiles, root: Path) -> None:
    (root / "later").write_bytes(b"later")
    assert opened(Files(), served, "LATER").read(0, 99) == b"later"


def test_file_that_went_after_the_table_is_not_found(served: NetworkFiles, root: Path) -> None:
    (root / "efi" / "own.efi").unlink()
    assert Files().open(served, "efi/own.efi") is Refusal.NOT_FOUND


def test_missing_file_is_not_found(served: NetworkFiles) -> None:
    assert Files().open(served, "nowhere") is Refusal.NOT_FOUND


@pytest.mark.parametrize("name", ["efi", "/efi/", "../secret", "efi/../../secret", "..\\secret"])
def test_directories_and_parent_steps_are_forbidden(name: str, served: NetworkFiles) -> None:
    assert Files().open(served, name) is Refusal.FORBIDDEN


def test_link_that_leads_out_is_not_found_even_when_it_came_later(served: NetworkFiles, root: Path) -> None:
    own = root / "efi" / "own.efi"
    own.unlink()
    own.symlink_to("/etc/hostname")
    assert Files().open(served, "efi/own.efi") is Refusal.NOT_FOUND


def test_fifo_in_place_of_a_file_is_forbidden(served: NetworkFiles, root: Path) -> None:
    own = root / "efi" / "own.efi"
    own.unlink()
    os.mkfifo(own)
    assert Files().open(served, "efi/own.efi") is Refusal.FORBIDDEN


@pytest.mark.parametrize("directory", ["efi", "later"])
def test_directory_swapped_for_a_link_all_the_time_never_gives_the_file_outside(
    directory: str, served: NetworkFiles, root: Path, tmp_path: Path
) -> None:
    """The table has the path of efi/own.efi, which may have been replaced by a link since."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "own.efi").write_bytes(b"secret")
    (root / "efi").rename(root / "inside")
    files = Files()

    def look() -> object:
        content = files.open(served, f"{directory}/own.efi")
        return content.read(0, 99) if isinstance(content, Content) else content

    with swapping(root / directory, root / "inside", outside):
        assert met(look, b"first", Refusal.NOT_FOUND) == {b"first", Refusal.NOT_FOUND}


@pytest.mark.parametrize("name", ["autoexec.ipxe", "/efi/autoexec.ipxe", "AUTOEXEC.IPXE"])
def test_autoexec_is_found_beside_every_loader(name: str, served: NetworkFiles) -> None:
    assert opened(Files(), served, name).read(0, 9999) == served.autoexec


def test_operators_autoexec_takes_precedence_over_ours(served: NetworkFiles, root: Path) -> None:
    (root / "autoexec.ipxe").write_bytes(b"#!ipxe\nshell\n")
    assert opened(Files(), served, "autoexec.ipxe").read(0, 99) == b"#!ipxe\nshell\n"


def test_transfers_of_one_file_share_its_blocks(served: NetworkFiles) -> None:
    files = Files()
    contents = [opened(files, served, "efi/own.efi") for _ in range(2)]
    assert contents[0].blocks(512) is contents[1].blocks(512)


def test_new_version_leaves_the_transfer_under_way_its_own(served: NetworkFiles, root: Path) -> None:
    files = Files()
    before = opened(files, served, "efi/own.efi")
    (root / "efi" / "own.efi").write_bytes(b"second version")
    assert opened(files, served, "efi/own.efi").read(0, 99) == b"second version"
    assert before.read(0, 99) == b"first"


def test_nothing_is_kept_when_no_transfer_holds_it(served: NetworkFiles) -> None:
    files = Files()
    content = opened(files, served, "efi/own.efi")
    assert len(files._open) == 1
    del content
    gc.collect()
    assert len(files._open) == 0


def test_large_file_is_sent_whole_without_being_kept_in_memory(tmp_path: Path) -> None:
    path = large_file(tmp_path / "large")
    content = Content(descriptor=os.open(path, os.O_RDONLY))
    blocks = content.blocks(1468)
    assert b"".join(datagram[4:] for datagram in blocks[1:]) == path.read_bytes()
    assert content._framed == {}


def test_large_file_replaced_by_another_keeps_its_bytes(tmp_path: Path) -> None:
    path = large_file(tmp_path / "large")
    blocks = Content(descriptor=os.open(path, os.O_RDONLY)).blocks(1468)
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "new").rename(path)
    assert sum(len(datagram) - 4 for datagram in blocks[1:]) == MEMORY_FILE_BYTES + 1000


@pytest.mark.parametrize("change", ["shorten", "overwrite"])
def test_large_file_changed_in_place_is_not_given_to_its_end(change: str, tmp_path: Path) -> None:
    path = large_file(tmp_path / "large")
    blocks = Content(descriptor=os.open(path, os.O_RDONLY)).blocks(1468)
    with path.open("r+b") as file:
        file.truncate(1000) if change == "shorten" else file.write(b"new")
    os.utime(path, ns=(0, 0))  # the timestamps of file systems are coarser than this test is fast
    with pytest.raises(OSError, match="changed") as caught:
        blocks[len(blocks) - 1]
    assert caught.value.errno == errno.ESTALE


def test_many_block_sizes_do_not_multiply_the_memory() -> None:
    content = Content(bytes(10_000))
    for size in range(512, 600):
        assert b"".join(datagram[4:] for datagram in content.blocks(size)[1:]) == bytes(10_000)
    assert len(content._framed) == MAX_FRAMED_SIZES


@pytest.mark.parametrize("name", ["menu", "Menu", "/MENU", "\\Menu", "./menu"])
def test_the_exact_name_takes_precedence_over_those_that_differ_in_case(tmp_path: Path, name: str) -> None:
    (tmp_path / "tftp").mkdir()
    for spelled in ("menu", "Menu", "MENU"):
        (tmp_path / "tftp" / spelled).write_text(spelled)
    content = Files().open(compile_tftp((reference_cluster(tmp_path),)).networks[0], name)

    assert isinstance(content, Content)
    assert content.read(0, 9).decode() == name.strip("./\\")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bootstrap.ign", b"anything"),
        ("auth/x", b"anything"),
        ("pxelinux.cfg", b'{"auths":{}}'),
        ("boot.img", b'{"ignition":{"version":"3.2.0"}}'),
    ],
)
@pytest.mark.parametrize("is_in_table", [True, False])
def test_file_with_secrets_is_refused(name: str, content: bytes, is_in_table: bool, root: Path) -> None:
    before = None if is_in_table else compile_tftp((reference_cluster(root.parent),)).networks[0]
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_bytes(content)
    served = before or compile_tftp((reference_cluster(root.parent),)).networks[0]
    assert Files().open(served, name) is Refusal.CONFIDENTIAL


def test_client_is_not_told_that_a_file_has_secrets() -> None:
    errors = compile_tftp((reference_cluster(),)).errors
    assert errors[Refusal.CONFIDENTIAL] == errors[Refusal.FORBIDDEN]


@pytest.mark.parametrize(
    "name",
    [
        "efi/own.efi\udcff",
        "efi/own.efi\udcff\udcff",
        "efi/own.efi:\x04",
        "efi/own.efiC\x0b",
        "efi/own.efi ",
        "efi/own.efi\n",
    ],
)
def test_name_read_past_its_end_gets_the_file(name: str, served: NetworkFiles) -> None:
    assert opened(Files(), served, name).read(0, 99) == b"first"


def test_name_as_long_as_possible_takes_precedence(served: NetworkFiles, root: Path) -> None:
    (root / "efi" / "own.efi+").write_bytes(b"second")
    assert opened(Files(), served, "efi/own.efi+\x04").read(0, 99) == b"second"


@pytest.mark.parametrize("name", ["efi/own.efix", "efi/own.efi:x", "efi/own.efixx\x04", "\udcff", "\x04", " "])
def test_name_that_is_longer_in_any_other_way_is_not_found(name: str, served: NetworkFiles) -> None:
    assert Files().open(served, name) in (Refusal.NOT_FOUND, Refusal.FORBIDDEN)
