"""The versions of HAProxy: what a program or an operator says, and what each can do (pure)."""

import re
from dataclasses import dataclass

from appliance.errors import ApplianceError

# Up to 2.3 it calls itself HA-Proxy. Behind the number are a date, and words of the packager.
_BANNER = re.compile(r"HA-?Proxy version ([0-9]{1,3})\.([0-9]{1,3})(?![0-9])", re.ASCII)
_NUMBER = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})(?:[.-][0-9A-Za-z.+~-]{0,60})?", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A branch of HAProxy, such as 2.6. What a configuration may say does not change within one."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"

    @property
    def sets_keepalive_times(self) -> bool:
        """Whether a configuration can say when a silent connection is probed, instead of the kernel."""
        return self >= Version(2, 4)

    @property
    def bounds_old_workers(self) -> bool:
        """Whether a configuration can say how many reloads a worker may survive."""
        return self >= Version(2, 0)

    @property
    def has_master_socket(self) -> bool:
        """Whether the master process has a socket (-S); an older one reloads by SIGUSR2 alone."""
        return self >= Version(2, 0)


# RHEL 8's package. Its successors understand every line that it does, as far as `configuration` uses them.
OLDEST = Version(1, 8)
DEFAULT = Version(2, 6)  # Debian 12's package
_PACKAGES = "Debian 12 has 2.6, RHEL 9 has 2.4 and RHEL 8 has 1.8"


class UnknownVersionError(ApplianceError):
    """HAProxy's version cannot be told, or it is too old."""


def of_banner(text: str) -> Version:
    """Return the version that `haproxy -v` printed as *text*. Raises UnknownVersionError."""
    match = _BANNER.match(text[:200])
    if match is None:
        first = text[:80].splitlines()[0] if text[:80].strip() else "nothing"
        raise UnknownVersionError(f"`haproxy -v` printed {first!r}; expected a line like 'HAProxy version 2.6.12'")
    return _supported(match)


def of_text(text: str) -> Version:
    """Return the version that somebody wrote as *text*, such as 2.6 or 2.6.12. Raises UnknownVersionError."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise UnknownVersionError(f"{text[:80]!r} is not a version of HAProxy; expected a number such as {DEFAULT}")
    return _supported(match)


def _supported(match: re.Match[str]) -> Version:
    version = Version(int(match[1]), int(match[2]))
    if version < OLDEST:
        raise UnknownVersionError(f"HAProxy {version} is too old; expected {OLDEST} or later ({_PACKAGES})")
    return version
