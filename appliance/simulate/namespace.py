"""Network namespaces without names: each exists as long as a process holds it open (network_namespaces(7))."""

import ctypes
import json
import os
import subprocess
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from appliance.errors import SimulationError

CLONE_NEWNET = 0x40000000  # linux/sched.h; os.setns comes with Python 3.12

# On Debian, an ordinary user's PATH does not include the sbin directories.
SEARCHED = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"

_libc = ctypes.CDLL(None, use_errno=True)


class Namespace(AbstractContextManager[None]):
    """A network namespace; inside `with`, this thread is in it. Do not await there: other tasks share the thread."""

    def __init__(self) -> None:
        """Create an empty namespace. Raises OSError where that is not allowed."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self._home = home
        try:
            _unshare()
            self.fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            _setns(home)
        except OSError:
            os.close(home)
            raise

    def __enter__(self) -> None:
        _setns(self.fd)

    def __exit__(self, *_exc: object) -> None:
        _setns(self._home)

    def close(self) -> None:
        """Release the namespace; it disappears with its last socket."""
        os.close(self.fd)
        os.close(self._home)

    @property
    def path(self) -> str:
        """The path that `ip link set netns` takes."""
        return f"/proc/{os.getpid()}/fd/{self.fd}"


def _unshare() -> None:
    if _libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "cannot create a network namespace")


def _setns(fd: int) -> None:
    if _libc.setns(fd, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "cannot enter a network namespace")


def ip(*lines: str, place: AbstractContextManager[None] | None = None) -> None:
    """Run `ip` on *lines*, one command each. Raises SimulationError with its error message."""
    with place or nullcontext():
        done = _run_ip(["-batch", "-"], "\n".join(lines) + "\n")
    if done.returncode:
        raise SimulationError(f"ip rejected one of {'; '.join(lines)!r}: {done.stderr.strip()}")


def ip_json(*arguments: str) -> list[dict[str, object]]:
    """Return the output of `ip -json`; [] where it finds nothing. Raises SimulationError if `ip` is not installed."""
    done = _run_ip(["-json", *arguments], "")
    found = json.loads(done.stdout) if done.returncode == 0 and done.stdout.strip() else []
    return [entry for entry in found if entry]


def _run_ip(arguments: Sequence[str], given: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 - a fixed program, and no shell
            ["ip", *arguments],  # noqa: S607 - /sbin or /usr/sbin, by distribution
            input=given,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PATH": SEARCHED},
        )
    except FileNotFoundError as error:
        raise SimulationError("ip not found; install iproute2") from error
