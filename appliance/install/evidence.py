"""What an event proves about a host's installation: one word, and the few facts that go with it.

This is the only part of the reducer that knows events. `appliance.install.lifecycle`
looks the word up in its table.
"""

from enum import StrEnum
from typing import NamedTuple

from appliance import events
from appliance.boot.loaders import package_hint
from appliance.boot.urls import is_grub_binary, is_loader_path, is_optional, is_script_path
from appliance.events import Event, Program, WebKind
from appliance.files import normalised
from appliance.install.guard import ADDRESS_CONFLICT, NO_DHCP


class Evidence(StrEnum):
    """What was seen of a host. The values are the words of the manual's table."""

    FIRMWARE_OFFERED = "DHCP offer to firmware"
    FIRMWARE_ACKED = "DHCP ack to firmware"
    IPXE_OFFERED = "DHCP offer to iPXE"
    IPXE_ACKED = "DHCP ack to iPXE"
    SYSTEM_DISCOVERED = "DHCP discover from a system"
    SYSTEM_ACKED = "DHCP ack to a system"
    ADDRESS_DECLINED = "DHCP decline"
    LOADER_FETCHED_BY_TFTP = "boot file fetched by TFTP"
    LOADER_FETCHED_BY_HTTP = "boot file fetched by HTTP"
    GRUB_FETCHED = "GRUB or its first configuration fetched"
    LOADER_FAILED = "TFTP transfer not answered"
    LOADER_BROKEN = "TFTP transfer broken off"
    LOADER_SILENT = "silence after the boot file"
    LOADER_MISSING_ON_TFTP = "boot file not found by TFTP"
    LOADER_MISSING_ON_HTTP = "boot file not found by HTTP"
    SCRIPT_SENT = "menu or install script sent"
    WAIT_SENT = "wait script sent"
    SCRIPT_HELD_BACK = "install script held back for a file"
    LOCAL_SENT = "local boot script sent"
    KERNEL_BEGUN = "kernel begun"
    INITRAMFS_BEGUN = "initramfs begun"
    INITRAMFS_COMPLETE = "initramfs complete"
    INITRAMFS_FETCHED_BY_TFTP = "initramfs fetched by TFTP"
    ROOTFS_BEGUN = "rootfs begun"
    ROOTFS_COMPLETE = "rootfs complete"
    DISK_IMAGE_BEGUN = "disk image begun"
    DISK_IMAGE_COMPLETE = "disk image complete"
    DOWNLOAD_BROKEN = "download broken off"
    IMAGE_MISSING = "image not found"
    IGNITION_DELIVERED = "Ignition sent"
    IGNITION_BROKEN = "Ignition broken off"
    IGNITION_POSTPONED = "Ignition put off (503)"
    IGNITION_REFUSED = "Ignition refused"
    ADDRESS_TAKEN = "request from another machine at its address"
    DHCP_MISSING = "request for a script or Ignition without DHCP"
    API_INT_ASKED = "DNS query for api-int"  # over UDP: anyone could have sent it
    API_INT_ASKED_BY_TCP = "DNS query for api-int over TCP"
    BALANCER_REACHED = "connection through the load balancer"
    SYSTEM_ANSWERED = "own look found its system"
    SYSTEM_UNANSWERED = "own look found no system"
    DOUBT_LAPSED = "time of an unproven doubt passed"
    WRITE_TIME_PASSED = "time to write the disk passed"
    REINSTALL_ORDERED = "`reinstall`"
    HOLD_ORDERED = "`hold`"
    RELEASE_ORDERED = "`release`"
    ADOPT_ORDERED = "`adopt`"
    BOOTSTRAP_COMPLETED = "bootstrapping complete"
    READY_ORDERED = "`balancer ready`"
    DRAIN_ORDERED = "`balancer drain`"
    MAINT_ORDERED = "`balancer maint`"


class Finding(NamedTuple):  # DHCP waits for it, and a frozen dataclass takes four times as long to make
    """What one event proves."""

    evidence: Evidence
    mac: str = ""  # of the interface that boots from the network
    arch: str = ""  # as its DHCP client reports it; "" when it does not
    total: int = 0  # bytes of the whole file
    number: int = 0  # of the installation that the event is about; 0 for the present one
    hint: str = ""  # the cause and the remedy, for the operator
    path: str = ""  # of the boot file
    firmware: str = ""  # the class of firmware that asks, see `recipes.class_of`
    front_end: str = ""  # of the load balancer, that an order is about; "" for all
    by: str = ""  # who found out: checks, operator …
    heard_at: float = 0.0  # when its installer last took a byte, seconds UTC; 0.0 if that is not known


# TFTP's reasons (appliance.tftp.protocol.Refusal) that mean that this file cannot be served.
_NO_FILE = frozenset({"not-found", "forbidden", "confidential"})
# Those that mean that the request did not come from booting firmware.
_BAD_REQUESTS = frozenset({"malformed", "mode", "write"})
_NOT_SERVED = (403, 404)

_SCRIPTS = {
    WebKind.MENU: Evidence.SCRIPT_SENT,
    WebKind.SCRIPT: Evidence.SCRIPT_SENT,
    WebKind.WAIT: Evidence.WAIT_SENT,
    WebKind.LOCAL: Evidence.LOCAL_SENT,
}
_IMAGES = {
    WebKind.KERNEL: Evidence.KERNEL_BEGUN,
    WebKind.INITRAMFS: Evidence.INITRAMFS_BEGUN,
    WebKind.ROOTFS: Evidence.ROOTFS_BEGUN,
    WebKind.METAL: Evidence.DISK_IMAGE_BEGUN,
}
# Ignition counts as delivered from its first byte, unless the transfer breaks off. If the appliance dies while
# sending it, the host most likely has the whole file (it is a single write), and otherwise requests it again.
_BEGUN = _SCRIPTS | _IMAGES | {WebKind.GRUB: Evidence.GRUB_FETCHED, WebKind.IGNITION: Evidence.IGNITION_DELIVERED}
# By TFTP a file counts only once it was fetched whole: its request is one datagram, which anyone could have sent.
_FETCHED_BY_TFTP = _SCRIPTS | {
    WebKind.LOADER: Evidence.LOADER_FETCHED_BY_TFTP,
    WebKind.GRUB: Evidence.GRUB_FETCHED,
    WebKind.KERNEL: Evidence.KERNEL_BEGUN,
    WebKind.INITRAMFS: Evidence.INITRAMFS_FETCHED_BY_TFTP,
}
# Only a whole file counts. Neither iPXE nor an installer fetches one in parts: after a break they begin anew.
_COMPLETE = {
    WebKind.INITRAMFS: Evidence.INITRAMFS_COMPLETE,
    WebKind.ROOTFS: Evidence.ROOTFS_COMPLETE,
    WebKind.METAL: Evidence.DISK_IMAGE_COMPLETE,
    WebKind.IGNITION: Evidence.IGNITION_DELIVERED,
}
_UNPROVEN = {ADDRESS_CONFLICT: Evidence.ADDRESS_TAKEN, NO_DHCP: Evidence.DHCP_MISSING}
# What the operator may order, and what each order is in the table of transitions.
ORDERS = {
    "reinstall": Evidence.REINSTALL_ORDERED,
    "hold": Evidence.HOLD_ORDERED,
    "release": Evidence.RELEASE_ORDERED,
    "adopt": Evidence.ADOPT_ORDERED,
}
# The same for the load balancer. These and the next concern machines that are not installed here, too.
BALANCER_ORDERS = {
    "ready": Evidence.READY_ORDERED,
    "drain": Evidence.DRAIN_ORDERED,
    "maint": Evidence.MAINT_ORDERED,
}
OF_EVERY_HOST = frozenset({Evidence.BOOTSTRAP_COMPLETED, *BALANCER_ORDERS.values()})


def finding_of(event: Event) -> Finding | None:
    """Return what *event* proves about the installation of its host, or None if it proves nothing."""
    match event:
        case events.DhcpOffered() | events.DhcpPassed():
            return _of_offer(event)
        case events.DhcpAcknowledged():
            return _of_ack(event)
        case events.WebStarted():
            evidence = _BEGUN.get(event.what)
            return Finding(evidence, total=event.total) if evidence else None
        case events.WebFinished():
            return _of_transfer(event)
        case events.WebBroken():
            return _of_break(event)
        case events.WebRefused():
            return _of_web_refusal(event)
        case events.ClientUnproven():
            evidence = _UNPROVEN.get(event.cause)
            return Finding(evidence, hint=event.why) if evidence else None
        case events.TftpFinished():
            return _of_tftp(event)
        case events.TftpFailed():
            return _of_tftp_failure(event)
        case events.DnsAsked():
            return _of_query(event)
        case events.BalancerReached():
            return Finding(Evidence.BALANCER_REACHED)
        case events.HostAnswered():
            return Finding(Evidence.SYSTEM_ANSWERED)
        case events.HostUnanswered():
            return Finding(Evidence.SYSTEM_UNANSWERED)
        case events.DhcpDeclined() if event.is_local:
            tool = "ip -6 neigh" if ":" in event.address else "arping -D"
            hint = (
                f"Another machine uses {event.address}. "
                f"Find it with `{tool}`, or give this host another address in cluster.yaml."
            )
            return Finding(Evidence.ADDRESS_DECLINED, hint=hint)
        case events.DoubtLapsed():
            return Finding(Evidence.DOUBT_LAPSED, number=event.number)
        case events.FileUnservable() if event.host:
            hint = f"{event.path} cannot be served: {event.why}. The host waits until it can be."
            return Finding(Evidence.SCRIPT_HELD_BACK, hint=hint)
        case events.LoaderSilent():
            return Finding(Evidence.LOADER_SILENT, number=event.number)
        case events.InstallSettled():
            return Finding(Evidence.WRITE_TIME_PASSED, number=event.number)
        case events.BootstrapCompleted():
            return Finding(Evidence.BOOTSTRAP_COMPLETED, by=event.by)
        case events.BalancerOrdered():
            return Finding(BALANCER_ORDERS.get(event.order, Evidence.READY_ORDERED), front_end=event.front_end)
        case events.Ordered():
            return Finding(ORDERS.get(event.order, Evidence.RELEASE_ORDERED))
        case _:
            return None


def _of_query(event: events.DnsAsked) -> Finding | None:
    if not event.name.lower().startswith("api-int."):
        return None
    is_proven = event.transport is events.Transport.TCP
    return Finding(Evidence.API_INT_ASKED_BY_TCP if is_proven else Evidence.API_INT_ASKED)


def _of_offer(event: events.DhcpOffered | events.DhcpPassed) -> Finding | None:
    if not event.is_local:
        return None
    if event.program is Program.OS:
        return Finding(Evidence.SYSTEM_DISCOVERED)
    evidence = Evidence.IPXE_OFFERED if event.program is Program.IPXE else Evidence.FIRMWARE_OFFERED
    return Finding(evidence, event.mac, event.arch, firmware=class_of(event.arch, event.vendor))


def _of_ack(event: events.DhcpAcknowledged) -> Finding | None:
    if not event.is_local:
        return None
    if event.program is Program.OS:
        return Finding(Evidence.SYSTEM_ACKED)
    evidence = Evidence.IPXE_ACKED if event.program is Program.IPXE else Evidence.FIRMWARE_ACKED
    return Finding(evidence, event.mac, event.arch, firmware=class_of(event.arch, event.vendor))


def class_of(arch: str, vendor: str) -> str:
    """Return the class of machines whose firmware reports this architecture and vendor class; "" if it is none."""
    return f"{arch} {vendor}" if vendor else ""


def _of_tftp(event: events.TftpFinished) -> Finding | None:
    evidence = _FETCHED_BY_TFTP.get(event.what)
    if event.what is WebKind.LOADER and is_grub_binary(event.path):
        evidence = Evidence.GRUB_FETCHED
    if evidence is None or is_script_path(event.path):
        return None
    return Finding(evidence, path=normalised(event.path))


def _of_transfer(event: events.WebFinished) -> Finding | None:
    if event.what is WebKind.LOADER:
        # Firmware fetches the rest after a break, and its loader proves itself by what it does next.
        is_end = event.first + event.sent >= event.total
        evidence = Evidence.GRUB_FETCHED if is_grub_binary(event.path) else Evidence.LOADER_FETCHED_BY_HTTP
        return Finding(evidence, path=normalised(event.path)) if is_end else None
    complete = _COMPLETE.get(event.what) if event.status == 200 and event.sent >= event.total else None
    return Finding(complete) if complete else None


def _of_break(event: events.WebBroken) -> Finding | None:
    if event.what is WebKind.IGNITION:
        return Finding(Evidence.IGNITION_BROKEN)
    return Finding(Evidence.DOWNLOAD_BROKEN) if event.what in _IMAGES else None


def _of_tftp_failure(event: events.TftpFailed) -> Finding | None:
    if is_script_path(event.path) or event.why in _BAD_REQUESTS:
        return None
    if event.what is not WebKind.LOADER:
        is_missing = event.what in _IMAGES and event.why in _NO_FILE
        hint = f"The image {event.path} cannot be served: {event.why}"
        return Finding(Evidence.IMAGE_MISSING, hint=hint) if is_missing else None
    if event.why in _NO_FILE:
        if event.why == "confidential":
            hint = _kept_back(event.path, "it looks like a secret, and `ocp-appliance validate` says which")
        else:
            hint = _no_loader(event.path)
        return Finding(Evidence.LOADER_MISSING_ON_TFTP, hint=hint, path=normalised(event.path))
    return Finding(Evidence.LOADER_BROKEN if event.is_answered else Evidence.LOADER_FAILED)


def _of_web_refusal(event: events.WebRefused) -> Finding | None:
    if event.what is WebKind.IGNITION:
        evidence = Evidence.IGNITION_POSTPONED if event.status == 503 else Evidence.IGNITION_REFUSED
        return Finding(evidence, hint=event.why)
    if event.status not in _NOT_SERVED:
        return None
    if event.what in _IMAGES:
        return Finding(Evidence.IMAGE_MISSING, hint=f"The image {event.path} cannot be served: {event.why}")
    # The web server knows no kind for a missing boot file, so it is recognised by its name.
    if is_loader_path(event.path) and not is_optional(event.path):
        path = event.path.lstrip("/")
        hint = _no_loader(path) if event.status == 404 else _kept_back(path, event.why)
        return Finding(Evidence.LOADER_MISSING_ON_HTTP, hint=hint, path=normalised(path))
    return None


def _no_loader(path: str) -> str:
    return f"The boot file {path} is missing or not readable. To add it: {package_hint(path)}."


def _kept_back(path: str, why: str) -> str:
    return f"The boot file {path} cannot be served: {why}."
