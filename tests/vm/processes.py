"""A network namespace, and the output of what runs in it."""

import os
import subprocess
import threading
from pathlib import Path
from typing import IO

ADDRESS = "172.16.0.101"  # the appliance's
PREFIX = 24
TAIL_LINES = 40


class StuckError(AssertionError):
    """A machine or the appliance did not get to where it should be; the message tells its last words."""


class Namespace:
    """A network namespace, as long as this process lives, with a bridge that holds the appliance's address."""

    def __init__(self) -> None:
        as_root = os.geteuid() == 0
        unshare = ["unshare", "--net"] if as_root else ["unshare", "--user", "--map-root-user", "--net"]
        # cat ends with this process, and the namespace with it.
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
        """Return *words* as a command that runs in the namespace, and ends with this process."""
        return [*self._prefix, "setpriv", "--pdeathsig", "KILL", "--", *map(str, words)]

    def run(self, *words: str | Path) -> str:
        """Run *words* in the namespace and return what they print. Raises StuckError when they fail."""
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
        """Let the namespace go."""
        self._holder.communicate()


class Output:
    """What a process prints, kept in a file and watched line by line."""

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
        """Return whether *text* was printed within *seconds*, before *unless* and before the process ended."""
        wanted, unwanted = text.encode(), unless.encode()
        with self._changed:
            self._changed.wait_for(lambda: wanted in self._seen or unwanted in self._seen or self._ended, seconds)
            return wanted in self._seen

    @property
    def text(self) -> str:
        """All of it, with what is not printable left out: firmware moves the cursor about."""
        printable = self._seen.decode("ascii", "replace").replace("\r", "\n")
        return "".join(char for char in printable if char == "\n" or char.isprintable())

    @property
    def tail(self) -> str:
        """The last lines."""
        lines = [line for line in self.text.splitlines() if line.strip()]
        return "\n".join(lines[-TAIL_LINES:])

    def close(self) -> None:
        """Wait for the end, and close."""
        self._reader.join()
        self._stream.close()
