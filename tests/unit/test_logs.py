"""The log: which lines it contains, and in which form."""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from appliance import logs
from appliance.events import DhcpOffered, Program, Stamped, WebKind, WebProgress


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("appliance")
    before = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:], root.level, level = before
    ours.setLevel(level)


@pytest.mark.parametrize(("is_verbose", "told"), [(False, ["info"]), (True, ["debug", "info"])])
def test_log_has_our_lines_and_no_librarys(
    capfd: pytest.CaptureFixture[str], is_verbose: bool, told: list[str]
) -> None:
    logs.configure("text", is_verbose=is_verbose)
    for name in ("appliance.web", "tftpy.TftpPacketTypes", "asyncio"):
        logging.getLogger(name).debug("debug")
        logging.getLogger(name).info("info")
    assert [line.split()[-1] for line in capfd.readouterr().err.splitlines()] == told


def logged_to_a_reader_that_sleeps(monkeypatch: pytest.MonkeyPatch, lines: int) -> list[str]:
    """Log so many lines to a pipe that is not read meanwhile; return what can be read afterwards."""
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
    lines = 2000  # three times the capacity of a pipe
    assert logged_to_a_reader_that_sleeps(monkeypatch, lines) == [f"number={number}" for number in range(lines)]


def test_lines_past_what_is_held_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_HELD_BYTES", 10_000)
    came = logged_to_a_reader_that_sleeps(monkeypatch, 2000)
    kept = [line for line in came if line.startswith("number=")]
    assert kept == [f"number={number}" for number in range(len(kept))]
    assert came[len(kept) :] == [f"lines={2000 - len(kept)}:"]


class SlowReader:
    """Accepts more only after 0.6 s, each time; the clock of the log is its own."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def poll(self, milliseconds: float) -> bool:
        self.now += min(milliseconds / 1000, 0.6)
        return milliseconds >= 600


def test_flush_gives_a_slow_reader_a_second_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    reader = SlowReader()
    monkeypatch.setattr(logs, "time", reader)
    reading, writing = os.pipe()
    with open(reading, "rb"), open(writing, "wb"):
        log = logs.LogHandler(writing, is_json=False, is_verbose=False)
        monkeypatch.setattr(log, "_room", reader)
        monkeypatch.setattr(log, "_held", bytearray(50_000))
        log.flush()
    assert reader.now == pytest.approx(logs.FLUSH_SECONDS)


OFFER = Stamped(1_700_000_000.25, DhcpOffered("m1.example", "52:54:00:12:34:56", "192.0.2.1", Program.PXE, "bios"))


def events_logged(capfd: pytest.CaptureFixture[str], log_format: str, *stamped: Stamped, is_verbose: bool) -> list[str]:
    log = logs.configure(log_format, is_verbose=is_verbose)
    for event in stamped:
        log.listen(event)
    return capfd.readouterr().err.splitlines()


def test_event_is_a_line_of_its_kind_and_facts(capfd: pytest.CaptureFixture[str]) -> None:
    (line,) = events_logged(capfd, "text", OFFER, is_verbose=False)
    clock, _, told = line.partition(" ")
    assert clock.endswith(".250")
    assert told == "dhcp.offer host=m1.example mac=52:54:00:12:34:56 address=192.0.2.1 program=pxe arch=bios"


def test_event_is_one_object_of_json(capfd: pytest.CaptureFixture[str]) -> None:
    (line,) = events_logged(capfd, "json", OFFER, is_verbose=False)
    told = json.loads(line)
    assert (told.pop("time"), told.pop("message").split()[0]) == (OFFER.at, "dhcp.offer")
    facts = {"host": "m1.example", "mac": "52:54:00:12:34:56", "address": "192.0.2.1", "program": "pxe", "arch": "bios"}
    assert told == {"level": "info", "event": "dhcp.offer", **facts}


@pytest.mark.parametrize(("is_verbose", "lines"), [(False, 0), (True, 1)])
def test_progress_is_logged_when_it_is_asked_for(
    capfd: pytest.CaptureFixture[str], is_verbose: bool, lines: int
) -> None:
    progress = Stamped(OFFER.at, WebProgress("m1.example", "192.0.2.1", "/rootfs", WebKind.ROOTFS, 1, 2))
    assert len(events_logged(capfd, "text", progress, is_verbose=is_verbose)) == lines


@pytest.mark.parametrize("arch", ["two\nlines", "a b", 'a"b', "a=b", "\x1b[31m"])
def test_what_comes_off_the_wire_stays_one_word(capfd: pytest.CaptureFixture[str], arch: str) -> None:
    offer = Stamped(OFFER.at, DhcpOffered("m1.example", "52:54:00:12:34:56", "192.0.2.1", Program.PXE, arch))
    (line,) = events_logged(capfd, "text", offer, is_verbose=False)
    assert line.endswith(f" program=pxe arch={arch!r}")


async def read_while_running(capfd: pytest.CaptureFixture[str], *told: Stamped | str) -> list[str]:
    """Log events and records in one turn of the loop; return the first word of each line that is out before its end."""
    log = logs.configure("text", is_verbose=False)
    for item in told:
        if isinstance(item, str):
            logging.getLogger("appliance.test").info(item)
        else:
            log.listen(item)
    return [line.split()[1] for line in capfd.readouterr().err.splitlines()]


async def test_events_go_out_at_the_end_of_their_turn_of_the_loop(capfd: pytest.CaptureFixture[str]) -> None:
    assert await read_while_running(capfd, OFFER, OFFER) == []
    await asyncio.sleep(0)
    assert [line.split()[1] for line in capfd.readouterr().err.splitlines()] == ["dhcp.offer", "dhcp.offer"]


async def test_a_record_is_out_when_its_call_returns_behind_what_came_before_it(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert await read_while_running(capfd, "first", OFFER, "ready") == ["first", "dhcp.offer", "ready"]


# C0, DEL, C1, directions of writing, line and paragraph separators, a lone surrogate, and a tag beyond the first plane.
CONTROLS = "\x00\x1b\x7f\x85\x9b\u061c\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069\ud800\U000e0041"


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
def test_no_character_of_an_event_controls_the_terminal(
    capfd: pytest.CaptureFixture[str], control: str, log_format: str
) -> None:
    offer = Stamped(OFFER.at, DhcpOffered("m1.example", "52:54:00:12:34:56", "192.0.2.1", Program.PXE, f"a{control}b"))
    (line,) = events_logged(capfd, log_format, offer, is_verbose=False)
    assert line.isprintable()
    assert log_format == "text" or json.loads(line)["arch"] == f"a{control}b"


@pytest.mark.parametrize("log_format", ["text", "json"])
@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
def test_no_character_of_a_record_controls_the_terminal(
    capfd: pytest.CaptureFixture[str], control: str, log_format: str
) -> None:
    logs.configure(log_format, is_verbose=False)
    logging.getLogger("appliance.test").error("a%sb", control, exc_info=ValueError(f"c{control}d"))
    assert all(line.isprintable() for line in capfd.readouterr().err.splitlines())


def test_no_text_of_a_record_looks_like_a_line_of_its_own(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure("text", is_verbose=False)
    logging.getLogger("appliance.test").info("a\n12:00:00.000 forged")
    first, second = capfd.readouterr().err.splitlines()
    assert first.endswith(" a")
    assert second == "    12:00:00.000 forged"


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_record_has_what_is_secret(capfd: pytest.CaptureFixture[str], log_format: str) -> None:
    log = logs.configure(log_format, is_verbose=False)
    log.hide = lambda text: text.replace("secret", "…")
    logging.getLogger("aiohttp.server").error("request /secret", exc_info=ValueError("secret"))
    assert "secret" not in capfd.readouterr().err
