"""Checking images before a node downloads them."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.events import Event, FileUnservable, ImageDamaged, ImageVerified
from appliance.model import Arch, Image
from appliance.web.compile import Site, compile_web
from appliance.web.watch import ImageWatch
from tests.clusters import LEGACY_IMAGES, reference_cluster

CONTENT = b"image" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def site(data_dir: Path, sha256: str | None) -> Site:
    images = replace(LEGACY_IMAGES, metal=Image("metal.raw.gz", sha256))
    return compile_web((reference_cluster(data_dir, images={Arch.X86_64: images}),)).sites[0]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "images" / "metal.raw.gz"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    os.utime(path, (0, 0))  # copied long ago
    return path


async def test_image_with_the_right_hash_is_verified_once(tmp_path: Path, image: Path) -> None:
    told: list[Event] = []
    watch = ImageWatch(told.append)
    await watch.look(site(tmp_path, SHA256.upper()))
    await watch.look(site(tmp_path, SHA256))
    assert [type(event) for event in told] == [ImageVerified]


async def test_damaged_image_is_reported_with_both_hashes(tmp_path: Path, image: Path) -> None:
    told: list[Event] = []
    await ImageWatch(told.append).look(site(tmp_path, "0" * 64))
    assert told == [ImageDamaged("", str(image), SHA256, "0" * 64)]


async def test_image_that_is_mended_is_verified_again(tmp_path: Path, image: Path) -> None:
    told: list[Event] = []
    watch = ImageWatch(told.append)
    image.write_bytes(b"damaged")
    os.utime(image, (0, 0))
    await watch.look(site(tmp_path, SHA256))
    image.write_bytes(CONTENT)
    os.utime(image, (1, 1))
    await watch.look(site(tmp_path, SHA256))
    assert [type(event) for event in told] == [ImageDamaged, ImageVerified]


async def test_image_that_is_still_being_copied_is_left_alone(tmp_path: Path, image: Path) -> None:
    told: list[Event] = []
    image.write_bytes(CONTENT[:10])
    await ImageWatch(told.append).look(site(tmp_path, SHA256))
    assert told == []


async def test_image_that_is_dated_in_the_future_is_verified(tmp_path: Path, image: Path) -> None:
    told: list[Event] = []
    os.utime(image, (2**32, 2**32))
    await ImageWatch(told.append).look(site(tmp_path, SHA256))
    assert [type(event) for event in told] == [ImageVerified]


async def test_image_without_a_hash_is_not_read(tmp_path: Path, image: Path) -> None:
    told: list[Event] = []
    await ImageWatch(told.append).look(site(tmp_path, None))
    assert told == []


async def test_image_that_cannot_be_served_is_reported_once(tmp_path: Path, image: Path) -> None:
    told: list[Event] = []
    watch = ImageWatch(told.append)
    image.unlink()
    image.symlink_to("/etc/passwd")
    await watch.look(site(tmp_path, None))
    await watch.look(site(tmp_path, None))
    assert [type(event) for event in told] == [FileUnservable]
