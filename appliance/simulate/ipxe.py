"""iPXE on a simulated machine: its own DHCP exchange, its settings, and the files its script fetches."""

import asyncio
from ipaddress import ip_address
from urllib.parse import urlsplit

from appliance.simulate import dhcp, dhcp6, tftp
from appliance.simulate.http import Http, HttpError, Response
from appliance.simulate.interpreter import Interpreter
from appliance.simulate.lease import Lease
from appliance.simulate.loaded import check_program
from appliance.simulate.machine import Hardware, Phase, StepError
from appliance.simulate.run import Run, status_text
from appliance.simulate.script import (
    CommandError,
    Ending,
    How,
    IpxeImage,
    Part,
    ScriptError,
)
from appliance.simulate.settings import Settings

AGENT = "iPXE/1.21.1"
PHASES = {Part.SCRIPT: Phase.SCRIPT, Part.KERNEL: Phase.KERNEL, Part.INITRD: Phase.INITRAMFS}
LOOK = "the script's line, and whether the file is in the data directory (`ocp-appliance validate` lists missing files)"
MAX_RETRIES = 1000  # for one file with Retry-After; the machine's patience ends sooner


async def run_ipxe(run: Run, *, choice: str = "") -> Ending:
    """Return how iPXE ended. Raises StepError."""
    machine = run.machine
    lease = await _lease(run)
    if not lease.boot_file:
        run.tell(Phase.IPXE, f"DHCP: {lease.address}, no boot file; exits to the next boot entry")
        return Ending(How.EXIT, 1)
    run.tell(Phase.IPXE, f"DHCP: {lease.address}, {lease.boot_file}")
    if not lease.boot_file.startswith(("http://", "tftp://")):
        raise StepError(
            Phase.IPXE,
            "iPXE was offered its own boot program again and would loop forever",
            sent=f"DHCP with user class iPXE from {machine.mac}",
            received=f"boot file {lease.boot_file!r}",
            check="the DHCP server must recognise option 77 or 175 and answer with the URL of the script",
        )
    async with run.http(lease, AGENT) as http:
        console = _Console(run, lease, http)
        interpreter = Interpreter(settings_of(run, lease), console, choice=choice)
        try:
            script = await console.fetch(lease.boot_file, Part.SCRIPT, None)
            ending = await interpreter.run(script)
        except (ScriptError, CommandError) as error:
            raise StepError(
                Phase.SCRIPT, "the script failed", sent=f"GET {lease.boot_file}", received=str(error), check=LOOK
            ) from error
    if ending.how is How.WAITS:
        raise StepError(
            Phase.SCRIPT,
            f"iPXE waits {ending.text}",
            sent=f"GET {lease.boot_file}",
            received=f"a script that stopped there after {interpreter.commands} commands",
            check="a known host's menu has a timeout and its role as the default; `ocp-appliance render` prints it",
        )
    return ending


async def _lease(run: Run) -> Lease:
    machine = run.machine
    if machine.is_ipv6:
        return await run.lease6(dhcp6.ipxe(machine.hardware.code, machine.mac), Phase.IPXE)
    return await run.lease(dhcp.ipxe(machine.hardware.code, machine.mac), Phase.IPXE)


def settings_of(run: Run, lease: Lease) -> Settings:
    """Return iPXE's settings once it has *lease*."""
    machine, settings = run.machine, Settings()
    settings.store("mac", machine.mac.octets, "hex")
    settings.store("uuid", dhcp.machine_uuid(machine.mac)[1:], "uuid")
    for name, address in (
        ("ip", lease.address),
        ("netmask", lease.network.netmask),
        ("gateway", lease.router),
        ("dns", lease.dns[0] if lease.dns else None),
        ("next-server", lease.boot_server),
        ("dhcp-server", lease.ack.server if lease.ack else None),
    ):
        # iPXE has other settings for IPv6, which none of the commands here reads.
        is_ipv4 = address is not None and address.version == 4
        settings.store(name, address.packed if address and is_ipv4 else b"", "ipv4")
    is_arm64 = machine.hardware.processor == "aarch64"
    buildarch = "arm64" if is_arm64 else "i386" if machine.hardware is Hardware.BIOS else "x86_64"
    for name, text in (
        ("hostname", lease.host_name),
        ("domain", lease.domain),
        ("filename", lease.boot_file),
        ("platform", "efi" if machine.hardware.is_uefi else "pcbios"),
        ("buildarch", buildarch),
        ("user-class", "iPXE"),
        ("version", AGENT.partition("/")[2]),
        ("manufacturer", "ocp-appliance"),
        ("product", "simulated machine"),
        ("serial", machine.mac.hyphenated),
        ("ifname", "net0"),
    ):
        settings.store(name, text.encode())
    return settings


class _Console:
    """The machine as seen by a script."""

    def __init__(self, run: Run, lease: Lease, http: Http) -> None:
        self.run, self.lease, self.http = run, lease, http

    async def fetch(self, url: str, part: Part, seconds: float | None) -> IpxeImage:
        phase = PHASES[part]
        try:
            async with asyncio.timeout(seconds):
                if url.startswith("tftp:"):
                    return await self._fetch_by_tftp(url, part)
                needs_signature = part is Part.KERNEL and self.run.machine.is_secure
                answer = await self._get(url, phase, keeps=part is Part.SCRIPT or needs_signature)
        except HttpError as error:
            raise self._trouble(phase, f"{url}: {error}") from error
        except TimeoutError as error:
            raise self._trouble(phase, f"{url}: no response within {seconds} s") from error
        if answer.status != 200:
            raise self._trouble(phase, f"{url}: {status_text(answer)}")
        # A wrong checksum ends the simulation: iPXE itself could not notice it, and its script would continue.
        self.run.check(answer, phase, part)
        name = url.partition("?")[0].rpartition("/")[2]
        if needs_signature:
            check_program(self.run, phase, name, answer.body)
        self.run.tell(phase, f"HTTP: {name}, {answer.size:,} bytes")
        return IpxeImage(name, url, answer.size, answer.body)

    def _trouble(self, phase: Phase, text: str) -> CommandError:
        self.run.tell(phase, text)
        self.run.trouble = text
        return CommandError(text)

    async def _get(self, url: str, phase: Phase, *, keeps: bool) -> Response:
        """Return the response; repeat the request while it carries Retry-After, as iPXE does."""
        for _ in range(MAX_RETRIES):
            answer = await self.http.get(url, keeps=keeps, hashes=self.run.machine.verifies)
            if answer.status == 200 or answer.retry_seconds is None:
                break
            self.run.retries += 1
            await self.run.hold(answer.retry_seconds, phase, f"status {answer.status} with Retry-After")
        return answer

    async def _fetch_by_tftp(self, url: str, part: Part) -> IpxeImage:
        if part is Part.SCRIPT:
            raise CommandError(f"{url}: the simulation runs only scripts fetched over HTTP")
        try:
            parts = urlsplit(url)
            server = (str(ip_address(parts.hostname or "")), parts.port or self.run.machine.ports.tftp)
            path = parts.path.lstrip("/")
            machine = self.run.machine
            fetched = await tftp.fetch(
                self.run.link, self.lease.address, server, path, machine.patience, hashes=machine.verifies
            )
        except (ValueError, tftp.TransferError) as error:
            raise CommandError(f"{url}: {error}") from error
        self.run.bytes += fetched.size
        self.run.tell(PHASES[part], f"TFTP: {path}, {fetched.size:,} bytes")
        return IpxeImage(path.rpartition("/")[2], url, fetched.size)

    async def dhcp(self) -> None:
        self.lease = await _lease(self.run)

    async def pause(self, seconds: float) -> None:
        await self.run.hold(seconds, Phase.SCRIPT, "a script that sleeps and repeats its request")

    async def boots_disk(self) -> bool:
        return self.run.machine.disk is not None

    def show(self, text: str) -> None:
        if text:
            self.run.tell(Phase.SCRIPT, text)
