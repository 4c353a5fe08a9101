"""The front ends of a load balancer that is not ours, tried from this machine: which of them answer, and what is wrong.

Nothing is tried unless an operator asks. What the other side sends is read for a
status code and no further, because anybody may be the other side.
"""

import asyncio
import re
import ssl
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from appliance.balancer.compile import MACHINE_CONFIG, front_ends
from appliance.model import Cluster, Endpoint, FrontEnd, Probe
from appliance.openshift.names import MACHINE_CONFIG_PORT

CONNECT_SECONDS = 3.0  # a lost SYN is repeated after 1 s (RFC 6298)
ANSWER_SECONDS = 5.0  # for TLS and HTTP; an API server under load needs a second or two
# For which a plain connection has to stay open: a load balancer without a member that works closes it at once.
QUIET_SECONDS = 1.0
MAX_AT_ONCE = 32  # two rounds for the front ends of five clusters
MAX_LINE_BYTES = 1024  # of a status line
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)\b")


class Finding(StrEnum):
    """What came of an attempt to use a front end."""

    ANSWERS = "answers"
    NOT_READY = "not ready"
    CLOSED = "closed"
    FOREIGN = "foreign"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    SILENT = "silent"


# Nobody can use the front end, as it should be for one that must not be there. CLOSED is among them, because a load
# balancer that accepts a client's connection and closes it has no other way to turn a client away by its address.
_SHUT = {Finding.CLOSED, Finding.REFUSED, Finding.UNREACHABLE, Finding.SILENT}


@dataclass(frozen=True, slots=True)
class Target:
    """One address of a front end."""

    front_end: FrontEnd
    endpoint: Endpoint
    is_wanted: bool = True  # False for an address on which it must not answer


@dataclass(frozen=True, slots=True)
class Trial:
    """A target and what came of trying it."""

    target: Target
    finding: Finding
    detail: str  # such as "HTTP 200"

    @property
    def is_well(self) -> bool:
        """Whether the front end does what the cluster needs."""
        return self.finding is Finding.ANSWERS if self.target.is_wanted else self.finding in _SHUT

    @property
    def words(self) -> str:
        """What was found, in words: "answers: HTTP 200", "does not answer: connection refused"."""
        if not self.target.is_wanted and self.is_well:
            return f"cannot be used, as it should be: {self.detail}"
        verb = "does not answer" if self.finding in _SHUT else "answers"
        return f"{verb}: {self.detail}"

    @property
    def hint(self) -> str:
        """The usual cause and what to do about it; "" if all is well."""
        if self.is_well:
            return ""
        if not self.target.is_wanted:
            return (
                "the machine config server hands out Ignition files with keys; let the load balancer listen for it on "
                "apiInternalVIPs alone"
            )
        return _hint(self.finding, self.target)


def _hint(finding: Finding, target: Target) -> str:
    address, port = target.endpoint.address, target.endpoint.port
    match finding:
        case Finding.REFUSED:
            return f"nothing listens on {target.endpoint}; start the load balancer, and give it a front end there"
        case Finding.UNREACHABLE:
            return f"no machine has {address}, or no route leads to it; give the address to the load balancer"
        case Finding.SILENT:
            return f"a firewall drops connections to port {port}, or no machine has {address}"
        case Finding.CLOSED if target.front_end.check.probe is Probe.HTTPS:
            return (
                "the load balancer has no member that works; the bootstrap machine or a master must answer "
                f"on port {target.front_end.port}, and the load balancer must be able to reach it"
            )
        case Finding.CLOSED:
            return "the load balancer has no member that works, which is normal until the cluster's routers run"
        case Finding.NOT_READY:
            return (
                f"the load balancer forwards to a member that is not ready; let it check "
                f"GET {target.front_end.check.path} over HTTPS, and leave out members that fail"
            )
        case _:
            return f"something other than the cluster listens on {target.endpoint}, or the balancer ends TLS itself"


def targets(cluster: Cluster) -> tuple[Target, ...]:
    """Return what can be tried of *cluster*: its front ends, and where its machine config server must not answer."""
    found = []
    outer = [address for address in cluster.api_vips if address not in cluster.api_int_vips]
    for front_end in front_ends(cluster):
        found += [Target(front_end, endpoint) for endpoint in front_end.binds]
        if front_end.service == MACHINE_CONFIG:
            found += [Target(front_end, Endpoint(address, MACHINE_CONFIG_PORT), is_wanted=False) for address in outer]
    return tuple(found)


async def tried(wanted: Sequence[Target]) -> list[Trial]:
    """Try all of *wanted*, many at once; return what came of each, in the same order."""
    places = asyncio.Semaphore(MAX_AT_ONCE)

    async def in_turn(target: Target) -> Trial:
        async with places:
            return Trial(target, *await _try(target))

    return list(await asyncio.gather(*map(in_turn, wanted)))


async def _try(target: Target) -> tuple[Finding, str]:
    """Return what is found at *target*, and the detail of it in words."""
    endpoint, check = target.endpoint, target.front_end.check
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(str(endpoint.address), endpoint.port, limit=MAX_LINE_BYTES)
    except TimeoutError:
        return Finding.SILENT, f"no reply within {CONNECT_SECONDS:.0f} s"
    except ConnectionRefusedError:
        return Finding.REFUSED, "connection refused"
    except OSError as error:
        return Finding.UNREACHABLE, (error.strerror or str(error)).lower()
    try:
        # A check on a port of its own, such as the routers', is for the load balancer: it is not forwarded.
        if check.probe is Probe.TCP or check.port:
            return await _stays_open(reader)
        if check.probe is Probe.HTTPS:
            async with asyncio.timeout(ANSWER_SECONDS):
                await writer.start_tls(_unverified(), server_hostname=check.tls_name or None)
        return await _status(reader, writer, check.path, check.tls_name or str(endpoint))
    except TimeoutError:
        return Finding.CLOSED, f"accepts the connection, and says nothing within {ANSWER_SECONDS:.0f} s"
    except ssl.SSLEOFError:
        return Finding.CLOSED, "accepts the connection, and closes it"
    except ssl.SSLError as error:
        return Finding.FOREIGN, f"no TLS ({(error.reason or 'handshake failed').lower().replace('_', ' ')})"
    except OSError:
        return Finding.CLOSED, "accepts the connection, and closes it"
    finally:
        writer.transport.abort()


async def _stays_open(reader: asyncio.StreamReader) -> tuple[Finding, str]:
    with suppress(TimeoutError):
        async with asyncio.timeout(QUIET_SECONDS):
            if not await reader.read(1):
                return Finding.CLOSED, "accepts the connection, and closes it"
    return Finding.ANSWERS, "accepts connections"


async def _status(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, name: str
) -> tuple[Finding, str]:
    """Return the answer to GET *path*."""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            line = await reader.readline()
    except ValueError:  # longer than the reader's limit
        return Finding.FOREIGN, "no HTTP"
    if not line:
        return Finding.CLOSED, "accepts the connection, and closes it"
    status = _STATUS_LINE.match(line)
    if status is None:
        return Finding.FOREIGN, "no HTTP"
    code = int(status[1])
    return Finding.ANSWERS if 200 <= code < 400 else Finding.NOT_READY, f"HTTP {code}"


def _unverified() -> ssl.SSLContext:
    """Return a TLS context for a server that nothing is told: whether it answers is all that is asked."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
