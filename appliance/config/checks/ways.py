"""The ways to install: what each of them needs, and which keys another one does not use."""

from collections.abc import Iterator

from appliance.config.draft import Draft
from appliance.config.section_drafts import HostDraft
from appliance.errors import Problem
from appliance.model import Boot, Release, Role

# `agent create pxe-files` came in 4.14, and in 4.13 as a preview.
AGENT_SINCE = Release(4, 13)
IN_PLACE_SINCE = Release(4, 8)
NODE_IMAGE_SINCE = Release(4, 17)
# Keys of a host that say how it boots.
BOOT_KEYS = (
    "arch", "boot", "install", "kernelArguments", "loader", "localBoot", "networkConfig", "rootDeviceHints",
)  # fmt: skip


def problems_in(draft: Draft) -> Iterator[Problem]:
    """Yield what is wrong with the way in which one file installs its cluster."""
    if not draft.is_way_known:
        return
    yield from _agent(draft)
    yield from _in_place(draft)
    yield from _fips(draft)
    for host in draft.hosts:
        if host.boot is Boot.NOTHING:
            yield from _unused_by_other(host, draft)
        elif host.boot.is_embedded:
            yield from _embedded(host, draft)


def _agent(draft: Draft) -> Iterator[Problem]:
    here, release = draft.document.here, draft.release
    if draft.boot is not Boot.AGENT:
        if draft.file.rendezvous_ip is not None:
            yield here("rendezvousIP").warning("not used without `boot: agent`")
        return
    if release and release < AGENT_SINCE:
        yield here("boot").error(
            f"release {release} has no `openshift-install agent create pxe-files`; use {AGENT_SINCE} or later"
        )
    yield from _rendezvous(draft)
    if draft.file.bootstrap_in_place is not None:
        yield here("bootstrapInPlace").warning("not used: the agent-based installer installs a single node without it")
    for section in (("images",), ("images", "x86_64"), ("images", "aarch64")):
        if draft.document.has(*section, "metal"):
            yield here(*section, "metal").warning("not used: an agent-based installation has no disk image")
        if draft.document.has(*section, "release") and not draft.images:
            yield here(*section, "release").warning(
                "not used: the names of the files of an agent-based installation have no release"
            )


def _rendezvous(draft: Draft) -> Iterator[Problem]:
    wanted = draft.file.rendezvous_ip
    masters = [host for host in draft.hosts if host.role and host.role.value is Role.MASTER and host.boot is Boot.AGENT]
    addresses = [claim.value for host in masters for claim in host.addresses]
    if wanted is None or wanted in addresses or any(not host.addresses for host in masters):
        return
    which = f"one of {', '.join(map(str, addresses))}" if addresses else "and no host has the role master"
    yield draft.document.here("rendezvousIP").error(
        f"{wanted} is not the address of a host with the role master; expected {which}"
    )


def _embedded(host: HostDraft, draft: Draft) -> Iterator[Problem]:
    if host.role and host.role.value is Role.BOOTSTRAP:
        if host.boot is Boot.NODE_IMAGE:
            yield host.role.error("a node image adds nodes to a running cluster, which has no bootstrap machine")
        else:
            yield host.role.error(
                "an agent-based installation has no bootstrap machine: the host at rendezvousIP does that work; "
                "remove this host"
            )
    elif host.boot is Boot.NODE_IMAGE and draft.release and draft.release < NODE_IMAGE_SINCE:
        yield draft.document.here(*draft.place_of_boot(host)).error(
            f"release {draft.release} has no `oc adm node-image`; add the node with boot: installer and worker.ign, or "
            f"write the present release of the cluster, {NODE_IMAGE_SINCE} or later"
        )
    elif host.boot is Boot.AGENT and draft.boot is not Boot.AGENT:
        yield draft.document.here(*draft.place_of_boot(host)).error(
            "agent is for a whole cluster; write `boot: agent` at the top level, or node-image for a host that is "
            "added to a running cluster"
        )


def _in_place(draft: Draft) -> Iterator[Problem]:
    section, release = draft.file.bootstrap_in_place, draft.release
    if section is None or draft.boot is Boot.AGENT or any(host.role is None for host in draft.hosts):
        return
    where = draft.document.here("bootstrapInPlace")
    if release and release < IN_PLACE_SINCE:
        yield where.error(f"release {release} cannot install in place; use {IN_PLACE_SINCE} or later")
    control_plane = [host for host in draft.hosts if host.role and host.role.value in (Role.MASTER, Role.ARBITER)]
    bootstraps = [host.role for host in draft.hosts if host.role and host.role.value is Role.BOOTSTRAP]
    if len(control_plane) > 1:
        yield where.error(
            f"is for a single node, and {len(control_plane)} hosts have the role master or arbiter; remove this key"
            + ("" if bootstraps else ", and add a host with the role bootstrap")
        )
    elif bootstraps:
        yield bootstraps[0].error("an installation in place has no bootstrap machine; remove this host")
    for host in draft.hosts:
        if host.boot is Boot.IN_PLACE:
            yield from _disks(host, draft)
    for kind in ("images", "metal"), ("images", "x86_64", "metal"), ("images", "aarch64", "metal"):
        if draft.document.has(*kind) and all(host.boot in (Boot.IN_PLACE, Boot.NOTHING) for host in draft.hosts):
            yield draft.document.here(*kind).warning("not used: an installation in place brings its own disk image")


def _disks(host: HostDraft, draft: Draft) -> Iterator[Problem]:
    wanted = draft.file.bootstrap_in_place.installation_disk if draft.file.bootstrap_in_place else None
    for hints, path in (
        (host.entry.root_device_hints, host.path),
        (host.of_role.root_device_hints, ("roles", Role.MASTER.value)),
    ):
        if hints and hints.device_name and wanted and hints.device_name != wanted:
            yield draft.document.here(*path, "rootDeviceHints").warning(
                f"not used: the Ignition file names the disk, as bootstrapInPlace.installationDisk does ({wanted})"
            )


def _fips(draft: Draft) -> Iterator[Problem]:
    if draft.file.fips and not draft.artifacts:
        yield draft.document.here("fips").warning(
            "not used: only machines with boot agent or node-image get fips=1; for others it belongs in "
            "install-config.yaml, which puts it into the Ignition files"
        )


def _unused_by_other(host: HostDraft, draft: Draft) -> Iterator[Problem]:
    for key in BOOT_KEYS:
        if draft.document.has(*host.path, key):
            yield draft.document.here(*host.path, key).warning(
                "not used: a machine with the role other gets DHCP and DNS, and boots nothing from here"
            )
