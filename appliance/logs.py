"""The log: one line a decision, as text on a terminal and as JSON under systemd."""

import json
import logging
import sys
import time

from appliance.events import Event
from appliance.systemd import runs_under_systemd


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
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


def configure(log_format: str, *, is_verbose: bool) -> bool:
    """Send the log to standard error as "text" or "json", or, with "auto", as json under systemd only.

    Returns whether it is JSON.
    """
    is_json = log_format == "json" or (log_format == "auto" and runs_under_systemd())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if is_json else _TextFormatter())
    # What libraries say below a warning tells nothing of a boot: tftpy every packet that it builds.
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("appliance").setLevel(logging.DEBUG if is_verbose else logging.INFO)
    return is_json
