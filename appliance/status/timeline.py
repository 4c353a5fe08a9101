"""A host's boot as a story: what it asked, what it was told, how long each step took, and what comes next."""

import json
from collections.abc import Sequence

from appliance.install.lifecycle import Installation, Order, Stage
from appliance.model import Host, Install
from appliance.state.events import Row
from appliance.status.shapes import Step
from appliance.web.machineconfig import LONGEST_WAIT_SECONDS

Facts = dict[str, object]

_FIRMWARE = ("pxe", "http")
_CLIENTS = {"pxe": "firmware (PXE)", "http": "firmware (UEFI HTTP Boot)", "ipxe": "iPXE", "os": "an operating system"}

_NEXT = {
    Stage.WAITING: "power it on, with the network first in its boot order",
    Stage.FIRMWARE: "the firmware must fetch its boot file",
    Stage.LOADER: "iPXE must start and ask for an address",
    Stage.IPXE: "iPXE must fetch its script",
    Stage.SCRIPT: "iPXE must fetch the kernel",
    Stage.KERNEL: "iPXE must fetch the initramfs",
    Stage.INITRAMFS: "the kernel must start and ask for {after_initramfs}",
    Stage.IMAGE: "{after_image}",
    Stage.IGNITION: "it writes its disk; it must restart, and start its system from there",
    Stage.INSTALLED: "its system must start from the disk and ask for an address",
    Stage.BOOTED: "its system must ask for api-int, to join the cluster",
    Stage.JOINING: "nothing: it has all that the appliance gives",
}


def last_boot(rows: Sequence[Row]) -> list[Row]:
    """Return the events since the machine's firmware last began to ask, or all when it never did."""
    start, was_firmware = 0, False
    for index, row in enumerate(rows):
        if row.kind.startswith("install."):
            continue
        facts = json.loads(row.facts)
        is_firmware = row.kind.startswith("dhcp.") and facts.get("client") in _FIRMWARE
        if is_firmware and not was_firmware:
            start = index
        was_firmware = is_firmware
    return list(rows[start:])


def steps(rows: Sequence[Row], now: float) -> list[Step]:
    """Return each event with its words, and the seconds until the next one (until *now* for the last)."""
    found: list[Step] = []
    for index, row in enumerate(rows):
        until = rows[index + 1].at if index + 1 < len(rows) else now
        asked, told = words(row.kind, json.loads(row.facts))
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


def missing(one: Installation, host: Host) -> str:
    """Return what has to happen next, in words for the operator."""
    if one.order is Order.HOLD and one.stage < Stage.INSTALLED:
        return f"it is held: `ocp-appliance release {host.short_name}` lets it go on"
    if one.is_told_to_wait:
        minutes = f"{LONGEST_WAIT_SECONDS / 60:.0f} minutes"
        return f"something must answer on api-int:22623; it waits for that, {minutes} at most, and then installs"
    if host.install is Install.NEVER and one.stage < Stage.BOOTED:
        return "it has `install: never`: it must start its system from its own disk"
    if one.boots_live:
        parts = {"after_initramfs": "its rootfs", "after_image": "the installer must ask for its Ignition"}
    else:
        lacks_ignition = one.delivered_at is None
        after_initramfs = "its Ignition" if lacks_ignition else "the disk image"
        after_image = "the installer must ask for its Ignition" if lacks_ignition else "the disk image must come whole"
        parts = {"after_initramfs": after_initramfs, "after_image": after_image}
    return _NEXT[one.stage].format(**parts)


def words(kind: str, facts: Facts) -> tuple[str, str]:
    """Return what a machine asked and what it was told, for one event."""
    client = _CLIENTS.get(str(facts.get("client", "")), "")
    path, total = str(facts.get("path", "")), _size(facts.get("total"))
    why = str(facts.get("why", ""))
    boot = f", boot {facts['boot']}" if facts.get("boot") else ", no boot file"
    boot = "" if facts.get("client") == "os" else boot
    through = f" through relay {facts['relay']}" if facts.get("relay") else ""
    seconds = facts.get("seconds")
    duration = f" in {seconds:.1f} s" if isinstance(seconds, int | float) else ""
    what = str(facts.get("what", ""))
    table = {
        "dhcp.offer": (f"{client} looks for an address{through}", f"offered {facts.get('address')}{boot}"),
        "dhcp.ack": (f"{client} takes an address{through}", f"given {facts.get('address')}{boot}"),
        "dhcp.pass": (f"{client} looks for an address{through}", "left to the other DHCP server; nothing to boot"),
        "dhcp.nak": (f"wants {facts.get('asked')}", f"refused: its address is {facts.get('address')}"),
        "dhcp.decline": (f"found {facts.get('address')} in use by another machine", ""),
        "dhcp.release": (f"gives {facts.get('address')} back", ""),
        "tftp.start": (f"{path} by TFTP", f"{total}"),
        "tftp.done": (f"has {path}", f"{total}{duration}, {facts.get('resent', 0)} blocks twice"),
        "tftp.abort": (f"ends the transfer of {path} itself", why),
        "tftp.fail": (f"{path} by TFTP", f"failed: {why}"),
        "web.start": (f"{what} {path}", f"{total}"),
        "web.done": (f"has {path}", f"{_size(facts.get('sent'))}{duration}"),
        "web.broken": (f"{what} {path}", f"broke off after {_size(facts.get('sent'))} of {total}: {why}"),
        "web.refuse": (f"{what} {path}", f"refused with {facts.get('status')}: {why}"),
        "web.wait-over": ("has waited for the machine config server", why),
        "dns.asked": (f"looks up {facts.get('name')}", ""),
        "operator.order": (f"operator: {facts.get('order')}", ""),
        "install.stage": ("", f"reached {facts.get('stage')}"),
        "install.condition": ("", f"{facts.get('name')}: {facts.get('hint')}"),
        "install.settled": ("", "had the time to write its disk"),
    }
    return table.get(kind, (kind, ", ".join(f"{name} {value}" for name, value in facts.items())))


def _size(value: object) -> str:
    if not isinstance(value, int | float):
        return ""
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.2f} GB"
