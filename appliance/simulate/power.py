"""A machine's power switch: firmware, iPXE, installer and system, one after the other."""

from appliance.simulate.firmware import network_boot
from appliance.simulate.installer import install
from appliance.simulate.ipxe import run_ipxe
from appliance.simulate.link import Link
from appliance.simulate.machine import Disk, Machine, Phase, StepError
from appliance.simulate.run import Outcome, Result, Run
from appliance.simulate.script import How
from appliance.simulate.system import boot_disk

MAX_BOOTS = 4  # in one power-on: an installation takes two; a machine that reboots on goes round in a circle


async def power_on(
    machine: Machine, link: Link, *, choice: str = "", network_first: bool = True, comes_up: bool = True
) -> Outcome:
    """Return how *machine* came up; the network is first in its boot order. Raises StepError.

    Without *network_first* a disk that an installer has just written boots at
    once, as where the network was asked for by a key at the console. Without
    *comes_up* the end is where the machine would boot from its disk.
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
        "it boots from the network again and again",
        sent=f"{MAX_BOOTS} network boots in one power-on",
        came="a boot file each time",
        look="`ocp-appliance status`: is the host counted as installed? is it `install: always`?",
    )


REBOOT = Disk("reboot")


async def _network_entry(run: Run, choice: str) -> Disk | None:
    """Return the disk to boot, REBOOT, or None for a machine that is switched off."""
    machine = run.machine
    if not await network_boot(run):
        return _disk(run, "firmware was offered no boot file")
    ending = await run_ipxe(run, choice=choice)
    if ending.how is How.BOOT:
        return await install(run, ending)
    if ending.how is How.POWEROFF:
        return None
    if ending.how is How.REBOOT:
        return REBOOT
    if ending.how is How.EXIT and not ending.status and machine.hardware.is_uefi:
        raise StepError(
            Phase.SCRIPT,
            "iPXE left with status 0, and UEFI firmware stops in its setup",
            sent="the script",
            came="exit",
            look="`exit 1` sends firmware on to its next boot entry",
        )
    run.tell(Phase.IPXE, "leaves for the disk" if ending.how is How.EXIT else "boots the disk itself (sanboot)")
    return _disk(run, f"iPXE ended with {ending.how}")


def _disk(run: Run, why: str) -> Disk:
    disk = run.machine.disk
    if disk is None:
        raise StepError(
            Phase.DISK,
            "its disk is empty",
            sent=why,
            came="nothing to boot",
            look="the appliance counts this host as installed: `ocp-appliance reinstall` arms it again",
        )
    if not disk.device:
        run.tell(Phase.DISK, "the appliance counts this host as installed, or as `install: never`")
    return disk
