"""HAProxy's answers as values."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from appliance.balancer import runtime
from appliance.balancer.runtime import MAX_ANSWER_BYTES, Processes, ServerStat, UnheardError, check_in_words
from tests.property.test_haproxy_answers import STAT, STATE

PROC = """\
#<PID>          <type>          <reloads>       <uptime>        <version>      \n\
31978           master          2 [failed: 1]   0d00h00m29s     2.6.12-1+deb12u4
# workers
32276           worker          1               0d00h00m06s     2.6.12-1+deb12u4
# old workers
31981           worker          2               0d00h00m29s     2.6.12-1+deb12u4
# programs

"""


def test_statistics_tell_of_a_server() -> None:
    expected = ServerStat(True, True, 13, "passed: HTTP 200", 4, 3, 17)
    assert runtime.server_stats(STAT) == {("api-6443", "m1"): expected}


def test_row_of_a_front_end_is_no_server() -> None:
    assert runtime.server_stats(STAT.replace(",2,0,,0,L7OK", ",0,0,,0,L7OK")) == {}


@pytest.mark.parametrize("status", ["DOWN", "DOWN 1/2", "MAINT", "MAINT (via a/b)", "MAINT (resolution)"])
def test_server_that_gets_no_connections_is_not_up(status: str) -> None:
    assert not runtime.server_stats(STAT.replace(",UP,", f",{status},"))["api-6443", "m1"].is_up


@pytest.mark.parametrize("status", ["UP", "UP 1/3", "DRAIN", "NOLB", "no check"])
def test_server_that_answers_is_up(status: str) -> None:
    assert runtime.server_stats(STAT.replace(",UP,", f",{status},"))["api-6443", "m1"].is_up


@pytest.mark.parametrize("word", ["INI", "", "* INI", "UNK"])
def test_server_without_a_check_is_not_checked(word: str) -> None:
    stat = runtime.server_stats(STAT.replace(",L7OK,200,", f",{word},,"))["api-6443", "m1"]
    assert (stat.is_checked, stat.check) == (False, "")


def test_check_that_is_under_way_keeps_its_last_result() -> None:
    assert runtime.server_stats(STAT.replace("L7OK", "* L7OK"))["api-6443", "m1"].check == "passed: HTTP 200"


@pytest.mark.parametrize(
    ("bits", "weight", "admin"),
    [
        (0, 1, "ready"),
        (1, 1, "maint"),
        (5, 1, "maint"),  # by the configuration
        (4, 1, "ready"),  # by the configuration once, and made ready since
        (8, 1, "drain"),
        (9, 1, "maint"),
        (0x20, 1, "maint"),  # a name that does not resolve
        (0, 0, "drain"),  # weight 0 in the configuration
    ],
)
def test_state_says_what_is_wanted_of_a_server(bits: int, weight: int, admin: str) -> None:
    text = STATE.replace(" 2 0 1 1", f" 2 {bits} {weight} 1")
    assert runtime.admins(text) == {("api-6443", "m1"): admin}


def test_information_tells_what_is_loaded() -> None:
    found = runtime.info("Name: HAProxy\nVersion: 2.6.12\nPid: 31981\ndescription: ocp-appliance-0123\n\n")
    assert (found.pid, found.version, found.description) == (31981, "2.6.12", "ocp-appliance-0123")


def test_master_tells_of_workers_and_failed_reloads() -> None:
    assert runtime.processes(PROC) == Processes(31978, (32276,), (31981,), 1)


@pytest.mark.parametrize(
    ("word", "code", "milliseconds", "said", "words"),
    [
        ("L7OK", "200", "3", "OK", "passed: HTTP 200"),
        ("L4OK", "", "1", "", "passed: connected"),
        ("L7STS", "500", "3", "Not Ready", "failed: HTTP 500"),
        ("L4CON", "", "0", "Connection refused", "failed: connection refused"),
        ("L4CON", "", "3001", "No route to host", "failed: no route to host"),
        ("L4TOUT", "", "5001", "", "failed: no answer within 5 s"),
        ("L6TOUT", "", "10002", "", "failed: no TLS handshake within 10 s"),
        ("L7TOUT", "", "5002", "", "failed: no HTTP answer within 5 s"),
        ("L6RSP", "", "3", "SSL handshake failure", "failed: no TLS handshake"),
        ("L7RSP", "", "3", "TCPCHK got an empty response", "failed: the answer is not HTTP"),
        ("L9NEW", "", "3", "", "failed: HAProxy says L9NEW"),
        ("L9NEW", "", "3", "\x1b[31mred\nline", "failed: ?[31mred?line"),
    ],
)
def test_result_of_a_check_is_in_words(word: str, code: str, milliseconds: str, said: str, words: str) -> None:
    assert check_in_words(word, code, milliseconds, said) == words


# The sockets

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _asked(path: Path, talk: Talk, *, is_master: bool = False, seconds: float = 0.5) -> str:
    """Ask a server that does *talk* with whoever connects, then closes the connection."""
    done = asyncio.Event()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await talk(reader, writer)
            await writer.drain()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        done.set()

    async with await asyncio.start_unix_server(converse, path):
        try:
            return await runtime.ask(path, "show info", is_master=is_master, seconds=seconds)
        finally:
            await done.wait()


async def test_whole_answer_is_returned(tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"to " + await reader.readline())

    assert await _asked(tmp_path / "sock", talk) == "to show info\n"


async def test_master_that_keeps_the_connection_open_has_answered(tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"answer\n\n")
        await reader.read()

    assert await _asked(tmp_path / "sock", talk, is_master=True) == "answer\n\n"


async def test_haproxy_that_never_answers_is_unheard(tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    with pytest.raises(UnheardError, match=r"no answer at .* within 0\.5 s"):
        await _asked(tmp_path / "sock", talk)


async def test_answer_that_breaks_off_is_none(tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"Name: HAPr")

    with pytest.raises(UnheardError, match="breaks off"):
        await _asked(tmp_path / "sock", talk)


async def test_endless_answer_is_bounded(tmp_path: Path) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"x" * (1 << 20))
            await writer.drain()

    with pytest.raises(UnheardError, match=f"more than {MAX_ANSWER_BYTES} bytes"):
        await _asked(tmp_path / "sock", talk, seconds=30)


async def test_socket_that_is_not_there_is_unheard(tmp_path: Path) -> None:
    with pytest.raises(UnheardError, match="no such file or directory at "):
        await runtime.ask(tmp_path / "sock", "show info")


def test_server_with_another_port_is_left_out_of_the_state() -> None:
    head = "1\n# be_id be_name srv_id srv_name srv_port\n"
    rows = "2 api 1 m1 6443\n2 api 2 m2 6444\n3 gone 1 m3 80\n"
    ports = {("api", "m1"): (6443, 0), ("api", "m2"): (6443, 0)}
    assert runtime.state_of_ports(f"{head}{rows}\n", ports) == f"{head}2 api 1 m1 6443\n\n"


def test_server_that_is_checked_at_another_port_is_left_out_of_the_state() -> None:
    head = "1\n# be_id be_name srv_id srv_name srv_port srv_check_port\n"
    ports = {("api", "m1"): (6443, 0), ("api", "m2"): (6443, 1936)}
    assert runtime.state_of_ports(f"{head}2 api 1 m1 6443 1936\n2 api 2 m2 6443 1936\n", ports) == (
        f"{head}2 api 2 m2 6443 1936\n"
    )
