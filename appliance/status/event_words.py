"""Every event in words: what a machine did, and what it got.

Each match on the classes of `appliance.events` ends in assert_never, so that mypy
reports an event that has no words yet.
"""

from typing import assert_never

from appliance import events
from appliance.events import AnyEvent, Program
from appliance.status.balancer_words import balancer_words
from appliance.status.spelling import age, duration, size

Words = tuple[str, str]  # what the machine did, what the appliance did; either may be ""

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


def _via(relay: str) -> str:
    return f" via relay {relay}" if relay else ""


def _boot_file(event: events.DhcpOffered | events.DhcpAcknowledged) -> str:
    # An operating system does not boot from the network, and gets no boot file.
    if event.program is Program.OS:
        return ""
    return f", boot file {event.boot}" if event.boot else ", no boot file"
