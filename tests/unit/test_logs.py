"""The log: whose lines are in it."""

import logging
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

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


def logged_to_a_reader_that_sleeps(monkeypatch: pytest.MonkeyPatch, lines: int) -> list[str]:
    """Log so many lines to a pipe that nobody reads until then; return what can be read afterwards."""
    reading, writing = os.pipe()
    with open(reading, "rb") as reader, open(writing, "w") as writer:
        monkeypatch.setattr(sys, "stderr", writer)
        logs.configure("text", is_verbose=False)
        logger = logging.getLogger("appliance.test")
        for number in range(lines):
            logger.info("number=%d %s", number, "x" * 100)
        with ThreadPoolExecutor() as pool:
            came = pool.submit(reader.read)
            logging.getLogger().handlers[0].flush()
            writer.close()
            text = came.result().decode()
    return [line.split()[1] for line in text.splitlines()]


def test_a_reader_that_sleeps_keeps_nobody_waiting_and_misses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = 2000  # three times what a pipe holds
    assert logged_to_a_reader_that_sleeps(monkeypatch, lines) == [f"number={number}" for number in range(lines)]


def test_lines_past_what_is_held_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_HELD_BYTES", 10_000)
    came = logged_to_a_reader_that_sleeps(monkeypatch, 2000)
    kept = [line for line in came if line.startswith("number=")]
    assert kept == [f"number={number}" for number in range(len(kept))]
    assert came[len(kept) :] == [f"lines={2000 - len(kept)}:"]
