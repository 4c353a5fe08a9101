"""What GRUB is told, rendered from the templates in ipxe/: the same facts as iPXE's scripts have.

The one rule: a configuration uses only commands that the signed builds of RHEL and
Debian have in them, because Secure Boot loads no module, and it returns after a
failure: the one that calls it asks again.

GRUB looks for its first configuration (`start`) under many names, as itself or as its
distribution configured it. That has no secret in it, and is the same for all clients of
a network. What a host boots is in another (`GRUB_SCRIPT`), which only that host gets.
"""

import re
from collections.abc import Callable
from math import ceil
from string import Template
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from appliance.boot.chains import Kind, installer
from appliance.boot.ipxe import BOOT_MAC, MENU_ROLES, POLL_SECONDS, kernel_arguments, missing_image, target
from appliance.boot.templates import template
from appliance.boot.urls import GRUB, GRUB_CONFIG, GRUB_SCRIPT, base_url, grub_device
from appliance.events import WebKind
from appliance.model import Address, Arch, Boot, Cluster, Host

REBOOT_SECONDS = 30  # a person reads why
# The boot program of a disk whose firmware has no entry for it (UEFI section 3.5.1.1).
_REMOVABLE = {Arch.X86_64: "BOOTX64.EFI", Arch.AARCH64: "BOOTAA64.EFI"}
_PLAIN_WORD = re.compile(r"[A-Za-z0-9_./:=,@%+-]+")
_WORDS = re.compile(r'(?:[^\s"]|"[^"]*"?)+')


def _nothing() -> None:
    """Do nothing."""


class GrubScript(NamedTuple):
    """A configuration that is sent to one client."""

    content: bytes
    kind: WebKind
    is_quiet: bool  # it says what the last one said
    arrived: Callable[[], None] = _nothing  # to be called once the client has it


def _template(name: str) -> Template:
    return template(f"grub-{name}.cfg")


def start(cluster: Cluster, client: Address | None = None) -> str:
    """Return the first configuration, as *client* gets it."""
    base = base_url(cluster, client)
    server = urlsplit(base).hostname or ""
    return _template("start").substitute(
        http=grub_device(base),
        server=f"[{server}]" if ":" in server else server,
        start=f"{GRUB}/{GRUB_CONFIG}",
        script=GRUB_SCRIPT,
        seconds=POLL_SECONDS,
    )


def unknown(cluster: Cluster) -> str:
    """Return what an unknown machine is told, again and again.

    After menu_seconds it leaves for the next boot entry; with 0, never.
    """
    text = _template("unknown").substitute(
        title=f"OpenShift cluster {cluster.name}: unknown machine", roles="|".join(role.value for role in MENU_ROLES)
    )
    if not cluster.menu_seconds:
        return text
    # A round is a sleep here, in which Escape counts, and one before `start` asks again; the last ends after the first.
    seconds = min(POLL_SECONDS, cluster.menu_seconds)
    rounds = 1 + ceil((cluster.menu_seconds - seconds) / (seconds + POLL_SECONDS))
    return text + _template("leave").substitute(total=cluster.menu_seconds, seconds=seconds, rounds="x" * rounds)


def install_script(cluster: Cluster, host: Host) -> str:
    """Return the configuration that installs *host*, with ipxe.MARK once in place of the installation's token.

    If cluster.yaml lacks an image that the host needs, it says so.
    """
    missing = missing_image(cluster, host)
    if missing:
        return wait_script(cluster, host, f"images.{host.arch.value} in cluster.yaml has no {missing}")
    if host.boot is Boot.NOTHING:
        return local_script(cluster, host)
    paths = {step.kind: _path(step.target) for step in installer(cluster, host, base_url(cluster, host.address))}
    return _template("install").substitute(
        host=host.name,
        role=host.role.value,
        cluster=cluster.name,
        release=str(cluster.release),
        title=word(f"Installing {host.name} as {host.role.value} {target(host)}"),
        pause=_pause(cluster),
        kernel=word(paths[Kind.KERNEL]),
        initramfs=word(paths[Kind.INITRAMFS]),
        arguments=" ".join(map(word, _arguments(cluster, host))),
    )


def local_script(cluster: Cluster, host: Host) -> str:
    """Return the configuration that starts the installed *host* from its own disk."""
    # Whatever localBoot is: not every build of GRUB can leave so that firmware goes on to its next boot entry.
    return _template("local").substitute(host=host.name, cluster=cluster.name, removable=_REMOVABLE[host.arch])


def wait_script(cluster: Cluster, host: Host, why: str, *, renews: bool = False) -> str:
    """Return a configuration that says *why* the host waits; with *renews* it reboots, to get another address."""
    return _template("renew" if renews else "wait").substitute(
        host=host.name, cluster=cluster.name, why=why.replace("'", ""), seconds=REBOOT_SECONDS
    )


def _pause(cluster: Cluster) -> str:
    seconds = cluster.known_menu_seconds
    return _template("pause").substitute(seconds=seconds) if seconds else ""


def _arguments(cluster: Cluster, host: Host) -> list[str]:
    """Return the kernel arguments one by one, without those that tell a kernel which of iPXE's images is meant."""
    words = [each for argument in kernel_arguments(cluster, host) for each in _WORDS.findall(argument)]
    return [each for each in words if not each.startswith("initrd=")]


def word(text: str) -> str:
    """Return *text* as one word of GRUB's language (its manual, section "Quoting").

    Double quotes are left out: GRUB itself puts an argument with a space in quotes for
    the kernel, and would put a backslash before those that it finds.
    """
    if text.endswith(BOOT_MAC):
        # GRUB's own name for the card that it booted from. It has colons, which dracut takes as well.
        return f"{text.removesuffix(BOOT_MAC)}$net_default_mac"
    plain = text.replace('"', "")
    if _PLAIN_WORD.fullmatch(plain):
        return plain
    quoted = plain.replace("'", "'\\''")
    return f"'{quoted}'"


def _path(url: str) -> str:
    return unquote(urlsplit(url).path).lstrip("/")
