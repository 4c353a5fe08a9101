"""How commands query a running appliance: the client's end of the control socket.

A request is one line of JSON with the verb under "do". The answer is lines of JSON;
the last one has the key "end" or "error". This module imports little, because it is
loaded by commands that should answer at once.
"""

import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

from appliance.errors import ControlError

SOCKET_NAME = "control.sock"
ANSWER_SECONDS = 30.0  # how long a command waits for each line, so that an appliance that hangs does not hang it

Json = Mapping[str, object]


def ask(path: Path, verb: str, **details: object) -> Iterator[Json]:
    """Yield the answers of the appliance at *path* to a request, line by line.

    Raises ControlError when no appliance can be reached, and when it refuses.
    """
    connection = _connected(path)
    try:
        with connection, connection.makefile("rwb") as stream:
            stream.write(json.dumps({"do": verb, **details}).encode() + b"\n")
            stream.flush()
            for line in stream:
                answer: Json = json.loads(line)
                if "error" in answer:
                    raise ControlError(str(answer["error"]))
                if "end" in answer:
                    return
                # The first line proved that the appliance works; the next event may be hours away.
                if details.get("follow"):
                    connection.settimeout(None)
                yield answer
    except TimeoutError as error:
        raise ControlError(f"the appliance at {path} did not answer within {ANSWER_SECONDS:.0f} s") from error
    except (OSError, ValueError) as error:
        raise ControlError(f"connection to the appliance at {path} failed: {error}") from error
    raise ControlError(f"the appliance at {path} closed the connection before its answer was complete")


def _connected(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    connection.settimeout(ANSWER_SECONDS)
    try:
        connection.connect(str(path))
    except OSError as error:
        connection.close()
        if isinstance(error, PermissionError):
            raise ControlError(
                f"{path}: permission denied; run this command as root, or as the user that the appliance runs as"
            ) from error
        raise ControlError(
            f"no appliance is listening on {path}; start one with `ocp-appliance serve`, or give its data directory "
            "with --data-dir"
        ) from error
    return connection
