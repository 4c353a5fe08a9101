"""Fixtures with a fleet."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boots import LEGACY, LIVE, Fleet


@pytest.fixture
def quick_path(tmp_path) -> Iterator[Path]:
    """A directory in memory, if there is one: SQLite syncs each new file, and many tests make files."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)


@pytest.fixture
def legacy(quick_path) -> Iterator[Fleet]:
    fleet = Fleet(quick_path, LEGACY)
    yield fleet
    fleet.journal.close()


@pytest.fixture
def live(quick_path) -> Iterator[Fleet]:
    fleet = Fleet(quick_path, LIVE)
    yield fleet
    fleet.journal.close()
