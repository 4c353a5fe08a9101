"""HAProxy's sockets: one command a connection, and the answers as values.

The stats socket is the worker's, the master socket that of the process that starts
workers. Every parser is total: whatever a socket or a member of a front end sends,
the result is what could be read of it, bounded and printable.
"""

import asyncio
import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# HAProxy answers from memory. A machine that swaps, or a worker that reads certificates, takes a second or two.
ANSWER_SECONDS = 5.0
MAX_ANSWER_BYTES = 16 << 20  # 500 bytes for each of 4 front ends of 4,000 members, and as much again
MAX_WORKERS = 8  # of which the connections are counted; each is asked once a second
LARGE_ANSWER_CHARACTERS = 100_000  # is parsed in a thread, so that DNS and DHCP do not wait
MAX_WORDS = 100  # characters of what a member said
_NUMBER = re.compile(r"\d{1,18}", re.ASCII)
# The bits of srv_admin_state in `show servers state` (HAProxy's management.txt). The bit 4 says that the configuration
# disabled the server once; whether it still is, is in the bit 1.
_MAINT, _DRAIN = 0x01 | 0x02 | 0x20, 0x08 | 0x10
_UP = ("UP", "NOLB", "DRAIN", "no check")
# The columns of `show stat` that are read.
_READ = frozenset(
    {
        "pxname",
        "svname",
        "type",
        "status",
        "lastchg",
        "scur",
        "stot",
        "check_status",
        "check_code",
        "check_duration",
        "last_chk",
    }
)
# A health check that has not ended yet, or that is not made.
_UNCHECKED = frozenset({"", "UNK", "INI"})


class UnheardError(Exception):
    """HAProxy did not answer; the text says how."""


@dataclass(frozen=True, slots=True)
class ServerStat:
    """One server in the answer to `show stat`."""

    is_up: bool
    is_checked: bool
    seconds: int  # since it changed between up and down
    check: str  # in words
    checked_ms: int | None
    current: int
    total: int


@dataclass(frozen=True, slots=True)
class Info:
    """What `show info` tells of the worker that answers."""

    pid: int  # 0 if it does not say
    version: str
    description: str  # of the configuration that it has loaded


@dataclass(frozen=True, slots=True)
class Processes:
    """The answer of the master to `show proc`."""

    master: int  # PID; 0 if it does not say
    workers: tuple[int, ...]  # PIDs, without those that only finish their connections
    old_workers: tuple[int, ...]
    failed: int  # how many reloads have failed one after the other; 0 before HAProxy 2.5, which does not say


async def ask(path: Path, command: str, *, is_master: bool = False, seconds: float = ANSWER_SECONDS) -> str:
    """Send *command* to the socket at *path*; return the whole answer. Raises UnheardError.

    The master keeps the connection open after an answer, which an empty line ends.
    """
    answer = bytearray()
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                writer.write(command.encode() + b"\n")
                while chunk := await reader.read(65536):
                    answer += chunk
                    if len(answer) > MAX_ANSWER_BYTES:
                        raise UnheardError(f"more than {MAX_ANSWER_BYTES} bytes at {path} for {command!r}")
                    if is_master and answer.endswith(b"\n\n"):
                        break
            finally:
                writer.close()
    except TimeoutError:
        raise UnheardError(f"no answer at {path} within {seconds:g} s") from None
    except OSError as error:
        raise UnheardError(f"{(error.strerror or str(error)).lower()} at {path}") from error
    if answer and not answer.endswith(b"\n"):
        raise UnheardError(f"an answer that breaks off at {path}")
    return answer.decode("utf-8", "replace")


async def connections_of(master: Path, workers: Sequence[int]) -> dict[tuple[str, str], int]:
    """Return how many connections *workers* have, by section and server. Raises UnheardError."""
    found: dict[tuple[str, str], int] = {}
    for pid in workers[:MAX_WORKERS]:
        answer = await ask(master, f"@!{pid} show stat", is_master=True)
        is_large = len(answer) > LARGE_ANSWER_CHARACTERS
        stats = await asyncio.to_thread(server_stats, answer) if is_large else server_stats(answer)
        for server, stat in stats.items():
            found[server] = found.get(server, 0) + stat.current
    return found


def server_stats(text: str) -> dict[tuple[str, str], ServerStat]:
    """Return the servers in the answer to `show stat`, by the names of the section and of the server."""
    found = {}
    for row in _csv_rows(text.removeprefix("# ")):
        section, name, status = row.get("pxname"), row.get("svname"), row.get("status")
        # Rows of type 2 are servers; the others sum up a section. The last field that is read tells of a whole row.
        if not section or not name or not status or row.get("type") != "2" or "last_chk" not in row:
            continue
        word = row.get("check_status", "").removeprefix("* ")
        found[section, name] = ServerStat(
            is_up=status.startswith(_UP),
            is_checked=word not in _UNCHECKED,
            seconds=_number(row.get("lastchg")) or 0,
            check=check_in_words(
                word, row.get("check_code", ""), row.get("check_duration", ""), row.get("last_chk", "")
            ),
            checked_ms=_number(row.get("check_duration")),
            current=_number(row.get("scur")) or 0,
            total=_number(row.get("stot")) or 0,
        )
    return found


def admins(text: str) -> dict[tuple[str, str], str]:
    """Return which servers are ready, drain or maint in the answer to `show servers state`, by section and server."""
    found = {}
    names: list[str] = []
    for line in text.split("\n"):
        if line.startswith("# "):
            names = line[2:].split()
            continue
        # Versions add columns only at the end.
        row = dict(zip(names, line.split(), strict=False))
        bits, weight = _number(row.get("srv_admin_state")), row.get("srv_uweight")
        if bits is None or weight is None:
            continue
        section, name = row.get("be_name", ""), row.get("srv_name", "")
        is_draining = bits & _DRAIN or weight == "0"
        found[section, name] = "maint" if bits & _MAINT else "drain" if is_draining else "ready"
    return found


def state_of_ports(text: str, ports: Mapping[tuple[str, str], tuple[int, int]]) -> str:
    """Return the answer *text* to `show servers state` without the servers that have other ports than *ports*.

    *ports* are where a server gets connections and where it is checked, 0 for the same. A process that reads the
    answer from its state file takes them from there, and not from its configuration.
    """
    kept = []
    names: list[str] = []
    for line in text.split("\n"):
        if line.startswith("# "):
            names = line[2:].split()
        words = line.split()
        # The version of the format and the names of the columns stay; versions before 2.4 say nothing of the check.
        if len(words) > 1 and words[0] != "#":
            row = dict(zip(names, words, strict=False))
            port, check_port = ports.get((row.get("be_name", ""), row.get("srv_name", "")), (0, 0))
            if (row.get("srv_port"), row.get("srv_check_port", str(check_port))) != (str(port), str(check_port)):
                continue
        kept.append(line)
    return "\n".join(kept)


def info(text: str) -> Info:
    """Return the answer to `show info`."""
    values = {}
    for line in text.split("\n"):
        name, colon, value = line.partition(": ")
        if colon:
            values[name] = value
    return Info(_number(values.get("Pid")) or 0, plain(values.get("Version", "")), plain(values.get("description", "")))


def processes(text: str) -> Processes:
    """Return the master's answer to `show proc`."""
    workers: list[int] = []
    old: list[int] = []
    into: list[int] | None = None
    master = failed = 0
    for line in text.split("\n"):
        words = line.split()
        if line.startswith("#") and len(words) > 1 and words[1] in {"workers", "old", "programs"}:
            into = {"workers": workers, "old": old}.get(words[1]) if "programs" not in words else None
        elif len(words) > 1 and words[1] == "master":
            master = _number(words[0]) or 0
            counted = re.search(r"\[failed: (\d{1,9})\]", line, re.ASCII)
            failed = int(counted[1]) if counted else 0
        elif into is not None and len(words) > 1 and words[1] == "worker" and (pid := _number(words[0])):
            into.append(pid)
    return Processes(master, tuple(workers), tuple(old), failed)


def state_commands(server: tuple[str, str], wanted: str, admins: Mapping[tuple[str, str], str]) -> list[str]:
    """Return the commands after which *server* is as it is *wanted*; *admins* tells how it is."""
    name = "/".join(server)
    state = f"set server {name} state {wanted}"
    # One that drained when HAProxy was started has no weight.
    is_weighed = wanted == "ready" and admins[server] == "drain"
    return [state, f"set server {name} weight 1"] if is_weighed else [state]


def check_in_words(word: str, code: str, milliseconds: str, said: str) -> str:
    """Return the result of a health check for the operator; "" if none has ended.

    *word* is HAProxy's check_status, *code* the status that a member answered, and
    *said* HAProxy's text, in which an HTTP server's own words may stand.
    """
    if word in _UNCHECKED:
        return ""
    took = _number(milliseconds)
    within = f" within {max(took / 1000, 0.1):.3g} s" if took is not None else " in time"
    status = f"HTTP {code}" if _NUMBER.fullmatch(code) and code != "0" else ""
    if word == "L7OK":
        return f"passed: {status}" if status else "passed"
    if word == "L7STS" and status:
        return f"failed: {status}"
    if word in _RESULTS:
        return _RESULTS[word]
    if word.endswith("TOUT"):
        return f"failed: {_LATE.get(word, 'no answer')}{within}"
    return f"failed: {_reason(word, plain(said))}"


# HAProxy up to 2.6 says the same of a certificate that it does not trust.
NO_HANDSHAKE = "no TLS handshake"
CERTIFICATE_FOR_ANOTHER = "certificate for another name"
_RESULTS: Mapping[str, str] = {
    "L4OK": "passed: connected",
    "L6OK": "passed: TLS",
    "L7OKC": "passed, but it asks for no new connections",
    "L7RSP": "failed: the answer is not HTTP",
    "L7STS": "failed: not the expected answer",
    "SOCKERR": "failed: HAProxy could not open a socket",
}
_LATE: Mapping[str, str] = {
    "L4TOUT": "no answer",
    "L6TOUT": "no TLS handshake",
    "L7TOUT": "no HTTP answer",
}


def _reason(word: str, said: str) -> str:
    """Return why a check failed, from HAProxy's text *said*."""
    text = said.lower()
    # The words for a client's certificate are used for a server's too.
    if "ca chain" in text or "not trusted" in text or "certificate verify" in text:
        return "certificate not trusted"
    if "certificate different" in text:
        return CERTIFICATE_FOR_ANOTHER
    if "ssl handshake" in text:
        return NO_HANDSHAKE
    # HAProxy begins with a capital: "Connection refused", "No route to host".
    return said[:1].lower() + said[1:] if said else f"HAProxy says {plain(word)}"


def plain(text: str) -> str:
    """Return *text* on one line of printable ASCII, at most MAX_WORDS characters."""
    cut = text[:MAX_WORDS]
    return "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in cut).strip()


def _csv_rows(text: str) -> Iterator[dict[str, str]]:
    rows = csv.reader(text.splitlines(keepends=True))
    columns: list[tuple[int, str]] | None = None
    while True:
        try:
            row = next(rows, None)
        except csv.Error:  # a field that is too long; the rows after it can still be read
            continue
        if row is None:
            return
        if columns is None:
            # A row has a hundred fields, and two thousand rows are read each second.
            columns = [(index, name) for index, name in enumerate(row) if name in _READ]
        else:
            yield {name: row[index] for index, name in columns if index < len(row)}


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and _NUMBER.fullmatch(text) else None
