"""GRUB on a simulated machine: where it looks for its configuration, and the files that it loads.

It asks the server that it came from, by the same protocol, and does not ask DHCP
again (GRUB manual, "Booting GRUB from the network"; grub-core/net/net.c).
"""

from appliance.simulate.commands import EndedSignal
from appliance.simulate.grub_commands import COMMANDS
from appliance.simulate.grub_shell import Shell
from appliance.simulate.loaded import NOT_FOUND, FetchError, Loaded, Place, check_program, fetch_file
from appliance.simulate.machine import Phase, StepError
from appliance.simulate.run import Run
from appliance.simulate.script import CommandError, Ending, How, IpxeImage, Part

AGENT = "GRUB 2.06"
TFTP_BLOCK_BYTES = 1024
PHASES = {Part.SCRIPT: Phase.SCRIPT, Part.KERNEL: Phase.KERNEL, Part.INITRD: Phase.INITRAMFS}
# Debian's build for the network looks in a directory of its own, others where GRUB itself came from.
PREFIXES = {"debian": "/grub"}
LOOK = "`ocp-appliance render` prints the host's grub.cfg; `ocp-appliance explain` shows what the appliance did"


async def run_grub(run: Run, grub: Loaded, *, choice: str = "") -> Ending:
    """Return how GRUB ended. Raises StepError."""
    machine = _Machine(run, grub)
    directory = grub.path.rpartition("/")[0].rstrip("/")
    prefix = PREFIXES.get(grub.vendor, directory if directory.startswith("/") or not directory else f"/{directory}")
    path, text = await machine.configuration(prefix)
    shell = Shell(machine, COMMANDS, machine.variables(prefix), choice=choice)
    try:
        ending = await shell.run_file(text)
    except EndedSignal as signal:
        ending = signal.ending
    except CommandError as error:
        raise StepError(
            Phase.SCRIPT, "grub.cfg failed", sent=f"a request for {path}", received=str(error), check=LOOK
        ) from error
    if ending.how is How.WAITS:
        raise StepError(
            Phase.SCRIPT,
            f"GRUB waits {ending.text}",
            sent=f"a request for {path}",
            received=f"a grub.cfg that stopped there after {shell.commands} commands",
            check=LOOK,
        )
    return ending


class _Machine:
    """The machine as seen by a grub.cfg."""

    def __init__(self, run: Run, grub: Loaded) -> None:
        self.run, self.grub = run, grub
        self.has_disk = run.machine.disk is not None

    def variables(self, prefix: str) -> dict[str, str]:
        """Return the variables that GRUB sets itself."""
        lease, place, machine = self.grub.lease, self.grub.place, self.run.machine
        mac = str(machine.mac)
        return {
            "prefix": f"({place.device}){prefix}",
            "root": place.device,
            "grub_cpu": "arm64" if machine.hardware.processor == "aarch64" else "x86_64",
            "grub_platform": "efi" if machine.hardware.is_uefi else "pc",
            "net_default_interface": "efinet0",
            "net_default_ip": str(lease.address),
            "net_default_mac": mac,
            "net_default_server": place.host,
            "net_efinet0_ip": str(lease.address),
            "net_efinet0_mac": mac,
            "net_efinet0_next_server": str(lease.boot_server),
            "net_efinet0_boot_file": lease.boot_file,
            "lockdown": "y" if machine.is_secure else "",
        }

    async def configuration(self, prefix: str) -> tuple[str, str]:
        """Return the path and the text of the first configuration that the server has. Raises StepError."""
        asked = []
        for path in self._paths(prefix):
            asked.append(path)
            try:
                data = await self._get(self.grub.place, path)
            except FetchError as error:
                if str(error) == NOT_FOUND:
                    continue
                raise StepError(
                    Phase.GRUB,
                    "its configuration could not be downloaded",
                    sent=f"{self.grub.place.scheme} request for {path}",
                    received=str(error),
                    check=LOOK,
                ) from error
            self.run.tell(Phase.GRUB, f"{self.grub.place.scheme.upper()}: {path}, {len(data):,} bytes")
            return path, data.decode("utf-8", "replace")
        raise StepError(
            Phase.GRUB,
            "found no configuration, and stops at its prompt",
            sent=f"{self.grub.place.scheme} requests to {self.grub.place.host} for {', '.join(asked)}",
            received=NOT_FOUND,
            check="the appliance serves grub.cfg to a host at its own address only, after DHCP; " + LOOK,
        )

    def _paths(self, prefix: str) -> list[str]:
        """Return the paths of its configuration, in the order in which GRUB tries them."""
        paths = []
        if self.grub.place.scheme == "tftp" or self.grub.vendor not in PREFIXES:
            address = self.grub.lease.address
            digits = address.packed.hex().upper() if address.version == 4 else ""
            suffixes = [
                f"01-{self.run.machine.mac.hyphenated}",
                *(digits[:size] for size in range(len(digits), 0, -1)),
            ]
            paths = [f"{prefix}/grub.cfg-{suffix}" for suffix in suffixes]
        return [*paths, f"{prefix}/grub.cfg"]

    async def fetch(self, path: str, root: str, part: Part) -> IpxeImage:
        """Return the file at *path*, `(device)/name` or a name on the device *root*. Raises CommandError."""
        device, name = root, path
        if path.startswith("("):
            device, _, name = path[1:].partition(")")
        scheme, _, host = device.partition(",")
        scheme = "tftp" if scheme == "pxe" else scheme
        if scheme not in ("tftp", "http"):
            raise CommandError(f"no such device: {device or 'none'}; the simulation has tftp and http")
        place = Place(scheme, host or self.grub.place.host)
        phase = PHASES[part]
        try:
            data = await self._get(place, name if name.startswith("/") else f"/{name}")
        except FetchError as error:
            self.run.trouble = f"{path}: {error}"
            self.run.tell(phase, self.run.trouble)
            raise CommandError(
                f"file `{name}' {'not found' if str(error) == NOT_FOUND else f'failed: {error}'}"
            ) from error
        except ValueError as error:
            raise CommandError(f"{host!r} is not the address of a server") from error
        base = name.rpartition("/")[2]
        if part is Part.KERNEL:
            check_program(self.run, phase, base, data)
        self.run.tell(phase, f"{scheme.upper()}: {base}, {len(data):,} bytes")
        return IpxeImage(base, path, len(data), data if part is Part.SCRIPT else b"")

    async def _get(self, place: Place, path: str) -> bytes:
        return await fetch_file(self.run, self.grub.lease, place, path, agent=AGENT, block_bytes=TFTP_BLOCK_BYTES)

    async def pause(self, seconds: float) -> None:
        await self.run.hold(seconds, Phase.SCRIPT, "a grub.cfg that sleeps and repeats its request")

    def show(self, text: str) -> None:
        if text:
            self.run.tell(Phase.SCRIPT, text)
