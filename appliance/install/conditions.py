"""The loops that a machine can be caught in, and its silence, each with its name and the known causes: pure.

A condition is judged from what happened again since the last new stage, from
the tries that came to nothing, and from what single events complained of; a
silence from the clock.
"""

from dataclasses import replace
from typing import NamedTuple

from appliance.install.installation import Condition, Installation, Order, Stage

# Firmware asks four times in about a minute before it gives up (PXE 2.1 section 2.2.7), and
# each of its boot entries once more: this many offers without one REQUEST are a pattern.
UNHEARD_OFFERS = 8
UNUSED_ACKS = 4
SAME_LOADER = 3
FAILED_LOADERS = 3
SAME_IPXE_ACKS = 4
SAME_SCRIPTS = 8  # the menu and the host's own script are two in one boot
BROKEN_TRANSFERS = 3
VAIN_TRIES = 3
# From power-on through every network entry of its firmware to its disk a machine takes up to 193 s (seen on OVMF).
KNOCKING_SECONDS = 480.0

LOADER_HINT = (
    "wrong loader for this firmware: try `loader: efi/snponly.efi` for this host (undionly.kpxe on BIOS); "
    "or Secure Boot is on, which refuses iPXE"
)
STALLED_HINT = (
    "blocks are lost on the way: the block size is over the path's MTU (set `mtu`), or a firewall drops the "
    "ports that TFTP answers from (set `listen.tftpSinglePort: true`)"
)
NO_SCRIPT_HINT = (
    "iPXE has its address and does not fetch its script: the switch port is not forwarding yet (enable port fast), "
    "a firewall closes the HTTP port, or iPXE's driver fails here (try `loader: efi/snponly.efi`)"
)
TRY_HINTS = {
    Stage.SCRIPT: "the script fails before the kernel; look at the machine's console",
    Stage.KERNEL: "the kernel or initramfs does not come through; is the machine's memory enough (4 GiB and more)?",
    Stage.INITRAMFS: "the initramfs starts and fetches nothing: wrong network interface in `ip=`, or kernel and "
    "initramfs of different releases; look at the machine's console",
    Stage.IMAGE: "the image is fetched and nothing follows: a rootfs of another release than its initramfs, or too "
    "little memory for it",
    Stage.IGNITION: "the disk is not written: is `rootDeviceHints.deviceName` the machine's disk?",
}
UNHEARD_HINT = (
    "the offers do not reach the machine: the switch port is not forwarding yet (enable port fast), the relay does "
    "not pass them on, or another DHCP server answers first"
)
NO_LOADER_HINT = (
    "firmware has its address and does not fetch its boot file: a firewall closes UDP 69, or another DHCP server "
    "sends it elsewhere"
)
BROKEN_HINT = (
    "three downloads broke off: a duplex or MTU mismatch on the way, or a machine that runs out of memory or is reset"
)

# How long a host may be silent at a stage before somebody should look at it.
SILENCE_SECONDS = {
    Stage.FIRMWARE: 300.0,  # firmware that gives up tries its other entries first
    Stage.LOADER: 120.0,
    Stage.IPXE: 120.0,
    Stage.SCRIPT: 600.0,  # somebody may stand at its menu
    Stage.KERNEL: 120.0,
    Stage.INITRAMFS: 300.0,
    Stage.IMAGE: 120.0,
    Stage.IGNITION: 1800.0,  # a slow disk, then a server's power-on self-test
    Stage.INSTALLED: 900.0,  # a system has started by then, and asked for an address
}
SILENCE_HINTS = {
    Stage.FIRMWARE: "it went on to another boot entry, was switched off, or does not hear our answers",
    Stage.LOADER: "iPXE started and asks nothing: its driver fails on this card (try `loader: efi/snponly.efi`)",
    Stage.IPXE: "iPXE does not come to its script: is the HTTP port open between it and the appliance?",
    Stage.SCRIPT: "it waits at its menu, or cannot load the kernel; look at its console",
    Stage.KERNEL: "the download stopped; look at its console",
    Stage.INITRAMFS: "the kernel runs and has no network, or failed; look at its console",
    Stage.IMAGE: "the image came and nothing followed: too little memory, or a rootfs of another release",
    Stage.IGNITION: "it should have written its disk by now; look at its console for the installer's error",
    Stage.INSTALLED: "no system has started from its disk, which may not be written (look at its console; `reinstall` "
    "it), or one that has a static address and asks another DNS server",
}


class _Loop(NamedTuple):
    repeat: str  # what happens again, a key of Installation.repeats
    times: int
    stage: Stage | None  # at which it is a loop; None for every one
    name: str
    hint: str


_LOOPS = (
    _Loop("broken", BROKEN_TRANSFERS, None, "download-stalled", BROKEN_HINT),
    _Loop("loader-failed", FAILED_LOADERS, None, "loader-stalled", STALLED_HINT),
    _Loop("loader", SAME_LOADER, Stage.LOADER, "loader-loop", LOADER_HINT),
    _Loop("firmware-ack", UNUSED_ACKS, Stage.FIRMWARE, "no-loader", NO_LOADER_HINT),
    _Loop("ipxe-ack", SAME_IPXE_ACKS, Stage.IPXE, "no-script", NO_SCRIPT_HINT),
)


def judged(one: Installation, at: float) -> Installation:
    """Return *one* with its condition as of *at*, seconds UTC; *one* itself when that is unchanged."""
    found = _judge(one)
    if found is None:
        return one if one.condition is None else replace(one, condition=None)
    name, hint = found
    if one.condition is not None and (one.condition.name, one.condition.hint) == (name, hint):
        return one
    is_same = one.condition is not None and one.condition.name == name
    since = one.condition.since if one.condition is not None and is_same else at
    return replace(one, condition=Condition(name, hint, since))


def silence(one: Installation, seen_at: float, now: float) -> Condition | None:
    """Return that *one* has been silent for too long at *now*, or None; *seen_at* is when it was last heard.

    Times are seconds UTC; *seen_at* is 0.0 where that is not known.
    """
    limit_seconds = SILENCE_SECONDS.get(one.stage)
    if limit_seconds is None or one.is_told_to_wait:  # its polls are not told one by one
        return None
    if one.order is Order.HOLD or (one.order is Order.LOCAL and not one.is_settled):
        return None
    heard_at = max(seen_at, *one.reached.values(), 0.0)
    if not heard_at or now - heard_at < limit_seconds:
        return None
    return Condition("silent", f"silent since {one.stage.name.lower()}: {SILENCE_HINTS[one.stage]}", heard_at)


def _judge(one: Installation) -> tuple[str, str] | None:
    if one.stage >= Stage.INSTALLED:
        return _not_booting(one)
    if one.complaint is not None:
        return one.complaint.name, one.complaint.hint
    if one.order is not Order.INSTALL:
        return None
    return _loop(one) or _vain(one)


def _not_booting(one: Installation) -> tuple[str, str] | None:
    if one.knocking_since is None or one.knocked_at is None or one.is_held:
        return None
    if one.knocked_at - one.knocking_since < KNOCKING_SECONDS:
        return None
    short = one.host.partition(".")[0]
    has_run = one.stage >= Stage.BOOTED
    cause = "its disk no longer boots" if has_run else "it counts as installed, but its disk was not written"
    hint = f"firmware keeps asking and no system starts: {cause}; `ocp-appliance reinstall {short}` installs it again"
    return "not-booting", hint


def _loop(one: Installation) -> tuple[str, str] | None:
    is_unheard = one.stage is Stage.FIRMWARE and "firmware-ack" not in one.repeats
    if is_unheard and one.repeats.get("firmware-offer", 0) >= UNHEARD_OFFERS:
        return "unheard", UNHEARD_HINT
    for loop in _LOOPS:
        if one.repeats.get(loop.repeat, 0) >= loop.times and loop.stage in (one.stage, None):
            return loop.name, loop.hint
    if one.repeats.get("script", 0) >= SAME_SCRIPTS:
        hint = TRY_HINTS.get(one.stage, TRY_HINTS[Stage.SCRIPT])
        return "script-loop", f"its script is fetched again and again: {hint}"
    return None


def _vain(one: Installation) -> tuple[str, str] | None:
    if one.tries < VAIN_TRIES:
        return None
    hint = TRY_HINTS.get(one.ended_at, TRY_HINTS[Stage.SCRIPT])
    return "boot-loop", f"{one.tries} boots in a row ended at {one.ended_at.name.lower()}: {hint}"
