"""A constant load through a load balancer, in a process of its own, which tells what became of each connection.

`python -m tests.balancer_load FILE` reads loads from its standard input, one JSON object a line, and appends to FILE a
line for each connection: when it ended or was answered, through which load, by which member, and why it failed.
"""

import asyncio
import json
import random
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from tests.simulate_segment import ROOT

ANSWER_SECONDS = 15.0  # until a new connection is answered
SILENT_SECONDS = 5.0  # until a watch without a line counts as broken
END_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Load:
    """Connections to one front end."""

    name: str
    address: str
    port: int
    per_second: float = 10.0  # new connections, each for one answer
    watches: int = 0  # long connections, which are opened again when one breaks
    sources: tuple[str, ...] = ()  # the addresses of the client, in turn
    tls_name: str = ""  # with TLS, for a server with this name
    authority: str = ""  # the file of the CA that must have signed its certificate; "" for any


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one connection."""

    at: float  # seconds UTC
    load: str
    kind: str  # new, or for a watch: opened, broke
    member: str  # which answered; "" if none did
    why: str  # it failed; "" if it did not
    seconds: float  # how long it took, or lasted


# --- In the process of its own -------------------------------------------------------------------


class _Generator:
    def __init__(self, to: TextIO) -> None:
        self._to = to
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: dict[str, list[asyncio.Task[None]]] = {}

    def start(self, load: Load) -> None:
        runs = [self._new_ones(load), *(self._watch(load, number) for number in range(load.watches))]
        self._running[load.name] = [asyncio.create_task(run) for run in runs]

    def stop(self, name: str) -> None:
        for task in self._running.pop(name):
            task.cancel()

    def _tell(self, load: Load, kind: str, began: float, member: str = "", why: str = "") -> None:
        outcome = Outcome(time.time(), load.name, kind, member, why, time.monotonic() - began)
        self._to.write(json.dumps(asdict(outcome)) + "\n")
        self._to.flush()

    async def _new_ones(self, load: Load) -> None:
        number = 0
        while True:
            task = asyncio.create_task(self._new(load, number))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            number += 1
            # Not in step with anything that happens once a second.
            await asyncio.sleep(random.uniform(0.5, 1.5) / load.per_second)

    async def _new(self, load: Load, number: int) -> None:
        began = time.monotonic()
        member = why = ""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                reader, writer = await _asked(load, number, "/")
                try:
                    member = (await reader.readline()).decode().strip()
                finally:
                    writer.close()
            why = "" if member else "closed without an answer"
        except (OSError, asyncio.IncompleteReadError) as error:
            why = _words(error)
        self._tell(load, "new", began, member, why)

    async def _watch(self, load: Load, number: int) -> None:
        while True:
            began = time.monotonic()
            member = why = ""
            try:
                reader, writer = await asyncio.wait_for(_asked(load, number, "/watch"), ANSWER_SECONDS)
                try:
                    while line := await asyncio.wait_for(reader.readline(), SILENT_SECONDS):
                        if not member:
                            member = line.decode().strip()
                            self._tell(load, "opened", began, member)
                finally:
                    writer.transport.abort()
                why = "closed"
            except (OSError, asyncio.IncompleteReadError) as error:
                why = _words(error)
            self._tell(load, "broke", began, member, why)
            await asyncio.sleep(0.2)


async def _asked(load: Load, number: int, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect, send a request for *path*, and read the head of the answer."""
    source = (load.sources[number % len(load.sources)], 0) if load.sources else None
    tls = _context(load) if load.tls_name else None
    reader, writer = await asyncio.open_connection(
        load.address, load.port, ssl=tls, server_hostname=load.tls_name or None, local_addr=source
    )
    try:
        writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        await writer.drain()
        await reader.readuntil(b"\r\n\r\n")
    except BaseException:
        writer.transport.abort()
        raise
    return reader, writer


def _context(load: Load) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=load.authority or None)
    if not load.authority:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


async def _main(path: Path) -> None:
    commands = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, _context: None)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    with path.open("a") as to:
        generator = _Generator(to)
        while line := await commands.readline():
            command = json.loads(line)
            if "stop" in command:
                generator.stop(command["stop"])
            else:
                generator.start(Load(**command))


# --- In the test ---------------------------------------------------------------------------------


class Loads:
    """The running load, and what became of its connections."""

    def __init__(self, process: "subprocess.Popen[str]", path: Path) -> None:
        self._process, self._path = process, path

    def start(self, *loads: Load) -> None:
        """Add *loads*."""
        for load in loads:
            self._order(asdict(load))

    def stop(self, *names: str) -> None:
        """End the loads *names*; connections that are under way are not counted as failed."""
        for name in names:
            self._order({"stop": name})

    def _order(self, command: dict[str, object]) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def outcomes(self, since: float = 0.0, load: str = "") -> list[Outcome]:
        """Return what became of the connections that ended after *since*, of one *load* or of all."""
        assert self._process.poll() is None, "the load generator has exited"
        lines = self._path.read_text().splitlines(keepends=True)
        found = [Outcome(**json.loads(line)) for line in lines if line.endswith("\n")]
        return [outcome for outcome in found if outcome.at >= since and load in ("", outcome.load)]

    def lost(self, since: float = 0.0) -> list[Outcome]:
        """Return the connections that failed after *since*."""
        return [outcome for outcome in self.outcomes(since) if outcome.why]

    def members(self, load: str, since: float) -> set[str]:
        """Return which members answered new connections after *since*."""
        return {found.member for found in self.outcomes(since, load) if found.kind == "new" and found.member}

    def watched(self, load: str) -> list[str]:
        """Return the members of the watches that are open now."""
        open_now: list[str] = []
        for outcome in self.outcomes(load=load):
            if outcome.kind == "opened":
                open_now.append(outcome.member)
            elif outcome.kind == "broke" and outcome.member:
                open_now.remove(outcome.member)
        return open_now


@contextmanager
def loading(place: AbstractContextManager[None], path: Path) -> Iterator[Loads]:
    """Run the load generator in the namespace *place* during the block; it writes to *path*."""
    path.touch()
    with place, path.with_suffix(".err").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.balancer_load", str(path)],
            stdin=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=ROOT,
        )
    try:
        yield Loads(process, path)
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
