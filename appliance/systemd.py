"""Messages to systemd by sd_notify(3), and what it passes to a service in the environment."""

import os
import time

from appliance.sockets import notify_sender


def notify(*assignments: str) -> None:
    """Send *assignments*, such as "READY=1", to the service manager; do nothing without one."""
    target = os.environ.get("NOTIFY_SOCKET")
    if not target:
        return
    with notify_sender() as sock:
        try:
            # A leading @ means the NUL byte with which the names of abstract sockets begin (unix(7)).
            sock.sendto("\n".join(assignments).encode(), "\0" + target[1:] if target.startswith("@") else target)
        except OSError:
            # A service manager that is gone must not stop an installation.
            return


def notify_reloading() -> None:
    """Report that a reload began, with the monotonic time that Type=notify-reload requires."""
    notify("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")


def watchdog_seconds() -> float | None:
    """Return after how many seconds without WATCHDOG=1 systemd kills the service, or None if it does not.

    sd_watchdog_enabled(3) recommends sending it twice in that time.
    """
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    # A child inherits the environment, but is not the process that systemd watches.
    is_watched = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(microseconds) / 1e6 if microseconds.isdigit() and is_watched else None


def runs_under_systemd() -> bool:
    """Whether standard error goes to the journal (JOURNAL_STREAM in systemd.exec(5))."""
    stream = os.environ.get("JOURNAL_STREAM", "")
    # The variable is inherited even if standard error has been redirected since, so compare the file that it names.
    stat = os.fstat(2)
    return stream == f"{stat.st_dev}:{stat.st_ino}"
