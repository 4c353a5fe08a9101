"""Why a host makes no progress: its loops and its silence, each with a name, the likely cause and the remedy.

Pure. A loop is recognised by repetitions since the last new stage, by tries that
ended early, or by a single event that reports a problem; a silence is recognised by
the clock. The hints are what an operator reads when a machine is stuck: the cause in a
sentence, then what to do.
"""

from dataclasses import replace
from typing import NamedTuple

from appliance.install.installation import Condition, Installation, Order, Stage
from appliance.model import Boot

# Firmware asks four times in about a minute before it gives up (PXE 2.1 section 2.2.7), and once more from each
# of its boot entries. Two full rounds of offers without a single REQUEST are not chance.
UNHEARD_OFFERS = 8
UNUSED_ACKS = 4
SAME_LOADER = 3
FAILED_LOADERS = 3
SAME_IPXE_ACKS = 4
SAME_SCRIPTS = 8  # the menu and the host's own script are two in one boot
BROKEN_TRANSFERS = 3
VAIN_TRIES = 3
# The first is told to ask for an address, as after a `reinstall` of a machine that waits in iPXE.
UNPROVEN_REQUESTS = 3
# From power-on through every network entry of its firmware to its disk a machine takes up to 193 s (seen on OVMF).
# Twice that, and some more for the self-test of a server.
KNOCKING_SECONDS = 480.0

UNHEARD_HINT = (
    "The machine does not receive the offers. Enable port fast on its switch port, check that the DHCP relay "
    "forwards replies, and look for another DHCP server that answers first."
)
NO_LOADER_HINT = (
    "The firmware has an address but does not fetch its boot file. Open UDP port 69 in the firewall, and look for "
    "another DHCP server that sends the machine elsewhere."
)
STALLED_HINT = (
    "TFTP blocks are lost on the way. If the path has a smaller MTU, set `mtu` for the network; if a firewall blocks "
    "the ports that TFTP answers from, set `listen.tftpSinglePort: true`."
)
LOADER_HINT = (
    "The boot file does not start on this firmware. Set `loader: ipxe-snp` for this host (`undionly` on BIOS), or "
    "`loader: shim` if Secure Boot is on, which refuses iPXE; `loader: auto` tries each in turn."
)
NO_SCRIPT_HINT = (
    "iPXE has an address but does not fetch its script. Enable port fast on the switch port and open the HTTP port "
    "in the firewall; if iPXE's driver fails on this card, set `loader: ipxe-snp` (`undionly` on BIOS)."
)
NO_DHCP_HINT = (
    "A machine at the host's address requests its script or Ignition, and the appliance's DHCP server has not answered "
    "the host in this installation. Let the machine take its address by DHCP from the appliance (the loader on its "
    "disk, too), or set `dhcp.mode: off` if another server assigns it; otherwise find out which machine it is."
)
BROKEN_HINT = (
    "Three downloads broke off. Check the path for a duplex or MTU mismatch, and the machine for too little memory "
    "or resets."
)
_SEE_CONSOLE = "Check the machine's console"
# By the stage at which a try ended, or at which the script is fetched repeatedly.
TRY_HINTS = {
    Stage.SCRIPT: f"The script fails before it loads the kernel. {_SEE_CONSOLE} for iPXE's error.",
    Stage.KERNEL: "The kernel or initramfs does not load completely. Check that the machine has at least 4 GiB of "
    "memory.",
    Stage.INITRAMFS: "The initramfs starts but fetches nothing. Check the interface in `ip=`, check that kernel and "
    "initramfs are of the same release, and look at the machine's console.",
    Stage.IMAGE: "The image is fetched but the installer does not continue. Check that rootfs and initramfs are of the "
    "same release, and that the machine has enough memory for the rootfs.",
    Stage.IGNITION: "The disk is not written. Check that `rootDeviceHints.deviceName` is the machine's disk.",
}

# How long a host may be silent at a stage before an operator should look at it.
SILENCE_SECONDS = {
    Stage.FIRMWARE: 300.0,  # firmware that gives up tries its other entries first
    Stage.LOADER: 120.0,
    Stage.BOOTLOADER: 120.0,
    Stage.SCRIPT: 600.0,  # somebody may be at its menu
    Stage.KERNEL: 120.0,
    Stage.INITRAMFS: 300.0,
    Stage.IMAGE: 120.0,
    Stage.IGNITION: 1800.0,  # a slow disk, then a server's power-on self-test
    Stage.INSTALLED: 900.0,  # by then a system has started and asked for an address
}
SILENCE_HINTS = {
    Stage.FIRMWARE: "The machine went on to another boot entry, is switched off, or does not receive our answers. "
    "Check its boot order, its power and its switch port.",
    Stage.LOADER: "Nothing follows the boot file: iPXE's driver fails on this card, or Secure Boot refuses the file. "
    "Set `loader: ipxe-snp` (`undionly` on BIOS), or `loader: shim`.",
    Stage.BOOTLOADER: "iPXE or GRUB does not reach its script. Open the HTTP port between the machine and the "
    "appliance.",
    Stage.SCRIPT: f"iPXE or GRUB waits at its menu or cannot load the kernel. {_SEE_CONSOLE}.",
    Stage.KERNEL: f"The download stopped. {_SEE_CONSOLE}.",
    Stage.INITRAMFS: f"The kernel has no network, or it failed. {_SEE_CONSOLE}.",
    Stage.IMAGE: "The installer does not continue after the image. Check that the machine has enough memory, and that "
    "rootfs and initramfs are of the same release.",
    Stage.IGNITION: f"The disk should be written by now. {_SEE_CONSOLE} for the installer's error.",
    Stage.INSTALLED: "No system has started from the disk, or one with a static address that uses another DNS server. "
    f"{_SEE_CONSOLE}; if the disk was not written, `ocp-appliance reinstall` installs the host again.",
}


class _Loop(NamedTuple):
    repeat: str  # the key in Installation.repeats
    times: int
    stage: Stage | None  # at which it is a loop; None for every stage
    name: str
    hint: str


# In the order in which they are checked: the first that matches is the most specific.
_LOOPS = (
    _Loop("broken", BROKEN_TRANSFERS, None, "download-stalled", BROKEN_HINT),
    _Loop("no-dhcp", UNPROVEN_REQUESTS, None, "no-dhcp", NO_DHCP_HINT),
    _Loop("loader-failed", FAILED_LOADERS, None, "loader-stalled", STALLED_HINT),
    _Loop("loader", SAME_LOADER, Stage.LOADER, "loader-loop", LOADER_HINT),
    _Loop("firmware-ack", UNUSED_ACKS, Stage.FIRMWARE, "no-loader", NO_LOADER_HINT),
    _Loop("ipxe-ack", SAME_IPXE_ACKS, Stage.BOOTLOADER, "no-script", NO_SCRIPT_HINT),
)


# The same for one that restarts while its live system installs.
LIVE_HINT = f"The live system restarts before it can have installed. {_SEE_CONSOLE}, and whether it has enough memory."
# For how long the live system of each may work in silence, and what to look at then.
LIVE_SILENCE_SECONDS = 5400.0
LIVE_SILENCE_HINTS = {
    Boot.AGENT: "The agent-based installation takes longer than usual. `openshift-install agent wait-for "
    "bootstrap-complete` shows for which host it waits; each host of the cluster must have booted.",
    Boot.NODE_IMAGE: "The node takes longer than usual to install. `oc adm node-image monitor` shows how far it is.",
    Boot.IN_PLACE: "The installation in place takes longer than usual. `openshift-install wait-for install-complete` "
    "shows how far it is, and `journalctl -u bootkube` on the machine.",
}


def judged(installation: Installation, at: float) -> Installation:
    """Return the installation with its condition at *at*, seconds UTC; the same object if the condition is the same."""
    found = _judge(installation)
    if found is None:
        return installation if installation.condition is None else replace(installation, condition=None)
    name, hint = found
    if installation.condition is not None and (installation.condition.name, installation.condition.hint) == (
        name,
        hint,
    ):
        return installation
    is_same = installation.condition is not None and installation.condition.name == name
    since = installation.condition.since if installation.condition is not None and is_same else at
    return replace(installation, condition=Condition(name, hint, since))


def silence(installation: Installation, seen_at: float, now: float) -> Condition | None:
    """Return the condition of a host that has been silent for too long at *now*, or None.

    Times are seconds UTC; *seen_at* is when the host was last heard, 0.0 if that is not known.
    """
    limit_seconds, hint = SILENCE_SECONDS.get(installation.stage), SILENCE_HINTS.get(installation.stage, "")
    if installation.stage is Stage.IGNITION and installation.boot in LIVE_SILENCE_HINTS:
        limit_seconds, hint = LIVE_SILENCE_SECONDS, LIVE_SILENCE_HINTS[installation.boot]
    if limit_seconds is None or installation.is_told_to_wait:  # its polls are not events
        return None
    if installation.order is Order.HOLD or (installation.order is Order.LOCAL and not installation.is_settled):
        return None
    heard_at = max(seen_at, *installation.reached.values(), 0.0)
    if not heard_at or now - heard_at < limit_seconds:
        return None
    return Condition("silent", f"Silent since {installation.stage.name.lower()}. {hint}", heard_at)


def _judge(installation: Installation) -> tuple[str, str] | None:
    if installation.doubt is not None:
        return installation.doubt.name, installation.doubt.hint
    if installation.stage >= Stage.INSTALLED:
        return _not_booting(installation)
    if installation.complaint is not None:
        return installation.complaint.name, installation.complaint.hint
    if installation.order is not Order.INSTALL:
        return None
    return _loop(installation) or _vain(installation)


def _not_booting(installation: Installation) -> tuple[str, str] | None:
    if installation.knocking_since is None or installation.knocked_at is None or installation.is_held:
        return None
    if installation.knocked_at - installation.knocking_since < KNOCKING_SECONDS:
        return None
    short = installation.host.partition(".")[0]
    cause = (
        "its disk no longer boots"
        if installation.stage >= Stage.BOOTED
        else "it counts as installed, but its disk was not written"
    )
    remedy = f"Check the boot order; `ocp-appliance reinstall {short}` installs it again."
    return "not-booting", f"The firmware keeps asking and no system starts: {cause}. {remedy}"


def _loop(installation: Installation) -> tuple[str, str] | None:
    is_unheard = installation.stage is Stage.FIRMWARE and "firmware-ack" not in installation.repeats
    if is_unheard and installation.repeats.get("firmware-offer", 0) >= UNHEARD_OFFERS:
        return "unheard", UNHEARD_HINT
    for loop in _LOOPS:
        if installation.repeats.get(loop.repeat, 0) >= loop.times and loop.stage in (installation.stage, None):
            return loop.name, loop.hint
    if installation.repeats.get("script", 0) >= SAME_SCRIPTS:
        hint = TRY_HINTS.get(installation.stage, TRY_HINTS[Stage.SCRIPT])
        return "script-loop", f"The machine fetches its script again and again. {hint}"
    return None


def _vain(installation: Installation) -> tuple[str, str] | None:
    if installation.tries < VAIN_TRIES:
        return None
    hint = TRY_HINTS.get(installation.ended_at, TRY_HINTS[Stage.SCRIPT])
    if installation.ended_at is Stage.IGNITION and installation.boot is not Boot.INSTALLER:
        hint = LIVE_HINT
    return "boot-loop", f"{installation.tries} boots in a row ended at {installation.ended_at.name.lower()}. {hint}"
