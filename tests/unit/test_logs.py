"""The log: whose lines are in it."""

import logging
from collections.abc import Iterator

import pytest

from appliance import logs


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("appliance")
    before = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:], root.level, level = before
    ours.setLevel(level)


@pytest.mark.parametrize(("is_verbose", "told"), [(False, ["info"]), (True, ["debug", "info"])])
def test_log_has_our_lines_and_no_librarys(
    capsys: pytest.CaptureFixture[str], is_verbose: bool, told: list[str]
) -> None:
    logs.configure("text", is_verbose=is_verbose)
    for name in ("appliance.web", "tftpy.TftpPacketTypes", "asyncio"):
        logging.getLogger(name).debug("debug")
        logging.getLogger(name).info("info")
    assert [line.split()[-1] for line in capsys.readouterr().err.splitlines()] == told
