"""A program that the machine has fetched: where it came from, what it is, and whether Secure Boot lets it start."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import ip_address
from urllib.parse import urlsplit

from appliance.simulate import tftp
from appliance.simulate.efi import efi_program
from appliance.simulate.http import HttpError
from appliance.simulate.lease import Lease
from appliance.simulate.machine import Phase, StepError
from appliance.simulate.run import Run, status_text

NOT_FOUND = "not found"  # how shim and GRUB take a file that may be missing
LOOK_SIGNED = (
    "Secure Boot starts signed programs only: `loader: shim` in cluster.yaml, with shim and GRUB from the"
    " distribution's packages and a signed kernel"
)


class Program(StrEnum):
    """What a program is, by the name in its .sbat section."""

    SHIM = "shim"
    GRUB = "GRUB"
    IPXE = "iPXE"  # and every program without that section: older builds of iPXE have none


class FetchError(Exception):
    """A file was not received; the text says what was. It is NOT_FOUND where the server has no such file."""


@dataclass(frozen=True, slots=True)
class Place:
    """The server that firmware booted from, and the protocol: where shim and GRUB look for their files."""

    scheme: str  # tftp or http
    host: str  # an address, with a port where it is not the usual one

    @property
    def device(self) -> str:
        """The name that GRUB gives it."""
        return f"{self.scheme},{self.host}"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A program, and where it came from."""

    program: Program
    vendor: str  # of GRUB's build: debian, rhel …; "" where it does not say
    lease: Lease
    place: Place
    path: str  # as it was asked for


def place_of(lease: Lease) -> tuple[Place, str]:
    """Return the place of the boot file in *lease*, and its path there."""
    scheme, separator, _ = lease.boot_file.partition("://")
    if separator:
        parts = urlsplit(lease.boot_file)
        return Place(scheme, parts.netloc), parts.path
    return Place("tftp", str(lease.boot_server)), lease.boot_file


def program_of(data: bytes) -> tuple[Program, str]:
    """Return what the program *data* is, and its vendor."""
    found = efi_program(data)
    names = found.components if found else ()
    vendor = next((name.partition(".")[2] for name in names if name.startswith("grub.")), "")
    return (
        next((program for program in (Program.SHIM, Program.GRUB) if program.lower() in names), Program.IPXE),
        vendor,
    )


def check_program(run: Run, phase: Phase, name: str, data: bytes) -> None:
    """Raise StepError where the machine's processor, or its Secure Boot, would refuse the program *data*."""
    hardware = run.machine.hardware
    found = efi_program(data)
    if found and found.processor != hardware.processor:
        raise StepError(
            phase,
            f"{name} does not run on {hardware} firmware",
            sent=f"a request for {name}",
            received=f"an EFI program for {found.processor}, not for {hardware.processor}",
            check="the files for this architecture: the loader, and `arch` of the host in cluster.yaml",
        )
    if not run.machine.is_secure or (found and found.signatures):
        return
    if found is None:
        why = "is not a complete EFI program"
    else:
        why = f"has no signature that can be read: {found.fault}" if found.fault else "has no signature"
    raise StepError(
        phase,
        f"Secure Boot refuses {name}, which {why}",
        sent=f"a request for {name}",
        received=f"{len(data):,} bytes",
        check=LOOK_SIGNED,
    )


async def fetch_file(
    run: Run, lease: Lease, place: Place, path: str, *, agent: str, block_bytes: int = tftp.UEFI_BLOCK_BYTES
) -> bytes:
    """Return the file *path* of *place*, fetched in one request. Raises FetchError."""
    data = await (
        _by_http(run, lease, f"http://{place.host}{path}", agent)
        if place.scheme == "http"
        else _by_tftp(run, lease, place, path, block_bytes)
    )
    run.bytes += len(data)
    return data


async def _by_http(run: Run, lease: Lease, url: str, agent: str) -> bytes:
    async with run.http(lease, agent) as http:
        try:
            answer = await http.get(url, keeps=True)
        except HttpError as error:
            raise FetchError(str(error)) from error
    if answer.status == 404:
        raise FetchError(NOT_FOUND)
    if answer.status != 200:
        raise FetchError(status_text(answer))
    return answer.body


async def _by_tftp(run: Run, lease: Lease, place: Place, path: str, block_bytes: int) -> bytes:
    machine = run.machine
    server = (str(ip_address(place.host.strip("[]"))), machine.ports.tftp)
    try:
        fetched = await tftp.fetch(
            run.link, lease.address, server, path, machine.patience, block_bytes=block_bytes, keeps=True
        )
    except tftp.TransferError as error:
        raise FetchError(NOT_FOUND if str(error).startswith("error 1:") else str(error)) from error
    run.retries += fetched.retries
    return fetched.body
