"""A network namespace, and the output of the processes in it."""

import os
import subprocess
import threading
from pathlib import Path
from typing import IO

ADDRESS = "172.16.0.101"  # the appliance's
ADDRESS6 = "2001:db8:0:16::101"  # in a network without IPv4
PREFIX = 24
TAIL_LINES = 40


class StuckError(AssertionError):
    """A machine or the appliance did not do in time what it should; the message has its last lines."""


class Namespace:
    """A network namespace that lasts as long as this process, with a bridge that has the appliance's address."""

    def __init__(self) -> None:
        as_root = os.geteuid() == 0
        unshare = ["unshare", "--net"] if as_root else ["unshare", "--user", "--map-root-user", "--net"]
        # cat exits when this process does, and the namespace disappears with it.
        self._holder = subprocess.Popen(
            [*unshare, "sh", "-c", "echo ready; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != b"ready\n":
            raise StuckError("cannot make a network namespace")
        enter = ["nsenter", "-t", str(self._holder.pid), "-n"]
        self._prefix = enter if as_root else [*enter, "-U", "--preserve-credentials"]
        for command in (
            "ip link set lo up",
            "ip link add br0 address 02:00:ac:10:00:65 type bridge",
            f"ip addr add {ADDRESS}/{PREFIX} dev br0",
            "ip link set br0 up",
        ):
            self.run(*command.split())
        self._taps = 0

    def command(self, *words: str | Path) -> list[str]:
        """Return a command line that runs *words* in the namespace, and is killed when this process exits."""
        return [*self._prefix, "setpriv", "--pdeathsig", "KILL", "--", *map(str, words)]

    def run(self, *words: str | Path) -> str:
        """Run *words* in the namespace; return the output. Raises StuckError if the command fails."""
        done = subprocess.run(self.command(*words), capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise StuckError(f"{' '.join(map(str, words))}: exit {done.returncode}: {done.stderr or done.stdout}")
        return done.stdout

    def tap(self) -> str:
        """Return a new tap device on the bridge."""
        name = f"tap{self._taps}"
        self._taps += 1
        for command in (f"tuntap add dev {name} mode tap", f"link set {name} master br0", f"link set {name} up"):
            self.run("ip", *command.split())
        return name

    def close(self) -> None:
        """Remove the namespace."""
        self._holder.communicate()


class Output:
    """The output of a process, which is written to a file and can be waited for."""

    def __init__(self, stream: IO[bytes], log: Path) -> None:
        self._stream = stream
        self._log = log
        self._seen = b""
        self._ended = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with self._log.open("ab") as log:
            while chunk := os.read(self._stream.fileno(), 65536):
                log.write(chunk)
                log.flush()
                with self._changed:
                    self._seen += chunk
                    self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def wait_for(self, text: str, seconds: float, unless: str = "\0") -> bool:
        """Wait for *text*; return whether it was printed.

        The wait ends after *seconds*, when *unless* is printed, or when the process exits.
        """
        wanted, unwanted = text.encode(), unless.encode()
        with self._changed:
            self._changed.wait_for(lambda: wanted in self._seen or unwanted in self._seen or self._ended, seconds)
            return wanted in self._seen

    @property
    def text(self) -> str:
        """The output so far, without control sequences: firmware moves the cursor about."""
        printable = self._seen.decode("ascii", "replace").replace("\r", "\n")
        return "".join(char for char in printable if char == "\n" or char.isprintable())

    @property
    def tail(self) -> str:
        """The last TAIL_LINES lines that are not blank."""
        lines = [line for line in self.text.splitlines() if line.strip()]
        return "\n".join(lines[-TAIL_LINES:])

    def close(self) -> None:
        """Wait for the end of the output, and close the stream."""
        self._reader.join()
        self._stream.close()
