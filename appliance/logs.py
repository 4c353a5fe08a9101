"""The log: one line a decision, as text on a terminal and as JSON under systemd."""

import json
import logging
import os
import select
import sys
import time
from typing import TextIO

from appliance.events import Event
from appliance.systemd import runs_under_systemd

# A terminal that was stopped by Ctrl-S and a pipe whose reader hangs take nothing more, and a write would wait
# for them with DNS and DHCP waiting behind it. So much is kept until they go on: some minutes of a boot storm.
MAX_HELD_BYTES = 8 << 20


class _PatientHandler(logging.Handler):
    """Writes lines to a descriptor that may be slow to take them, and never waits for it."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._held = bytearray()
        self._dropped = 0
        self._room = select.poll()
        self._room.register(descriptor, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        line = f"{self.format(record)}\n".encode(errors="backslashreplace")
        if len(self._held) + len(line) > MAX_HELD_BYTES:
            self._dropped += 1
        else:
            self._held += line
        self._write(wait_milliseconds=0)

    def flush(self) -> None:
        """Write what is held, if the reader takes it within a second."""
        self.acquire()
        try:
            self._write(wait_milliseconds=1000)
        finally:
            self.release()

    def _write(self, wait_milliseconds: int) -> None:
        # Ready means that a pipe, a terminal or journald's socket takes PIPE_BUF bytes without waiting.
        while (self._held or self._dropped) and self._room.poll(wait_milliseconds):
            if not self._held:
                self._held += f"log.dropped lines={self._dropped}: nothing took them\n".encode()
                self._dropped = 0
            try:
                written = os.write(self._descriptor, self._held[: select.PIPE_BUF])
            except OSError:  # nobody reads it any more
                self._held.clear()
                return
            del self._held[:written]


class _TextFormatter(logging.Formatter):
    def __init__(self) -> None:
        super().__init__()
        self._clock = 0, ""  # the second that was last told

    def format(self, record: logging.LogRecord) -> str:
        second, clock = self._clock
        if second != int(record.created):
            second = int(record.created)
            clock = time.strftime("%H:%M:%S", time.localtime(second))
            self._clock = second, clock
        mark = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        line = f"{clock}.{int(record.msecs):03d} {mark}{record.getMessage()}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        event = getattr(record, "event", None)
        if isinstance(event, Event):
            line |= {"event": event.kind, **event.facts()}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def _handler(stream: TextIO) -> logging.Handler:
    try:
        descriptor = stream.fileno()
    except OSError:  # it is no file, as in a test
        return logging.StreamHandler(stream)
    return _PatientHandler(descriptor)


def configure(log_format: str, *, is_verbose: bool) -> bool:
    """Send the log to standard error as "text" or "json", or, with "auto", as json under systemd only.

    Returns whether it is JSON.
    """
    is_json = log_format == "json" or (log_format == "auto" and runs_under_systemd())
    handler = _handler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if is_json else _TextFormatter())
    # No line tells them, and asking the kernel for the process's number takes a twentieth of a DHCP exchange.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    # What libraries say below a warning tells nothing of a boot: tftpy every packet that it builds.
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("appliance").setLevel(logging.DEBUG if is_verbose else logging.INFO)
    return is_json
