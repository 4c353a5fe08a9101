"""The log: one line for each decision, as text on a terminal and as JSON under systemd."""

import asyncio
import json
import logging
import os
import select
import sys
import time
from collections.abc import Callable

from appliance.events import Event, Stamped
from appliance.systemd import runs_under_systemd

# A terminal that is stopped by Ctrl-S, or a pipe whose reader hangs, accepts nothing, and a blocking write would stop
# DNS and DHCP with it. This much is held until the reader goes on: some minutes of a boot storm.
MAX_HELD_BYTES = 8 << 20
FLUSH_SECONDS = 1.0  # how long the end of the process waits for a slow reader


class LogHandler(logging.Handler):
    """Writes lines to a descriptor, and never waits for one whose reader is slow.

    `hide` returns text without what is secret; the bus does that for events.
    """

    def __init__(self, descriptor: int, *, is_json: bool, is_verbose: bool) -> None:
        super().__init__()
        self.is_json = is_json
        self.hide: Callable[[str], str] = str
        self._least_level = logging.DEBUG if is_verbose else logging.INFO  # of an event
        formatter = _JsonFormatter() if is_json else _TextFormatter()
        self.setFormatter(formatter)
        self._event_line = formatter.event_line
        self._descriptor = descriptor
        self._held = bytearray()
        self._dropped = 0
        self._is_write_due = False
        self._room = select.poll()
        self._room.register(descriptor, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        # Written at once, together with what is held: when systemd gets READY=1, the log has the lines that led to it.
        self._hold(self.hide(self.format(record)))
        self._write()

    def listen(self, stamped: Stamped) -> None:
        """Write an event as one line: its kind, then its facts."""
        # Not through `logging`: making a record and passing it on takes longer than everything else here.
        if stamped.event.level >= self._least_level:
            line = self._event_line(stamped.at, stamped.event)
            self.acquire()
            try:
                self._hold(line)
                self._write_soon()
            finally:
                self.release()

    def flush(self) -> None:
        """Write what is held, as far as the reader accepts it within FLUSH_SECONDS."""
        self.acquire()
        try:
            self._write(FLUSH_SECONDS)
        finally:
            self.release()

    def _hold(self, text: str) -> None:
        line = f"{text}\n".encode(errors="backslashreplace")
        if len(self._held) + len(line) > MAX_HELD_BYTES:
            self._dropped += 1
        else:
            self._held += line

    def _write_soon(self) -> None:
        """Write at the end of this turn of the loop: the lines go out together, and after the replies."""
        if self._is_write_due:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._write()
        else:
            self._is_write_due = True
            loop.call_soon(self._write_turn)

    def _write_turn(self) -> None:
        self._is_write_due = False
        self.acquire()
        try:
            self._write()
        finally:
            self.release()

    def _write(self, seconds: float = 0.0) -> None:
        """Write what is held; wait for a reader that accepts no more at present, but *seconds* at most in all."""
        deadline = time.monotonic() + seconds
        # When poll says ready, a pipe, a terminal and journald's socket accept PIPE_BUF bytes without blocking.
        while (self._held or self._dropped) and self._room.poll(1000 * max(deadline - time.monotonic(), 0)):
            if not self._held:
                self._held += f"log.dropped lines={self._dropped}: the reader of the log was too slow\n".encode()
                self._dropped = 0
            try:
                written = os.write(self._descriptor, self._held[: select.PIPE_BUF])
            except OSError:  # the reader is gone
                self._held.clear()
                return
            del self._held[:written]


class _TextFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__()
        self._clock = 0, ""  # the last second, and its text

    def format(self, record: logging.LogRecord) -> str:
        line = self._line(record.created, record.levelno, record.getMessage())
        text = f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line
        # Indented, so that no text from the network looks like a line of its own.
        return "\n    ".join(map(_escaped, text.split("\n")))

    def event_line(self, at: float, event: Event) -> str:
        return self._line(at, event.level, event.line())

    def _line(self, at: float, level: int, message: str) -> str:
        second, clock = self._clock
        if second != int(at):
            second = int(at)
            clock = time.strftime("%H:%M:%S", time.localtime(second))
            self._clock = second, clock
        mark = "" if level < logging.WARNING else f"{logging.getLevelName(level).lower()}: "
        return f"{clock}.{int(at % 1 * 1000):03d} {mark}{message}"


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = _json_facts(record.created, record.levelno, record.getMessage())
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _escaped(json.dumps(line, ensure_ascii=False))

    def event_line(self, at: float, event: Event) -> str:
        line = _json_facts(at, event.level, event.line())
        return _escaped(json.dumps(line | {"event": event.kind, **event.facts()}, ensure_ascii=False))


def _escaped(line: str) -> str:
    r"""Return *line* with each character that a terminal does not simply show as \uXXXX, which JSON has as well.

    Among them are controls that JSON leaves as they are: C1, which some terminals obey,
    and those that change the direction of writing.
    """
    if line.isprintable():
        return line
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in line)


def _json_facts(at: float, level: int, message: str) -> dict[str, object]:
    return {"time": round(at, 3), "level": logging.getLevelName(level).lower(), "message": message}


def configure(log_format: str, *, is_verbose: bool) -> LogHandler:
    """Send the log to standard error as "text" or "json", or, with "auto", as json under systemd only.

    Returns the handler; subscribe its `listen` to the bus.
    """
    is_json = log_format == "json" or (log_format == "auto" and runs_under_systemd())
    handler = LogHandler(sys.stderr.fileno(), is_json=is_json, is_verbose=is_verbose)
    # No line contains them, and asking the kernel for the process id takes a twentieth of a DHCP exchange.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    # What libraries log below a warning says nothing about a boot: tftpy logs every packet that it builds.
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("appliance").setLevel(logging.DEBUG if is_verbose else logging.INFO)
    return handler
