"""Which file a name leads to, and that a transfer keeps the version it began with."""

import errno
import gc
import os
from pathlib import Path

import pytest

from appliance.tftp.compile import Site, compile_tftp
from appliance.tftp.files import MAX_FRAMED_SIZES, MEMORY_FILE_BYTES, Content, Files
from appliance.tftp.protocol import Refusal
from tests.clusters import reference_cluster


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path / "tftp"
    (directory / "efi").mkdir(parents=True)
    (directory / "efi" / "own.efi").write_bytes(b"first")
    return directory


@pytest.fixture
def site(root: Path) -> Site:
    return compile_tftp((reference_cluster(root.parent),)).sites[0]


def opened(files: Files, site: Site, name: str) -> Content:
    content = files.open(site, name)
    assert isinstance(content, Content)
    return content


def large_file(path: Path) -> Path:
    path.write_bytes(b"x" * (MEMORY_FILE_BYTES + 1000))
    return path


@pytest.mark.parametrize("name", ["efi/own.efi", "/efi/own.efi", "EFI\\OWN.EFI", "efi//own.efi"])
def test_every_spelling_finds_the_file(name: str, site: Site) -> None:
    assert opened(Files(), site, name).read(0, 99) == b"first"


def test_file_that_came_after_the_table_is_found(site: Site, root: Path) -> None:
    (root / "later").write_bytes(b"later")
    assert opened(Files(), site, "LATER").read(0, 99) == b"later"


def test_file_that_went_after_the_table_is_not_found(site: Site, root: Path) -> None:
    (root / "efi" / "own.efi").unlink()
    assert Files().open(site, "efi/own.efi") is Refusal.NOT_FOUND


def test_missing_file_is_not_found(site: Site) -> None:
    assert Files().open(site, "nowhere") is Refusal.NOT_FOUND


@pytest.mark.parametrize("name", ["efi", "/efi/", "../secret", "efi/../../secret", "..\\secret"])
def test_directories_and_parent_steps_are_forbidden(name: str, site: Site) -> None:
    assert Files().open(site, name) is Refusal.FORBIDDEN


def test_link_that_leads_out_is_not_found_even_when_it_came_later(site: Site, root: Path) -> None:
    own = root / "efi" / "own.efi"
    own.unlink()
    own.symlink_to("/etc/hostname")
    assert Files().open(site, "efi/own.efi") is Refusal.NOT_FOUND


def test_fifo_in_place_of_a_file_is_forbidden(site: Site, root: Path) -> None:
    own = root / "efi" / "own.efi"
    own.unlink()
    os.mkfifo(own)
    assert Files().open(site, "efi/own.efi") is Refusal.FORBIDDEN


@pytest.mark.parametrize("name", ["autoexec.ipxe", "/efi/autoexec.ipxe", "AUTOEXEC.IPXE"])
def test_autoexec_is_found_beside_every_loader(name: str, site: Site) -> None:
    assert opened(Files(), site, name).read(0, 9999) == site.autoexec


def test_operators_autoexec_goes_before_ours(site: Site, root: Path) -> None:
    (root / "autoexec.ipxe").write_bytes(b"#!ipxe\nshell\n")
    assert opened(Files(), site, "autoexec.ipxe").read(0, 99) == b"#!ipxe\nshell\n"


def test_transfers_of_one_file_share_its_blocks(site: Site) -> None:
    files = Files()
    contents = [opened(files, site, "efi/own.efi") for _ in range(2)]
    assert contents[0].blocks(512) is contents[1].blocks(512)


def test_new_version_leaves_the_transfer_under_way_its_own(site: Site, root: Path) -> None:
    files = Files()
    before = opened(files, site, "efi/own.efi")
    (root / "efi" / "own.efi").write_bytes(b"second version")
    assert opened(files, site, "efi/own.efi").read(0, 99) == b"second version"
    assert before.read(0, 99) == b"first"


def test_nothing_is_kept_when_no_transfer_holds_it(site: Site) -> None:
    files = Files()
    content = opened(files, site, "efi/own.efi")
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
    os.utime(path, ns=(0, 0))  # the clock of file systems ticks slower than this test
    with pytest.raises(OSError, match="changed") as caught:
        blocks[len(blocks) - 1]
    assert caught.value.errno == errno.ESTALE


def test_many_block_sizes_do_not_multiply_the_memory() -> None:
    content = Content(bytes(10_000))
    for size in range(512, 600):
        assert b"".join(datagram[4:] for datagram in content.blocks(size)[1:]) == bytes(10_000)
    assert len(content._framed) == MAX_FRAMED_SIZES


@pytest.mark.parametrize("name", ["menu", "Menu", "/MENU", "\\Menu", "./menu"])
def test_the_exact_name_goes_before_those_that_differ_in_case(tmp_path: Path, name: str) -> None:
    (tmp_path / "tftp").mkdir()
    for spelled in ("menu", "Menu", "MENU"):
        (tmp_path / "tftp" / spelled).write_text(spelled)
    content = Files().open(compile_tftp((reference_cluster(tmp_path),)).sites[0], name)

    assert isinstance(content, Content)
    assert content.read(0, 9).decode() == name.strip("./\\")
