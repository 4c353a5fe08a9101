"""shim: it looks for revocations and certificates beside itself, then starts GRUB from there (rhboot/shim, netboot.c).

The files that may be missing are those of shim 16.1.
"""

from appliance.simulate.loaded import NOT_FOUND, FetchError, Loaded, Program, check_program, fetch_file, program_of
from appliance.simulate.machine import Phase, StepError
from appliance.simulate.run import Run

AGENT = "UefiHttpBoot/1.0"
OPTIONAL = ("revocations_sku.efi", "revocations_sbat.efi", "shim_certificate_0.efi")
SECOND_STAGES = {"x86_64": "grubx64.efi", "aarch64": "grubaa64.efi"}


def beside(shim: Loaded, name: str) -> str:
    """Return the path under which shim asks for *name*: over HTTP it puts a second slash before it."""
    directory, slash, _ = shim.path.rpartition("/")
    return f"{directory}{slash}{'/' if shim.place.scheme == 'http' else ''}{name}"


async def second_stage(run: Run, shim: Loaded) -> Loaded:
    """Return the program that *shim* starts. Raises StepError."""
    for name in OPTIONAL:
        await _optional(run, shim, name)
    name = beside(shim, SECOND_STAGES[run.machine.hardware.processor])
    try:
        data = await fetch_file(run, shim.lease, shim.place, name, agent=AGENT)
    except FetchError as error:
        raise StepError(
            Phase.LOADER,
            "shim found no second stage",
            sent=f"{shim.place.scheme} request for {name} to {shim.place.host}",
            received=str(error),
            check="GRUB for shim in the data directory or from its package (`ocp-appliance validate` names it)",
        ) from error
    check_program(run, Phase.LOADER, name, data)
    run.tell(Phase.LOADER, f"{shim.place.scheme.upper()}: {name}, {len(data):,} bytes")
    program, vendor = program_of(data)
    # Whatever has this name is the second stage, even without a section that says so.
    return Loaded(Program.GRUB if program is Program.IPXE else program, vendor, shim.lease, shim.place, name)


async def _optional(run: Run, shim: Loaded, name: str) -> None:
    path = beside(shim, name)
    try:
        data = await fetch_file(run, shim.lease, shim.place, path, agent=AGENT)
    except FetchError as error:
        if str(error) == NOT_FOUND:
            return
        raise StepError(
            Phase.LOADER,
            f"shim asked for {name}, which may be missing, and got neither the file nor a plain refusal",
            sent=f"{shim.place.scheme} request for {path} to {shim.place.host}",
            received=str(error),
            check="the server's answer to a file that it does not have: 404, or error 1 of TFTP",
        ) from error
    run.tell(Phase.LOADER, f"{shim.place.scheme.upper()}: {path}, {len(data):,} bytes")
