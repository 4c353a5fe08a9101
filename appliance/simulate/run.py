"""One power-on: its clock, its reports, and the checks common to all programs."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum

from appliance.model import Address
from appliance.simulate.dhcp import Speaker
from appliance.simulate.dhcp6 import Speaker6
from appliance.simulate.http import RETRIED, Http, HttpError, Response
from appliance.simulate.lease import Lease, negotiate
from appliance.simulate.lease6 import negotiate6
from appliance.simulate.link import Link
from appliance.simulate.machine import BootStep, Machine, Phase, StepError
from appliance.simulate.names import NameLookupError, StubResolver


class Result(StrEnum):
    """How a power-on ended."""

    INSTALLED = "installed"  # and booted from its disk
    BOOTED = "booted from its disk"
    POWERED_OFF = "powered off"
    # Of a dry run.
    WOULD_INSTALL = "would install"
    WOULD_BOOT = "would boot from its disk"


@dataclass(frozen=True, slots=True)
class BootSummary:
    """The result of a power-on."""

    result: Result
    name: str  # the system's own, "" when none runs
    seconds: float
    bytes: int  # fetched
    retries: int


class Run:
    """One machine from power-on to its end."""

    def __init__(self, machine: Machine, link: Link) -> None:
        """Begin now."""
        self.machine, self.link = machine, link
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self.trouble = ""  # the last error that a script recovered from
        self.held = 0.0  # seconds spent on scripts and servers that say "not yet"
        self._shown: set[str] = set()
        self.bytes = 0
        self.retries = 0

    @property
    def seconds(self) -> float:
        """Seconds since power-on."""
        return self._loop.time() - self._began

    def outcome(self, result: Result, name: str = "") -> BootSummary:
        """Return the result of this power-on; *name* is the host name of the running system."""
        return BootSummary(result, name, self.seconds, self.bytes, self.retries)

    def tell(self, phase: Phase, text: str) -> None:
        """Report a step; text that a script repeats is reported once."""
        if phase is Phase.SCRIPT and text in self._shown:
            return
        self._shown.add(text)
        self.machine.report(BootStep(self.machine.name, phase, text, self.seconds))

    async def lease(self, speaker: Speaker, phase: Phase) -> Lease:
        """Return the lease of *speaker*, with the machine's address configured. Raises StepError."""
        machine = self.machine
        lease = await negotiate(machine, self.link, speaker, phase)
        if lease is None:
            waits = machine.patience.dhcp_waits
            raise StepError(
                phase,
                f"{speaker.name} received no offer",
                sent=f"{len(waits)} DISCOVERs from {machine.mac} in {sum(waits):g} s",
                received="nothing",
                check="is this MAC address in cluster.yaml (unknown ones get no answer; see `ocp-appliance seen`)?"
                " Does the appliance listen on this segment? Is there a relay? Is UDP port 67 open?",
            )
        return self._take(lease)

    async def lease6(self, speaker: Speaker6, phase: Phase) -> Lease:
        """Return the DHCPv6 lease of *speaker*, with the machine's address configured. Raises StepError."""
        machine = self.machine
        lease = await negotiate6(machine, self.link, speaker, phase)
        if lease is None:
            waits = machine.patience.dhcp_waits
            raise StepError(
                phase,
                f"{speaker.name} received no DHCPv6 advertisement",
                sent=f"{len(waits)} SOLICITs from {machine.mac} in {sum(waits):g} s",
                received="nothing",
                check="has the host an IPv6 address in cluster.yaml, in a machine network of IPv6?"
                " Does the appliance listen on this segment? Is UDP port 547 open?",
            )
        return self._take(lease)

    def _take(self, lease: Lease) -> Lease:
        self.retries += lease.retries
        self.link.configure(lease.address, lease.network.prefixlen, lease.router)
        return lease

    def resolver(self, lease: Lease) -> StubResolver:
        """Return the stub resolver of a program with *lease*."""
        return StubResolver(self.link, lease.address, lease.dns, self.machine.ports.dns)

    def http(self, lease: Lease, agent: str) -> Http:
        """Return the HTTP client of a program with *lease*."""

        resolver = self.resolver(lease)

        async def lookup(host: str) -> Address:
            try:
                return await resolver.address_of(host)
            except NameLookupError as error:
                raise HttpError(f"{host} could not be resolved: {error}") from error

        http = Http(self.link, lease.address, self.machine.patience, agent, lookup)
        http.progress = self.machine.progress
        return http

    async def hold(self, seconds: float, phase: Phase, why: str) -> None:
        """Wait for *seconds*, within the machine's patience; raise StepError once the total is too long."""
        patience = self.machine.patience
        pause = min(seconds, patience.longest_pause)
        self.held += pause
        if self.held > patience.hold:
            raise StepError(
                phase,
                f"was told to wait for more than {patience.hold:g} s",
                sent="the same request repeatedly",
                received=f"{why}; the last error before: {self.trouble}" if self.trouble else why,
                check="`ocp-appliance status`: is the host held? Is api-int:22623 up? Has bootstrap.ign expired?",
            )
        await asyncio.sleep(pause)

    def check(self, answer: Response, phase: Phase, what: str) -> None:
        """Raise StepError unless *answer* is a 200 with the expected content."""
        if answer.status != 200:
            raise StepError(
                phase,
                f"{what} was refused",
                sent=f"GET {answer.url}",
                received=status_text(answer),
                check=WHAT_STATUS_MEANS.get(answer.status, "the appliance's events"),
            )
        name = answer.url.partition("?")[0].rpartition("/")[2]
        want = self.machine.expected.sha256.get(name)
        if want and answer.sha256 and want != answer.sha256:
            raise StepError(
                phase,
                f"{what} is not the file that cluster.yaml specifies",
                sent=f"GET {answer.url}",
                received=f"{answer.size} bytes with sha256 {answer.sha256}",
                check=f"its sha256 should be {want}; download {name} again",
            )
        self.bytes += answer.size

    async def get(
        self,
        http: Http,
        url: str,
        phase: Phase,
        what: str,
        *,
        keeps: bool = False,
        is_head: bool = False,
        tries: int | None = None,
    ) -> Response:
        """Return a complete file, with the retries of curl and coreos-installer. Raises StepError.

        With *is_head* it is only asked about. With *tries* None it retries as long as the
        machine has patience, as coreos-installer does.
        """
        wait_seconds = 1.0
        attempt = 0
        while True:
            attempt += 1
            try:
                if is_head:
                    answer = await http.head(url)
                else:
                    answer = await http.get(url, keeps=keeps, hashes=self.machine.verifies)
                came = f"status {answer.status}"
                if answer.status not in RETRIED:
                    self.check(answer, phase, what)
                    return answer
                wait_seconds = float(answer.retry_seconds or wait_seconds)
            except HttpError as error:
                came = str(error)
                if tries is None and attempt >= self.machine.patience.http_tries:
                    tries = attempt
            if tries is not None and attempt >= tries:
                look = "is the web server reachable from the node network? Is the port open?"
                raise StepError(
                    phase,
                    f"{what} could not be downloaded",
                    sent=f"GET {url}, {attempt} times",
                    received=came,
                    check=look,
                )
            self.retries += 1
            self.tell(phase, f"{what}: {came}; retrying")
            await self.hold(wait_seconds, phase, came)
            wait_seconds *= 2


def status_text(answer: Response) -> str:
    """Return the status of *answer*, and the first line of its text."""
    text = answer.body.decode("utf-8", "replace").strip().partition("\n")[0][:200]
    return f"status {answer.status}{': ' if text else ''}{text}"


WHAT_STATUS_MEANS = {
    403: "the client's address: a host's script and Ignition go only to its own address, during its installation",
    404: "is the file in the data directory? `ocp-appliance validate` lists missing files",
    503: "`ocp-appliance explain` shows what it is waiting for",
}
