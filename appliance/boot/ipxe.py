"""iPXE scripts, rendered from the templates in ipxe/.

The one rule: a script uses only commands that the builds of Debian 12 and RHEL 9 have,
and a line that fails is retried or handled: no failure leaves a dead console.
"""

from pathlib import PurePosixPath
from string import Template
from urllib.parse import quote

from appliance.boot import urls
from appliance.boot.chains import DISK, Kind, installer
from appliance.boot.templates import template
from appliance.boot.urls import base_url
from appliance.model import Address, Boot, Cluster, Host, Image, Images, Role

# Replaced by the installation's token in an install script. No name or URL contains braces.
MARK = "{token}"
# In the kernel arguments of a host that may boot from several cards: the one that iPXE boots from, with hyphens.
BOOT_MAC = "${netX/mac:hexhyp}"
POLL_SECONDS = 10  # between two requests of a machine that waits; 1,000 of them make 100 requests a second

# The cards on which iPXE looks for a VLAN: it does not know which of them the firmware used.
CARDS = ("net0", "net1", "net2", "net3")

MENU_ROLES = (Role.BOOTSTRAP, Role.MASTER, Role.WORKER)


def _template(name: str) -> Template:
    return template(f"{name}.ipxe")


def autoexec(cluster: Cluster, client: Address | None = None) -> str:
    """Return the script that iPXE looks for in the directory of its own binary, as *client* gets it."""
    network = cluster.network_of(client) if client else None
    join = (
        "".join(_template("join-vlan").substitute(card=card, tag=network.vlan) for card in CARDS)
        if (network and network.vlan)
        else ""
    )
    return _template("autoexec").substitute(join=join, script=urls.menu_url(base_url(cluster, client)))


def menu(cluster: Cluster, client: Address | None = None) -> str:
    """Return the menu for an unknown machine at the address *client*.

    After menu_seconds it exits to the next boot entry; with 0, never.
    """
    url = urls.menu_url(base_url(cluster, client))
    entries = [_template("menu-unknown").substitute(entry=role.value, menu=url) for role in MENU_ROLES]
    return _menu(f"OpenShift cluster {cluster.name}: unknown machine", "exit", cluster.menu_seconds, entries)


def host_menu(cluster: Cluster, host: Host) -> str:
    """Return the menu for *host*.

    After known_menu_seconds it chooses the entry of the host's own role; with 0, at once.
    """
    if host.boot is Boot.NOTHING:
        return local_script(cluster, host)
    own = _menu_role(host)
    base = base_url(cluster, host.address)
    values = {
        "host": host.name,
        "role": host.role.value,
        "base": base,
        "menu": urls.menu_url(base),
        "script": _own_script_url(cluster, host),
    }
    entries = [
        _template("menu-own" if role is own else "menu-other").substitute(values, entry=role.value)
        for role in MENU_ROLES
    ]
    title = f"OpenShift cluster {cluster.name}: {host.name}, {host.role.value}"
    at_once = "" if cluster.known_menu_seconds else f"goto {own.value}\n"
    return _menu(title, own.value, cluster.known_menu_seconds, entries, at_once)


def install_script(cluster: Cluster, host: Host) -> str:
    """Return the script that installs *host*, with MARK once in place of the installation's token.

    If cluster.yaml lacks an image that the host needs, the script says so and retries.
    """
    missing = missing_image(cluster, host)
    if missing:
        return wait_script(cluster, host, f"images.{host.arch.value} in cluster.yaml has no {missing}")
    if host.boot is Boot.NOTHING:
        return local_script(cluster, host)
    steps = installer(cluster, host, base_url(cluster, host.address))
    load = {step.kind: step.target for step in steps}
    return _template("install-live" if cluster.release.boots_live else "install-legacy").substitute(
        host=host.name,
        role=host.role.value,
        cluster=cluster.name,
        release=str(cluster.release),
        target=target(host),
        initrd=initrd_name(host),
        kernel=load[Kind.KERNEL],
        initramfs=load[Kind.INITRAMFS],
        arguments=" ".join(kernel_arguments(cluster, host)),
        script=load[Kind.SCRIPT],
    )


def local_script(cluster: Cluster, host: Host) -> str:
    """Return the script that starts the installed *host* from its own disk."""
    return _template(DISK[host.local_boot].script).substitute(host=host.name, cluster=cluster.name)


def wait_script(cluster: Cluster, host: Host, why: str, *, renews: bool = False) -> str:
    """Return a script that says *why* the host waits, and fetches the host's script again every POLL_SECONDS.

    With *renews* it asks for an address before that.
    """
    return _template("wait").substitute(
        host=host.name,
        why=why,
        seconds=POLL_SECONDS,
        # netX is the interface that iPXE used last; without a name it tries each in turn.
        renew="dhcp netX || dhcp ||\n" if renews else "",
        script=_own_script_url(cluster, host),
    )


def missing_image(cluster: Cluster, host: Host) -> str:
    """Return the key of an image that *host* needs and cluster.yaml lacks: kernel, metal or rootfs; "" if none."""
    if host.boot is Boot.NOTHING:
        return ""
    images = cluster.images_of(host)
    if images is None:
        return "kernel"
    if cluster.release.boots_live:
        return "" if images.rootfs else "rootfs"
    return "" if images.metal else "metal"


def kernel_arguments(cluster: Cluster, host: Host) -> list[str]:
    """Return the kernel arguments that install *host*, in the order of the release's manual.

    Raises KeyError if cluster.yaml has no images for its architecture (`missing_image`).
    """
    images = cluster.images_of(host)
    if images is None:
        raise KeyError(host.arch)
    base = base_url(cluster, host.address)
    ignition = urls.ignition_url(base, MARK, host)
    if host.boot.is_embedded:
        arguments = _embedded_arguments(images, base, host, has_fips=cluster.fips)
    elif cluster.release.boots_live:
        arguments = _live_arguments(images, base, host, ignition)
    else:
        arguments = _legacy_arguments(images, base, host, ignition)
    return [*arguments, *host.kernel_arguments]


def initrd_name(host: Host) -> str:
    """Return what a live system's kernel looks its initramfs up by, which is what the boot loader calls it."""
    # As in the script that openshift-install and oc make beside their files.
    return "initrd" if host.boot.is_embedded else "main"


def target(host: Host) -> str:
    """Return where, or with what, *host* is installed: a phrase for its console."""
    match host.boot:
        case Boot.AGENT:
            return "with the agent-based installer"
        case Boot.NODE_IMAGE:
            return "into the running cluster"
        case _:
            return f"on {host.install_disk}"


def _legacy_arguments(images: Images, base: str, host: Host, ignition: str) -> list[str]:
    """Return the arguments for the initramfs that writes a raw image (4.1 to 4.5)."""
    return [
        *(host.network_arguments or (_automatic(host),)),
        "rd.neednet=1",
        *_boot_interface(host),
        # The kernel looks the initramfs up by the name that iPXE gives it: the last part of its URL (bug 1741922).
        f"initrd={_file_name(images.initramfs)}",
        "console=tty0",
        "console=ttyS0",
        "coreos.inst=yes",
        # This installer adds /dev/ itself.
        f"coreos.inst.install_dev={host.install_disk.removeprefix('/dev/')}",
        *([f"coreos.inst.image_url={urls.image_url(base, images.metal.name)}"] if images.metal else []),
        f"coreos.inst.ignition_url={ignition}",
    ]


def _automatic(host: Host) -> str:
    # ip=dhcp needs an answer of DHCPv4, and configures IPv6 beside it; ip=dhcp6 needs IPv6, and leaves IPv4 out.
    return "ip=dhcp" if host.ipv4 is not None else "ip=dhcp6"


# The live system itself runs Ignition, as at its first boot from a disk.
_RUNS_IGNITION = ("ignition.firstboot", "ignition.platform.id=metal")


def _embedded_arguments(images: Images, base: str, host: Host, *, has_fips: bool) -> list[str]:
    """Return the arguments of a live system that has its Ignition configuration in its initramfs."""
    # No network: the configuration brings its own, and without arguments the initramfs tries DHCP on every interface.
    return [
        f"initrd={initrd_name(host)}",
        *([f"coreos.live.rootfs_url={urls.image_url(base, images.rootfs.name)}"] if images.rootfs else []),
        *_RUNS_IGNITION,
        *(["fips=1"] if has_fips else []),
    ]


def _live_arguments(images: Images, base: str, host: Host, ignition: str) -> list[str]:
    """Return the arguments of a live system (4.6 and later) that installs, or in which a cluster installs itself."""
    network: list[str] = []
    if host.network_arguments:
        network = [*host.network_arguments, "rd.neednet=1"]
    elif len(host.sharing) > 1 or host.ipv4 is None:
        # Without arguments it would wait 20 s for IPv4 where there is none (ip=auto in nm-initrd-generator(8)).
        network = [_automatic(host), "rd.neednet=1", *_boot_interface(host)]
    work = [f"coreos.inst.install_dev={host.install_disk}"]
    if images.metal:
        # The installer requires a detached signature for an image by URL, and RHCOS publishes none.
        work += [f"coreos.inst.image_url={urls.image_url(base, images.metal.name)}", "coreos.inst.insecure=yes"]
    work.append(f"coreos.inst.ignition_url={ignition}")
    if host.boot is Boot.IN_PLACE:
        # The Ignition configuration is for the live system. It names the disk, which bootkube's last step writes.
        work = [*_RUNS_IGNITION, f"ignition.config.url={ignition}"]
    return [
        # A kernel that an older build of iPXE starts finds the initramfs only by its name, which the template sets with
        # `initrd --name main`. Newer builds need neither.
        f"initrd={initrd_name(host)}",
        *([f"coreos.live.rootfs_url={urls.image_url(base, images.rootfs.name)}"] if images.rootfs else []),
        *network,
        *work,
    ]


def _boot_interface(host: Host) -> list[str]:
    # With several interfaces that get the same address, dracut would run DHCP on all of them and use the first reply.
    if host.network_arguments or len(host.sharing) < 2:
        return []
    return [f"BOOTIF=01-{BOOT_MAC if len(host.boot_macs) > 1 else host.macs[0].hyphenated}"]


def _menu(title: str, default: str, seconds: int, entries: list[str], at_once: str = "") -> str:
    return _template("menu").substitute(
        title=title,
        menu_ms=seconds * 1000,
        default=default,
        at_once=at_once,
        install_entries="\n".join(entries).rstrip("\n"),
    )


def _menu_role(host: Host) -> Role:
    # Infra nodes are installed as workers, and labelled after the installation. An arbiter is a control plane node.
    return {Role.INFRA: Role.WORKER, Role.ARBITER: Role.MASTER}.get(host.role, host.role)


def _own_script_url(cluster: Cluster, host: Host) -> str:
    return urls.script_url(base_url(cluster, host.address), host.macs[0])


def _file_name(image: Image) -> str:
    return quote(PurePosixPath(image.name).name)
