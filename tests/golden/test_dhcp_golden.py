"""DHCP exchanges stay as they were reviewed; tests/dhcp_golden.py writes the files again."""

import pytest

from tests.dhcp_golden import DIRECTORY, EXCHANGES, render


@pytest.mark.parametrize("name", EXCHANGES)
def test_exchange_is_as_its_file_has_it(name: str) -> None:
    assert render(name) == (DIRECTORY / f"{name}.txt").read_text()


def test_every_file_is_of_an_exchange() -> None:
    assert {path.stem for path in DIRECTORY.iterdir()} == set(EXCHANGES)
