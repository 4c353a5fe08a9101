"""Firmware: DHCP, then the boot program over TFTP or HTTP, in the manner of UEFI (edk2) and PXE ROMs."""

from appliance.simulate import dhcp, dhcp6, tftp
from appliance.simulate.http import HttpError
from appliance.simulate.lease import Lease
from appliance.simulate.loaded import Loaded, check_program, place_of, program_of
from appliance.simulate.machine import Phase, StepError
from appliance.simulate.run import Run

HTTP_BOOT_AGENT = "UefiHttpBoot/1.0"  # edk2, NetworkPkg/HttpBootDxe
DOS_MAGIC = b"MZ"  # the first bytes of every EFI program (PE/COFF)


async def network_boot(run: Run) -> Loaded | None:
    """Return the boot program that the firmware found and started, or None. Raises StepError."""
    machine = run.machine
    if machine.is_ipv6:
        lease = await run.lease6(dhcp6.firmware(machine.hardware.code, machine.mac), Phase.FIRMWARE)
    else:
        lease = await run.lease(dhcp.firmware(machine.hardware.code, machine.mac), Phase.FIRMWARE)
    if not lease.boot_file:
        run.tell(Phase.FIRMWARE, f"DHCP: {lease.address}, no boot file (PXE-E16); continues with the next boot entry")
        return None
    if machine.hardware.boots_by_http:
        run.tell(Phase.FIRMWARE, f"DHCP: {lease.address}, boot file {lease.boot_file}")
        data = await _fetch_by_http(run, lease)
        if data is None:
            return None
    else:
        run.tell(Phase.FIRMWARE, f"DHCP: {lease.address}, boot file {lease.boot_file} on {lease.boot_server}")
        data = await _fetch_by_tftp(run, lease)
    # A load generator does not keep what it fetches.
    if machine.hardware.is_uefi and machine.verifies:
        check_program(run, Phase.LOADER, lease.boot_file, data)
    program, vendor = program_of(data)
    return Loaded(program, vendor, lease, *place_of(lease))


async def _fetch_by_tftp(run: Run, lease: Lease) -> bytes:
    machine = run.machine
    server = (str(lease.boot_server), machine.ports.tftp)
    # DHCPv6 has a URL for it, of which edk2 requests the path without its slash.
    path = place_of(lease)[1].removeprefix("/") if machine.is_ipv6 else lease.boot_file
    shown = f"[{server[0]}]" if machine.is_ipv6 else server[0]
    sent = f"read request for {path!r} to {shown}:{server[1]}/udp"
    look = (
        "is the loader's package installed (`ocp-appliance validate` names it)? Is UDP port 69 open in both directions?"
    )
    is_uefi = machine.hardware.is_uefi
    try:
        size = 0
        if is_uefi:
            size = await tftp.size_of(run.link, lease.address, server, path, machine.patience)
        fetched = await tftp.fetch(
            run.link,
            lease.address,
            server,
            path,
            machine.patience,
            block_bytes=tftp.UEFI_BLOCK_BYTES if is_uefi else tftp.BIOS_BLOCK_BYTES,
            # edk2 has requested windows of four blocks since 2020; PXE ROMs request none.
            window_blocks=4 if is_uefi else 1,
            hashes=machine.verifies,
            keeps=is_uefi and machine.verifies,
        )
    except tftp.TransferError as error:
        raise StepError(
            Phase.LOADER, "the boot program could not be downloaded", sent=sent, received=str(error), check=look
        ) from error
    run.retries += fetched.retries
    if is_uefi and fetched.size != size:
        came = f"{fetched.size} bytes, but the size probe returned {size}"
        raise StepError(
            Phase.LOADER, "the size of the boot program changed", sent=sent, received=came, check="the loader's file"
        )
    _check_program(run, lease, fetched.size, fetched.magic, sent)
    run.tell(Phase.LOADER, f"TFTP: {lease.boot_file}, {fetched.size:,} bytes")
    return fetched.body


async def _fetch_by_http(run: Run, lease: Lease) -> bytes | None:
    """Return the boot program, or None if there is none; a machine with a system then starts that."""
    if not lease.boot_file.startswith("http") and run.machine.disk is not None:
        run.tell(Phase.FIRMWARE, f"HTTP: {lease.boot_file} is no URL for HTTP; continues with the next boot entry")
        return None
    async with run.http(lease, HTTP_BOOT_AGENT) as http:
        sent = f"HEAD and GET {lease.boot_file}"
        look = "an absolute http:// URL in option 67, and the loader in the data directory"
        try:
            head = await http.head(lease.boot_file)
            answer = await http.get(lease.boot_file, keeps=True)
        except HttpError as error:
            raise StepError(
                Phase.LOADER, "the boot program could not be downloaded", sent=sent, received=str(error), check=look
            ) from error
    if answer.status == 404 and run.machine.disk is not None:
        run.tell(Phase.FIRMWARE, f"HTTP: {lease.boot_file} not found; continues with the next boot entry")
        return None
    run.check(answer, Phase.LOADER, "the boot program")
    if head.length != answer.size:
        came = f"HEAD returned a length of {head.length} bytes, GET {answer.size} bytes"
        raise StepError(Phase.LOADER, "HEAD and GET disagree", sent=sent, received=came, check="the web server")
    _check_program(run, lease, answer.size, answer.body[:2], sent)
    run.tell(Phase.LOADER, f"HTTP: {lease.boot_file}, {answer.size:,} bytes")
    return answer.body


def _check_program(run: Run, lease: Lease, size: int, magic: bytes, sent: str) -> None:
    """Raise StepError where firmware would refuse to start the program that it fetched."""
    run.bytes += size
    is_efi = magic == DOS_MAGIC
    if not size or is_efi != run.machine.hardware.is_uefi:
        raise StepError(
            Phase.LOADER,
            f"{lease.boot_file} does not run on {run.machine.hardware} firmware",
            sent=sent,
            received=f"{size} bytes that {'are' if is_efi else 'are not'} an EFI program",
            check="the loader for this architecture, and the host's `loader` in cluster.yaml",
        )
