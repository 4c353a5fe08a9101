"""A host's boot step by step: what the machine did, what it got, how long it took, and what has to happen next.

The words are written for the classes of `appliance.events`. Each match on them
ends in assert_never, so that mypy reports an event that has no words yet.
"""

import json
from collections.abc import Sequence
from typing import assert_never

from appliance import events
from appliance.balancer.compile import MACHINE_CONFIG_PORT
from appliance.events import AnyEvent, Program
from appliance.install.installation import Installation, Order, Stage
from appliance.model import Boot, Host, Install, Role
from appliance.state.encoding import event_of
from appliance.state.events import Row
from appliance.status.balancer_words import balancer_words
from appliance.status.shapes import StepRow
from appliance.status.spelling import age, duration, size
from appliance.web.waits import LONGEST_WAIT_SECONDS

Words = tuple[str, str]  # what the machine did, what the appliance did; either may be ""

_FIRMWARE = (Program.PXE, Program.HTTP)
_PROGRAMS = {
    Program.PXE: "firmware (PXE)",
    Program.HTTP: "firmware (UEFI HTTP Boot)",
    Program.IPXE: "iPXE",
    Program.OS: "the operating system",
}

_WHAT = {
    events.WebKind.MENU: "the menu",
    events.WebKind.SCRIPT: "its script",
    events.WebKind.WAIT: "its script",
    events.WebKind.LACKING: "its script",
    events.WebKind.LOCAL: "its script",
    events.WebKind.LOADER: "the boot file",
    events.WebKind.GRUB: "GRUB's first configuration",
    events.WebKind.KERNEL: "the kernel",
    events.WebKind.INITRAMFS: "the initramfs",
    events.WebKind.ROOTFS: "the rootfs",
    events.WebKind.METAL: "the disk image",
    events.WebKind.IGNITION: "its Ignition file",
    events.WebKind.OTHER: "the file",
}

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


def words(event: AnyEvent) -> Words:
    """Return what a machine did and what it got, for one event."""
    match event:
        case events.DhcpOffered() | events.DhcpAcknowledged() | events.DhcpPassed():
            return _address_words(event)
        case events.DhcpRefused() | events.DhcpDeclined() | events.DhcpReleased() | events.DhcpMisplaced():
            return _misfit_words(event)
        case events.TftpStarted() | events.TftpFinished() | events.TftpFailed() | events.TftpAborted():
            return _tftp_words(event)
        case events.WebStarted() | events.WebProgress() | events.WebFinished():
            return _download_words(event)
        case events.WebBroken() | events.WebRefused() | events.ClientUnproven() | events.WaitEnded():
            return _web_trouble_words(event)
        case events.DnsAsked():
            return f"looks up {event.name}{' over TCP' if event.transport == events.Transport.TCP else ''}", ""
        case events.HostAnswered():
            return f"accepts a connection to port {event.port} of {event.address}", "looked: a system of it runs"
        case events.HostUnanswered():
            return "", f"looked at {event.address}: {event.why}"
        case events.Ordered():
            return f"operator: {event.order}", ""
        case events.StageReached():
            return "", f"reached {event.stage}"
        case events.ConditionRaised():
            return "", f"{event.name}: {event.hint}"
        case events.DoubtLapsed():
            return "", "no sign of a running system for long enough; it may install"
        case events.BootstrapCompleted():
            return "", f"bootstrapping is complete: {event.why}"
        case (
            events.BalancerOrdered()
            | events.BalancerReached()
            | events.MemberMoved()
            | events.MemberAnswers()
            | events.MemberFails()
        ):
            return balancer_words(event)
        case events.LoaderSilent():
            return "", "nothing has followed its boot file"
        case events.RecipeChosen():
            blocks = f", TFTP blocks of {event.block_bytes} bytes" if event.block_bytes else ""
            return "", f"recipe: loader {event.loader}{blocks}: {event.why}"
        case events.InstallSettled():
            return "", "enough time has passed to write its disk"
        case _:
            return _appliance_words(event)


def _address_words(event: events.DhcpOffered | events.DhcpAcknowledged | events.DhcpPassed) -> Words:
    program, via = _PROGRAMS[event.program], _via(event.relay)
    match event:
        case events.DhcpPassed():
            return f"{program} looks for a DHCP server{via}", "left to the other DHCP server; nothing to boot"
        case events.DhcpOffered():
            return f"{program} looks for a DHCP server{via}", f"offered {event.address}{_boot_file(event)}"
        case events.DhcpAcknowledged():
            return f"{program} requests an address{via}", f"assigned {event.address}{_boot_file(event)}"
        case _:
            assert_never(event)


def _misfit_words(
    event: events.DhcpRefused | events.DhcpDeclined | events.DhcpReleased | events.DhcpMisplaced,
) -> Words:
    match event:
        case events.DhcpRefused():
            nak = "" if ":" in event.address else " (NAK)"  # DHCPv6 has none; it refuses by a status
            return f"requests {event.asked}{_via(event.relay)}", f"refused{nak}: its address is {event.address}"
        case events.DhcpDeclined():
            return f"reports that another machine uses {event.address}", "find that machine and change its address"
        case events.DhcpReleased():
            return f"releases {event.address}", ""
        case events.DhcpMisplaced():
            place = f" on interface {event.interface}" if event.interface else ""
            source = f" from {event.source}" if event.source else ""
            remedy = "connect it to the VLAN of that address, or correct its address in cluster.yaml"
            return (
                f"looks for a DHCP server{_via(event.relay) or source}{place}",
                f"no answer: its address {event.address} is of another network; {remedy}",
            )
        case _:
            assert_never(event)


def _tftp_words(event: events.TftpStarted | events.TftpFinished | events.TftpFailed | events.TftpAborted) -> Words:
    match event:
        case events.TftpStarted():
            return f"requests {event.path} by TFTP", size(event.total)
        case events.TftpFinished():
            resent = f", {event.resent} blocks resent" if event.resent else ""
            return f"received {event.path}", f"{size(event.total)} in {duration(event.seconds)}{resent}"
        case events.TftpFailed():
            return f"requests {event.path} by TFTP", f"failed: {event.why}"
        case events.TftpAborted():
            return f"aborts the transfer of {event.path}", event.why
        case _:
            assert_never(event)


def _download_words(event: events.WebStarted | events.WebProgress | events.WebFinished) -> Words:
    match event:
        case events.WebStarted():
            return f"requests {_WHAT[event.what]} {event.path}", size(event.total)
        case events.WebProgress():
            return f"downloads {_WHAT[event.what]} {event.path}", f"{size(event.position)} of {size(event.total)}"
        case events.WebFinished():
            return f"received {event.path}", f"{size(event.sent)} in {duration(event.seconds)}"
        case _:
            assert_never(event)


def _web_trouble_words(
    event: events.WebBroken | events.WebRefused | events.ClientUnproven | events.WaitEnded,
) -> Words:
    match event:
        case events.WebBroken():
            sent = f"{size(event.sent)} of {size(event.total)}"
            return f"requests {_WHAT[event.what]} {event.path}", f"interrupted after {sent}: {event.why}"
        case events.WebRefused():
            return f"requests {_WHAT[event.what]} {event.path}", f"refused with status {event.status}: {event.why}"
        case events.ClientUnproven():
            return f"its address requests {event.path}", f"not served: {event.why}"
        case events.WaitEnded():
            return "has waited for the machine config server", event.why
        case _:
            assert_never(event)


def _appliance_words(
    event: events.DhcpUnknown
    | events.DhcpRelayRefused
    | events.RogueDhcp
    | events.RouterUnmanaged
    | events.RouterAbsent
    | events.FileUnservable
    | events.ImageVerified
    | events.ImageDamaged
    | events.IgnitionLoaded
    | events.IgnitionRefused
    | events.CertificatesDying
    | events.KeysUnneeded
    | events.BalancerConfigured
    | events.BalancerTrouble
    | events.BalancerRecovered
    | events.StateTrouble
    | events.ClockSet
    | events.Reloaded
    | events.ReloadRefused,
) -> Words:
    """Return the words of an event that is about the appliance and its files, and so is not a step of a boot."""
    match event:
        case events.DhcpUnknown():
            return f"unknown machine {event.mac} looks for a DHCP server{_via(event.relay)}", ""
        case events.DhcpRelayRefused():
            return f"{event.mac} looks for a DHCP server{_via(event.relay)}", f"no answer: {event.hint}"
        case events.RogueDhcp():
            return f"DHCP server {event.server} answers on interface {event.interface}", f"it offered {event.offered}"
        case events.RouterUnmanaged():
            router = f"router {event.router} on interface {event.interface}"
            return router, f"its advertisements in {event.network} lack the flag M: hosts do not ask DHCPv6"
        case events.RouterAbsent():
            return "", f"no router advertisements on interface {event.interface}: hosts do not ask DHCPv6"
        case events.FileUnservable() | events.IgnitionRefused():
            return "", f"cannot serve {event.path}: {event.why}"
        case events.ImageVerified():
            return "", f"{event.path} has the expected sha256"
        case events.ImageDamaged():
            return "", f"{event.path} has sha256 {event.sha256}, expected {event.expected}; it is not served"
        case events.IgnitionLoaded():
            return "", f"loaded {event.path}"
        case events.CertificatesDying() | events.KeysUnneeded():
            return "", f"{event.path}: {event.hint}"
        case events.BalancerConfigured():
            return "", f"HAProxy uses a new configuration with {event.front_ends} front ends, by {event.by}"
        case events.BalancerTrouble():
            return "", f"load balancer: {event.why}"
        case events.BalancerRecovered():
            return "", f"the load balancer works again after {duration(event.seconds)}"
        case events.StateTrouble():
            return "", event.why
        case events.ClockSet():
            return "", f"the clock was set {'forward' if event.seconds > 0 else 'back'} by {age(abs(event.seconds))}"
        case events.Reloaded():
            return "", f"loaded configuration {event.version}"
        case events.ReloadRefused():
            return "", f"reload refused, still serving {event.version}: {event.why}"
        case _:
            assert_never(event)


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


def _via(relay: str) -> str:
    return f" via relay {relay}" if relay else ""


def _boot_file(event: events.DhcpOffered | events.DhcpAcknowledged) -> str:
    # An operating system does not boot from the network, and gets no boot file.
    if event.program is Program.OS:
        return ""
    return f", boot file {event.boot}" if event.boot else ", no boot file"
