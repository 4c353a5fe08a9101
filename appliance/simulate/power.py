"""A machine's power switch: firmware, shim, iPXE or GRUB, installer and system in turn."""

from appliance.simulate.firmware import network_boot
from appliance.simulate.grub import run_grub
from appliance.simulate.installer import install
from appliance.simulate.ipxe import run_ipxe
from appliance.simulate.link import Link
from appliance.simulate.loaded import Program
from appliance.simulate.machine import Disk, Machine, Phase, StepError
from appliance.simulate.run import BootSummary, Result, Run
from appliance.simulate.script import How
from appliance.simulate.shim import second_stage
from appliance.simulate.system import boot_disk

MAX_BOOTS = 4  # per power-on: an installation takes two; a machine that keeps rebooting is in a loop


async def power_on(
    machine: Machine, link: Link, *, choice: str = "", network_first: bool = True, comes_up: bool = True
) -> BootSummary:
    """Switch *machine* on with the network first in its boot order, and return how it came up. Raises StepError.

    Without *network_first*, a disk that the installer has just written boots at
    once, as if network boot had been chosen by a key at the console. Without
    *comes_up*, or if the machine is dry, the run ends where it would boot from its disk.
    """
    run = Run(machine, link)
    link.release()
    result = Result.BOOTED
    for _ in range(MAX_BOOTS):
        written = await _network_entry(run, choice)
        if written is None:
            return run.outcome(Result.POWERED_OFF)
        if written == REBOOT:
            continue
        if machine.is_dry:
            return run.outcome(Result.WOULD_BOOT if written is machine.disk else Result.WOULD_INSTALL)
        if written is not machine.disk:
            result, machine.disk = Result.INSTALLED, written
            link.release()
            if not comes_up:
                return run.outcome(result)
            if network_first:
                continue
        return run.outcome(result, await boot_disk(run, written) if comes_up else "")
    raise StepError(
        Phase.FIRMWARE,
        "it keeps booting from the network",
        sent=f"{MAX_BOOTS} network boots in one power-on",
        received="a boot file each time",
        check="`ocp-appliance status`: is the host installed? Does it have `install: always`?",
    )


REBOOT = Disk("reboot")


async def _network_entry(run: Run, choice: str) -> Disk | None:
    """Return the disk to boot, REBOOT, or None when the machine has been switched off."""
    machine = run.machine
    loaded = await network_boot(run)
    if loaded is None:
        return _disk(run, "firmware was offered no boot file")
    if loaded.program is Program.SHIM:
        loaded = await second_stage(run, loaded)
    is_grub = loaded.program is Program.GRUB
    ending = await (run_grub(run, loaded, choice=choice) if is_grub else run_ipxe(run, choice=choice))
    if ending.how is How.BOOT:
        return await install(run, ending)
    if ending.how is How.POWEROFF:
        return None
    if ending.how is How.REBOOT:
        return REBOOT
    if ending.how is How.EXIT and not ending.status and machine.hardware.is_uefi:
        raise StepError(
            Phase.SCRIPT,
            "iPXE exited with status 0, after which UEFI firmware stops in its setup",
            sent="the script",
            received="exit",
            check="`exit 1` sends firmware on to its next boot entry",
        )
    phase, starts = (
        (Phase.GRUB, "starts the disk itself") if is_grub else (Phase.IPXE, "boots the disk itself (sanboot)")
    )
    run.tell(phase, "exits to the disk" if ending.how is How.EXIT else starts)
    return _disk(run, f"{loaded.program} ended with {ending.how}")


def _disk(run: Run, why: str) -> Disk:
    disk = run.machine.disk
    if disk is None:
        raise StepError(
            Phase.DISK,
            "its disk is empty",
            sent=why,
            received="nothing to boot",
            check="the appliance regards this host as installed; `ocp-appliance reinstall` lets it install again",
        )
    if not disk.device:
        run.tell(Phase.DISK, "the appliance regards this host as installed, or it has `install: never`")
    return disk
