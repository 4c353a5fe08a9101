"""One power-on under way: its clock, what it has told, and the checks that every program makes."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address

from appliance.simulate.dhcp import Speaker
from appliance.simulate.http import RETRIED, Answer, Http, HttpError
from appliance.simulate.lease import Lease, negotiate
from appliance.simulate.link import Link
from appliance.simulate.machine import Machine, Phase, Step, StepError
from appliance.simulate.names import NameLookupError, Resolver


class Result(StrEnum):
    """How a power-on ended."""

    INSTALLED = "installed"  # and came up from its disk
    BOOTED = "booted from its disk"
    POWERED_OFF = "powered off"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a power-on came to."""

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
        self.trouble = ""  # the last one that a script got over
        self.held = 0.0  # seconds, by scripts and servers that say "not yet"
        self._shown: set[str] = set()
        self.bytes = 0
        self.retries = 0

    @property
    def seconds(self) -> float:
        """Since power-on."""
        return self._loop.time() - self._began

    def outcome(self, result: Result, name: str = "") -> Outcome:
        """Return the end of this power-on; *name* is the running system's own."""
        return Outcome(result, name, self.seconds, self.bytes, self.retries)

    def tell(self, phase: Phase, text: str) -> None:
        """Report a step; what a script shows again and again, once."""
        if phase is Phase.SCRIPT and text in self._shown:
            return
        self._shown.add(text)
        self.machine.report(Step(self.machine.name, phase, text, self.seconds))

    async def lease(self, speaker: Speaker, phase: Phase) -> Lease:
        """Return the lease that *speaker* gets, with the machine's address set. Raises StepError."""
        machine = self.machine
        lease = await negotiate(machine, self.link, speaker, phase)
        if lease is None:
            waits = machine.patience.dhcp_waits
            raise StepError(
                phase,
                f"{speaker.name} got no offer",
                sent=f"{len(waits)} DISCOVERs from {machine.mac} in {sum(waits):g} s",
                came="nothing",
                look="is this MAC in cluster.yaml (an unknown one gets silence; see `ocp-appliance seen`), does the"
                " appliance listen on this segment, is there a relay, is UDP 67 open?",
            )
        self.retries += lease.retries
        self.link.configure(lease.address, lease.network.prefixlen, lease.router)
        return lease

    def resolver(self, lease: Lease) -> Resolver:
        """Return the stub resolver of a program that has *lease*."""
        return Resolver(self.link, lease.address, lease.dns, self.machine.ports.dns)

    def http(self, lease: Lease, agent: str) -> Http:
        """Return the HTTP of a program that has *lease*."""

        resolver = self.resolver(lease)

        async def lookup(host: str) -> IPv4Address:
            try:
                return await resolver.address_of(host)
            except NameLookupError as error:
                raise HttpError(f"{host} could not be resolved: {error}") from error

        http = Http(self.link, lease.address, self.machine.patience, agent, lookup)
        http.progress = self.machine.progress
        return http

    async def hold(self, seconds: float, phase: Phase, why: str) -> None:
        """Wait as long as *why* says, cut short; raise StepError once it has been too long in all."""
        patience = self.machine.patience
        pause = min(seconds, patience.longest_pause)
        self.held += pause
        if self.held > patience.hold:
            raise StepError(
                phase,
                f"was told to wait for more than {patience.hold:g} s",
                sent="the same request again and again",
                came=f"{why}; the last trouble before: {self.trouble}" if self.trouble else why,
                look="`ocp-appliance status`: is the host held, is api-int:22623 up, has bootstrap.ign expired?",
            )
        await asyncio.sleep(pause)

    def check(self, answer: Answer, phase: Phase, what: str) -> None:
        """Raise StepError unless *answer* is a 200 whose bytes are those that are meant."""
        if answer.status != 200:
            raise StepError(
                phase,
                f"{what} was refused",
                sent=f"GET {answer.url}",
                came=status_text(answer),
                look=WHAT_STATUS_MEANS.get(answer.status, "the appliance's events"),
            )
        name = answer.url.partition("?")[0].rpartition("/")[2]
        want = self.machine.expected.sha256.get(name)
        if want and answer.sha256 and want != answer.sha256:
            raise StepError(
                phase,
                f"{what} is not the file that cluster.yaml means",
                sent=f"GET {answer.url}",
                came=f"{answer.size} bytes with sha256 {answer.sha256}",
                look=f"its sha256 should be {want}; fetch {name} again",
            )
        self.bytes += answer.size

    async def get(
        self, http: Http, url: str, phase: Phase, what: str, *, keeps: bool = False, tries: int | None = None
    ) -> Answer:
        """Return a whole file, asking again as curl and coreos-installer do. Raises StepError.

        With *tries* of None it asks as long as the machine has patience, as coreos-installer does.
        """
        wait_seconds = 1.0
        attempt = 0
        while True:
            attempt += 1
            try:
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
                look = "is the web server reachable from the node network, is the port open?"
                raise StepError(phase, f"{what} did not come", sent=f"GET {url}, {attempt} times", came=came, look=look)
            self.retries += 1
            self.tell(phase, f"{what}: {came}; asks again")
            await self.hold(wait_seconds, phase, came)
            wait_seconds *= 2


def status_text(answer: Answer) -> str:
    """Return the status of *answer*, and the first line that the server says about it."""
    text = answer.body.decode("utf-8", "replace").strip().partition("\n")[0][:200]
    return f"status {answer.status}{': ' if text else ''}{text}"


WHAT_STATUS_MEANS = {
    403: "who asked: a host's script and Ignition go only to its own address, in its own installation",
    404: "is the file in the data directory? `ocp-appliance validate` names those that are missing",
    503: "`ocp-appliance explain` says what it waits for",
}
