"""A host's boot step by step: what the machine did, what it got, how long it took, and what has to happen next."""

import json
from collections.abc import Sequence

from appliance import events
from appliance.events import AnyEvent, Program
from appliance.install.installation import Installation, Order, Stage
from appliance.model import Boot, Host, Install, Role
from appliance.openshift.names import MACHINE_CONFIG_PORT
from appliance.state.encoding import event_of
from appliance.state.events import Row
from appliance.status.event_words import Words, words
from appliance.status.shapes import StepRow
from appliance.web.waits import LONGEST_WAIT_SECONDS

_FIRMWARE = (Program.PXE, Program.HTTP)

# What a live system does that needs nothing more from the appliance, until it restarts.
_WORKS = {
    Boot.AGENT: "its live system must install it together with the other hosts",
    Boot.NODE_IMAGE: "its live system must install it",
    Boot.IN_PLACE: "its live system must start a control plane and write the disk, which takes up to an hour",
}
_NEXT = {
    Stage.WAITING: "power it on, with the network first in its boot order",
    Stage.FIRMWARE: "the firmware must download its boot file",
    Stage.LOADER: "iPXE must start and request an address, or shim must load GRUB",
    Stage.BOOTLOADER: "iPXE or GRUB must download its script",
    Stage.SCRIPT: "iPXE or GRUB must download the kernel",
    Stage.KERNEL: "iPXE or GRUB must download the initramfs",
    Stage.INITRAMFS: "the kernel must start and download {after_initramfs}",
    Stage.IMAGE: "{after_image}",
    Stage.IGNITION: "it writes its disk; it must then restart and boot from that disk",
    Stage.INSTALLED: "its system must boot from disk and {after_disk}",
    Stage.BOOTED: "its system must {after_boot}",
    Stage.JOINING: "nothing; it has everything that the appliance provides",
}


def last_boot(rows: Sequence[Row]) -> list[Row]:
    """Return the events since the machine's firmware last sent its first DHCP message, or all if it never did."""
    start, was_firmware = 0, False
    for index, row in enumerate(rows):
        # Conclusions of the appliance occur between a firmware's DHCP messages, and do not separate boots.
        if row.kind.startswith("install."):
            continue
        is_firmware = _is_of_firmware(_event(row))
        # Firmware repeats itself; only the first message after something else begins a boot.
        if is_firmware and not was_firmware:
            start = index
        was_firmware = is_firmware
    return list(rows[start:])


def steps(rows: Sequence[Row], now: float) -> list[StepRow]:
    """Return each event with its words, and the seconds until the next one (until *now* for the last)."""
    found: list[StepRow] = []
    for index, row in enumerate(rows):
        until = rows[index + 1].at if index + 1 < len(rows) else now
        event = _event(row)
        asked, told = _unknown(row) if event is None else words(event)
        found.append(
            {
                "at": row.at,
                "seconds": max(0.0, until - row.at),
                "kind": row.kind,
                "times": row.times,
                "asked": asked,
                "told": told,
            }
        )
    return found


def missing(installation: Installation, host: Host) -> str:
    """Return what has to happen next, as a clause for the operator."""
    if installation.order is Order.HOLD and installation.doubt is not None:
        return installation.doubt.hint  # `release` would not let it continue
    if installation.order is Order.HOLD and installation.stage < Stage.INSTALLED:
        return f"it is held; `ocp-appliance release {host.short_name}` lets it continue"
    if installation.is_told_to_wait:
        minutes = f"{LONGEST_WAIT_SECONDS / 60:.0f} minutes"
        return f"a master must answer on port 22623; it waits for that at most {minutes}, and then installs anyway"
    if host.boot is Boot.NOTHING:
        return "nothing: it has `role: other`, gets DHCP and DNS, and is not installed"
    if host.install is Install.NEVER and installation.stage < Stage.BOOTED:
        return "it has `install: never`; it must boot from its own disk"
    if installation.stage is Stage.IGNITION and installation.boot in _WORKS:
        return f"{_WORKS[installation.boot]}, and the host must boot from its disk"
    if installation.boot.is_embedded:
        parts = {"after_initramfs": "its rootfs", "after_image": "the live system must load its whole rootfs"}
    elif not installation.asks_early:
        parts = {"after_initramfs": "its rootfs", "after_image": "the installer must request its Ignition"}
    elif installation.boots_live:
        needs_ignition = installation.delivered_at is None
        parts = {
            "after_initramfs": "its Ignition and its rootfs",
            "after_image": f"its {'Ignition' if needs_ignition else 'whole rootfs'}",
        }
    else:
        # A legacy installer takes its Ignition before the disk image.
        needs_ignition = installation.delivered_at is None
        parts = {
            "after_initramfs": "its Ignition" if needs_ignition else "the disk image",
            "after_image": f"the installer must {'request its Ignition' if needs_ignition else 'load its whole image'}",
        }
    return _NEXT[installation.stage].format(**parts, **_joins(host))


def _joins(host: Host) -> dict[str, str]:
    """Return what the system of an installed *host* does next, at INSTALLED and at BOOTED."""
    # Its Ignition file only names the machine config server, and the bootstrap's own contains everything.
    if host.role is Role.BOOTSTRAP or host.boot not in (Boot.INSTALLER, Boot.NODE_IMAGE):
        return {"after_disk": "request an address", "after_boot": "resolve api-int, to join the cluster"}
    asks = f"ask api-int:{MACHINE_CONFIG_PORT} for its configuration"
    return {"after_disk": f"request an address, then {asks}", "after_boot": f"{asks}, to join the cluster"}


def _event(row: Row) -> AnyEvent | None:
    return event_of(row.kind, row.host, json.loads(row.facts))


def _unknown(row: Row) -> Words:
    """Return the kind and facts of an event of another version, for which this version has no words."""
    facts = json.loads(row.facts)
    return row.kind, ", ".join(f"{name} {value}" for name, value in facts.items())


def _is_of_firmware(event: AnyEvent | None) -> bool:
    match event:
        case events.DhcpOffered() | events.DhcpAcknowledged() | events.DhcpPassed():
            return event.program in _FIRMWARE
        case _:
            return False
