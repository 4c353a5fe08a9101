"""The loaders of hosts: whether their files exist and start there. A missing file can be added later: a warning."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from appliance.boot.chains import usual_files
from appliance.boot.loaders import find_loader, package_hint
from appliance.config.document import Path_, Placed
from appliance.config.draft import Draft
from appliance.config.images import is_okd
from appliance.config.section_drafts import DefaultsDraft, HostDraft
from appliance.errors import Problem
from appliance.model import Arch, Boot, Loader, LocalBoot

# In the text of the build of iPXE in Debian 11 and 12. Its ipxe.efi was seen to stay at its prompt after `exit 1`.
STAYS_AT_ITS_PROMPT = b"1.0.0+git-20190125"
# In the certificates of distributions' shims: each starts only what its own distribution has signed.
FOREIGN_KEYS = {b"Debian Secure Boot CA": "Debian", b"Canonical Ltd. Master CA": "Ubuntu", b"SUSE Linux": "SUSE"}


def problems_in(draft: Draft) -> Iterator[Problem]:
    """Yield the problems with the loaders of one file."""
    signed_by = cache(_signed_by)  # many hosts have the same shim of a MB
    for arch, where in draft.arches.items():
        yield from _usual_loaders(draft, arch, where)
    hosts = [host for host in draft.hosts if host.boot is not Boot.NOTHING]
    said = set[str]()
    for defaults in (*draft.roles, *(host.own for host in hosts)):
        if defaults.loader and defaults.loader.value is not Loader.AUTO:
            for problem in _own_loader(draft, defaults, defaults.loader, signed_by):
                # A whole rack may lack the same file, which is told at the first machine.
                if not problem.is_warning or problem.message not in said:
                    yield problem
                said.add(problem.message)
    yield from _local_boots(draft)


def _usual_loaders(draft: Draft, arch: Arch, where: Path_) -> Iterator[Problem]:
    """Yield the missing files of `auto` for *arch*, unless all its hosts have a loader of their own."""
    hosts = [host for host in draft.hosts if host.arch is arch and host.boot is not Boot.NOTHING]
    chosen = {host.entry.loader or host.of_role.loader or Loader.AUTO for host in hosts} or {Loader.AUTO}
    if draft.data_dir is None or Loader.AUTO not in chosen:
        return
    for name in usual_files(Loader.AUTO, arch):
        if find_loader(name, draft.data_dir) is None:
            yield draft.document.here(*where).warning(f"boot file {name} for {arch} not found; {package_hint(name)}")


def _own_loader(
    draft: Draft, defaults: DefaultsDraft, loader: Placed[Loader | str], signed_by: Callable[[Path], str]
) -> Iterator[Problem]:
    # Hosts that are not written yet have the usual architecture.
    arches = {host.arch for host in draft.hosts if _has_loader_of(host, defaults.path, draft)} or {Arch.X86_64}
    for arch in sorted(arches):
        if not usual_files(loader.value, arch):
            others = [each.value for each in Loader if usual_files(each, arch)]
            yield loader.error(f"{loader.value} does not exist for {arch}; use {', '.join(others)} or a file")
    names = dict.fromkeys(name for arch in sorted(arches) for name in usual_files(loader.value, arch))
    if draft.data_dir is None:
        return
    needs_red_hat = not (draft.spelled_release and is_okd(draft.spelled_release.value))
    for name in names:
        file = find_loader(name, draft.data_dir)
        if file is None:
            yield loader.warning(f"boot file {name} not found; {package_hint(name)}")
        elif loader.value is Loader.SHIM and needs_red_hat and (whose := signed_by(file)):
            yield loader.warning(
                f"{file} is a program of {whose}, which does not start the kernel of RHCOS under Secure Boot; "
                f"{package_hint(name)}"
            )


def _has_loader_of(host: HostDraft, path: Path_, draft: Draft) -> bool:
    """Whether *path* says what *host* loads: the host's own, or its role's where it says nothing itself."""
    return path == (host.path if draft.document.has(*host.path, "loader") else host.role_path)


def _signed_by(file: Path) -> str:
    """Return the distribution whose keys are in *file*, if it is not Red Hat's; else ""."""
    try:
        content = file.read_bytes()
    except OSError:
        return ""
    return next((name for key, name in FOREIGN_KEYS.items() if key in content), "")


def _local_boots(draft: Draft) -> Iterator[Problem]:
    """Yield each `localBoot` that sends UEFI machines to the prompt of iPXE instead of their disk."""
    stays_at_its_prompt = cache(_stays_at_its_prompt)  # many hosts have the same loader of a MB
    for host in draft.hosts:
        own, of_role, role = host.entry, host.of_role, host.role.value.value if host.role else ""
        loaders = ((own.loader, host.path), (of_role.loader, ("roles", role)))
        if host.boot is Boot.NOTHING:
            continue
        if any(loader is None and draft.document.has(*path, "loader") for loader, path in loaders):
            continue  # one that cannot be read has an error of its own
        how = own.local_boot or of_role.local_boot
        if how not in (LocalBoot.EXIT, LocalBoot.SANBOOT) or host.arch is not Arch.X86_64 or draft.data_dir is None:
            continue
        names = usual_files(own.loader or of_role.loader or Loader.AUTO, host.arch)
        files = [file for name in names if (file := find_loader(name, draft.data_dir))]
        # The smaller build, snponly.efi, does leave.
        loader = next((file for file in files if file.name.lower() == "ipxe.efi" and stays_at_its_prompt(file)), None)
        if loader is None:
            continue
        place = host.path if own.local_boot else ("roles", role)
        yield draft.document.here(*place, "localBoot").warning(
            f"{how} needs iPXE to exit, and {loader}, Debian's build of 2019, stops at its prompt instead on UEFI; add "
            "`loader: ipxe-snp`, or leave localBoot at no-offer"
        )


def _stays_at_its_prompt(loader: Path) -> bool:
    try:
        return STAYS_AT_ITS_PROMPT in loader.read_bytes()
    except OSError:
        return False
