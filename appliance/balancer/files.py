"""HAProxy's program, and its files on disk: what is written is checked by HAProxy first, and then replaced whole."""

import asyncio
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from appliance.balancer.versions import Version, of_banner
from appliance.errors import ListenError

PROGRAM = "haproxy"
# systemd's PATH has them, and that of a user on Debian does not.
_SYSTEM_DIRECTORIES = "/usr/local/sbin:/usr/sbin:/sbin"
SOCKETS_VARIABLE, STATE_VARIABLE = "OCP_APPLIANCE_HAPROXY", "OCP_APPLIANCE_HAPROXY_STATE"
SERVICE_STATE = Path("/var/lib/ocp-appliance-haproxy")
# HAProxy's own service reads them as another user of the same group.
FILE_MODE = 0o640
# The longest path of a UNIX socket has 107 bytes (unix(7)). HAProxy first binds it with its PID and ".tmp" at the end.
MAX_SOCKET_PATH_BYTES = 107 - len(".4194304.tmp")
CHECK_SECONDS = 30.0
MAX_REASON_CHARACTERS = 300
MAX_TEXT_BYTES = 16 << 20  # with 1,000 hosts a configuration has 80 kB


@dataclass(frozen=True, slots=True)
class Place:
    """Where HAProxy's sockets and files are."""

    sockets: Path
    state: Path
    is_service: bool  # a service manager runs HAProxy

    @property
    def master(self) -> Path:
        """The socket of the process that starts the workers."""
        return self.sockets / "master.sock"

    @property
    def stats(self) -> Path:
        """The worker's socket."""
        return self.sockets / "stats.sock"

    @property
    def log(self) -> Path:
        """The socket to which HAProxy sends its log."""
        return self.sockets / "log.sock"

    @property
    def config(self) -> Path:
        """HAProxy's configuration."""
        return self.state / "haproxy.cfg"

    @property
    def server_state(self) -> Path:
        """The state of every server, which a new worker begins with."""
        return self.state / "servers.state"


def place_of(data_dir: Path, environment: Mapping[str, str]) -> Place:
    """Return the place of HAProxy's service if *environment* names one, and one below *data_dir* otherwise.

    Raises ListenError where it cannot be used.
    """
    service = environment.get(SOCKETS_VARIABLE)
    if service:
        place = Place(Path(service), Path(environment.get(STATE_VARIABLE) or SERVICE_STATE), is_service=True)
    else:
        below = (data_dir / PROGRAM).absolute()
        place = Place(below, below, is_service=False)
    for directory in {place.sockets, place.state}:
        try:
            if not place.is_service:
                directory.mkdir(mode=0o750, parents=True, exist_ok=True)
            is_there = directory.is_dir()
        except OSError as error:
            raise ListenError(
                f"cannot use {directory} for HAProxy: {(error.strerror or str(error)).lower()}"
            ) from error
        if not is_there or not os.access(directory, os.W_OK | os.X_OK):
            raise ListenError(
                f"cannot write to {directory}, where HAProxy's files are; run `systemd-tmpfiles --create"
                " ocp-appliance-haproxy.conf`, and see docs/install.md"
            )
    if len(os.fsencode(place.master)) > MAX_SOCKET_PATH_BYTES:
        raise ListenError(
            f"cannot use {place.sockets} for HAProxy's sockets: the path is longer than"
            f" {MAX_SOCKET_PATH_BYTES - len('/master.sock')} bytes; choose a shorter dataDir"
        )
    return place


def find_program() -> Path:
    """Return the path of HAProxy. Raises ListenError if it is not installed."""
    found = shutil.which(PROGRAM, path=f"{os.environ.get('PATH', '')}:{_SYSTEM_DIRECTORIES}")
    if found is None:
        raise ListenError(
            "cannot run HAProxy: there is no program haproxy; install the package haproxy, or set loadBalancer.engine"
            " to external"
        )
    return Path(found)


def version_of(program: Path) -> Version:
    """Return the version of HAProxy's *program*. Raises ListenError, UnknownVersionError."""
    try:
        done = subprocess.run([program, "-v"], capture_output=True, timeout=CHECK_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ListenError(f"cannot run {program}: {error}") from error
    return of_banner(done.stdout.decode("utf-8", "replace"))


async def run(*command: str | Path) -> tuple[int, str]:
    """Run *command*; return its exit code and what it printed. Raises OSError, TimeoutError."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            printed, _ = await process.communicate()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return process.returncode or 0, printed.decode("utf-8", "replace")


def write_whole(path: Path, text: str, *, is_moved: bool = True) -> None:
    """Write *text* to *path*, which is replaced as a whole unless *is_moved* is false. Raises OSError."""
    target = path.with_suffix(".part") if is_moved else path
    # Removed first: the file may belong to the user that this service had before.
    target.unlink(missing_ok=True)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    with open(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, FILE_MODE)  # whatever the umask is
        file.write(text)
    if is_moved:
        target.replace(path)


def move_durably(new: Path, path: Path) -> None:
    """Move *new* to *path*, so that it is there after a power failure too."""
    for synced in (new, new.parent):
        descriptor = os.open(synced, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if synced is new:
            new.replace(path)


def read_text(path: Path) -> str:
    """Return the text of the file at *path*, or "" if it cannot be read, or is no file.

    HAProxy's own user may put anything there: a pipe would never end, and a device has no size.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, encoding="utf-8") as file:
            found = os.fstat(descriptor)
            is_file = stat.S_ISREG(found.st_mode) and found.st_size <= MAX_TEXT_BYTES
            return file.read(MAX_TEXT_BYTES) if is_file else ""
    except (OSError, UnicodeDecodeError):
        return ""


def reason(printed: str) -> str:
    """Return the first line of what HAProxy *printed* that says why it refused a configuration."""
    lines = [
        re.sub(r"^\[\w+\]\s*(?:\S+\s+)?\(\d+\) : ", "", line) for line in printed.splitlines() if "[ALERT]" in line
    ]
    text = lines[0] if lines else next((line for line in printed.splitlines() if line.strip()), "")
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()[:MAX_REASON_CHARACTERS]


def signature(path: Path) -> tuple[int, ...]:
    """Return what changes when the file at *path* is changed or replaced; () without one."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns
