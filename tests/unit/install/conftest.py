"""A fleet for each test."""

from collections.abc import Iterator

import pytest

from tests.boots import LEGACY, LIVE, Fleet


@pytest.fixture
def legacy(tmp_path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path, LEGACY)
    yield fleet
    fleet.journal.close()


@pytest.fixture
def live(tmp_path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path, LIVE)
    yield fleet
    fleet.journal.close()
