"""What systemd wants to be told: sd_notify(3), over the socket that it names."""

import os
import time

from appliance.sockets import notify_sender


def notify(*assignments: str) -> None:
    """Tell the service manager *assignments*, as "READY=1"; does nothing where there is no manager."""
    target = os.environ.get("NOTIFY_SOCKET")
    if not target:
        return
    with notify_sender() as sock:
        try:
            # A leading @ names an abstract socket.
            sock.sendto("\n".join(assignments).encode(), "\0" + target[1:] if target.startswith("@") else target)
        except OSError:
            # A manager that went away must not stop an installation.
            return


def notify_reloading() -> None:
    """Tell that a reload began (Type=notify-reload wants the monotonic time of it)."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def watchdog_seconds() -> float | None:
    """Return how often systemd wants WATCHDOG=1 at the least, or None; half of that is a good rhythm."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    is_ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(microseconds) / 1e6 if microseconds.isdigit() and is_ours else None


def runs_under_systemd() -> bool:
    """Whether standard error goes to the journal (sd_journal_stream_fd(3))."""
    stream = os.environ.get("JOURNAL_STREAM", "")
    stat = os.fstat(2)
    return stream == f"{stat.st_dev}:{stat.st_ino}"
