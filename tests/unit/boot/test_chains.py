"""What a machine loads next, from its firmware to the installer or the disk."""

from dataclasses import replace

import pytest

from appliance.boot import ipxe
from appliance.boot.architectures import ARCHITECTURES, UNSTATED, Architecture, architecture_of
from appliance.boot.chains import Kind, Step, alternatives, boot_file, chain, installer, loader_file, usual_files
from appliance.boot.loaders import KNOWN_LOADERS
from appliance.events import Program
from appliance.model import Arch, Boot, Cluster, Host, Loader, LocalBoot
from tests.clusters import reference_cluster

BASE = "http://172.16.0.101"
BIOS, X64, ARM64, RISCV = map(architecture_of, ((0,), (7,), (0x0B,), (0x1B,)))
SCRIPTS = [Step(Kind.SCRIPT, f"{BASE}/pxeboot.ipxe"), Step(Kind.SCRIPT, f"{BASE}/ipxe/00-50-56-96-11-c2.ipxe")]


def parts(**changes: object) -> tuple[Cluster, Host]:
    cluster = reference_cluster()
    return cluster, replace(cluster.hosts[0], **changes)  # type: ignore[arg-type]


def kinds(steps: tuple[Step, ...]) -> list[Kind]:
    return [step.kind for step in steps]


def test_firmware_loads_loader_scripts_kernel_and_initramfs() -> None:
    steps = chain(*parts(), Program.PXE, X64, starts_disk=False)
    assert kinds(steps) == [Kind.LOADER, Kind.SCRIPT, Kind.SCRIPT, Kind.KERNEL, Kind.INITRAMFS]
    assert list(steps[:3]) == [Step(Kind.LOADER, "efi/ipxe.efi"), *SCRIPTS]


@pytest.mark.parametrize("local_boot", LocalBoot)
@pytest.mark.parametrize("program", [Program.PXE, Program.HTTP, Program.IPXE])
def test_machine_that_is_no_node_has_no_boot_file(program: Program, local_boot: LocalBoot) -> None:
    of = parts(boot=Boot.NOTHING, local_boot=local_boot)
    assert boot_file(chain(*of, program, X64, starts_disk=False)) == ""


def test_ipxe_goes_on_where_its_loader_was() -> None:
    of_firmware = chain(*parts(), Program.PXE, X64, starts_disk=False)
    assert chain(*parts(), Program.IPXE, X64, starts_disk=False) == of_firmware[1:]


def test_http_boot_has_the_loader_as_a_url() -> None:
    steps = chain(*parts(), Program.HTTP, X64, starts_disk=False)
    assert steps[0] == Step(Kind.LOADER, f"{BASE}/efi/ipxe.efi")


def test_operating_system_loads_nothing() -> None:
    assert chain(*parts(), Program.OS, UNSTATED, starts_disk=False) == ()


@pytest.mark.parametrize("code", [7, 8, 9, 0x10])
def test_every_x64_code_boots_the_same_loader(code: int) -> None:
    assert loader_file(Loader.AUTO, Program.PXE, architecture_of((code,)), Arch.X86_64) == "efi/ipxe.efi"


@pytest.mark.parametrize(
    ("program", "architecture", "arch", "loader"),
    [
        (Program.PXE, BIOS, Arch.X86_64, "undionly.kpxe"),
        (Program.PXE, UNSTATED, Arch.X86_64, "undionly.kpxe"),
        (Program.HTTP, UNSTATED, Arch.X86_64, "efi/ipxe.efi"),
        (Program.PXE, ARM64, Arch.AARCH64, "arm64-efi/snponly.efi"),
        (Program.PXE, BIOS, Arch.AARCH64, "arm64-efi/snponly.efi"),
        (Program.PXE, UNSTATED, Arch.AARCH64, "arm64-efi/snponly.efi"),
        (Program.PXE, architecture_of((6,)), Arch.X86_64, "i386-efi/ipxe.efi"),
        (Program.PXE, RISCV, Arch.X86_64, None),
        (Program.PXE, architecture_of((0x7777,)), Arch.X86_64, None),
    ],
)
def test_loader_is_chosen_by_firmware_and_the_hosts_architecture(
    program: Program, architecture: Architecture, arch: Arch, loader: str | None
) -> None:
    assert loader_file(Loader.AUTO, program, architecture, arch) == loader


def test_hosts_own_loader_takes_precedence_over_the_firmwares() -> None:
    for architecture in (BIOS, X64, RISCV):
        steps = chain(*parts(loader="efi/snponly.efi"), Program.PXE, architecture, starts_disk=False)
        assert boot_file(steps) == "efi/snponly.efi"


@pytest.mark.parametrize(
    ("loader", "architecture", "arch", "file"),
    [
        (Loader.IPXE, X64, Arch.X86_64, "efi/ipxe.efi"),
        (Loader.IPXE, BIOS, Arch.X86_64, "ipxe.pxe"),
        (Loader.IPXE, ARM64, Arch.AARCH64, "arm64-efi/ipxe.efi"),
        (Loader.IPXE_SNP, X64, Arch.X86_64, "efi/snponly.efi"),
        (Loader.IPXE_SNP, ARM64, Arch.AARCH64, "arm64-efi/snponly.efi"),
        (Loader.UNDIONLY, BIOS, Arch.X86_64, "undionly.kpxe"),
        (Loader.UNDIONLY, X64, Arch.X86_64, None),
        (Loader.SHIM, X64, Arch.X86_64, "shim/x64/shimx64.efi"),
        (Loader.SHIM, ARM64, Arch.AARCH64, "shim/aa64/shimaa64.efi"),
        (Loader.SHIM, BIOS, Arch.X86_64, None),
    ],
)
def test_loader_has_a_file_for_each_firmware_that_it_runs_on(
    loader: Loader, architecture: Architecture, arch: Arch, file: str | None
) -> None:
    assert loader_file(loader, Program.PXE, architecture, arch) == file


@pytest.mark.parametrize(
    ("own", "file"),
    [(Loader.AUTO, "efi/snponly.efi"), (Loader.IPXE, "efi/ipxe.efi"), ("efi/own.efi", "efi/own.efi")],
)
def test_loader_that_the_caller_names_is_for_hosts_that_leave_it_to_the_appliance(own: Loader | str, file: str) -> None:
    cluster, host = parts(loader=own)
    steps = chain(cluster, host, Program.PXE, X64, starts_disk=False, loader=Loader.IPXE_SNP)
    assert boot_file(steps) == file


def test_loader_that_the_caller_names_gives_way_where_it_has_no_file_for_the_firmware() -> None:
    steps = chain(*parts(), Program.PXE, X64, starts_disk=False, loader=Loader.UNDIONLY)
    assert boot_file(steps) == "efi/ipxe.efi"


@pytest.mark.parametrize(
    ("file", "files"),
    [
        ("efi/snponly.efi", ["efi/ipxe.efi", "efi/snponly.efi"]),
        ("undionly.kpxe", ["undionly.kpxe", "ipxe.pxe"]),
        ("arm64-efi/ipxe.efi", ["arm64-efi/snponly.efi", "arm64-efi/ipxe.efi"]),
        ("efi/own.efi", []),
    ],
)
def test_alternatives_to_a_boot_file_are_for_its_firmware_and_each_file_is_there_once(
    file: str, files: list[str]
) -> None:
    assert [each for loader, each in alternatives(file) if loader is not Loader.SHIM] == files


def test_shim_loads_grub_and_grub_the_kernel() -> None:
    steps = chain(*parts(loader=Loader.SHIM), Program.PXE, X64, starts_disk=False)
    assert kinds(steps) == [Kind.LOADER, Kind.LOADER, Kind.SCRIPT, Kind.KERNEL, Kind.INITRAMFS]
    assert [step.target for step in steps[:3]] == [
        "shim/x64/shimx64.efi",
        "shim/x64/grubx64.efi",
        f"{BASE}/grub/boot.cfg",
    ]


def test_installed_host_starts_its_disk_from_grub() -> None:
    steps = chain(*parts(loader=Loader.SHIM, local_boot=LocalBoot.SANBOOT), Program.HTTP, X64, starts_disk=True)
    assert kinds(steps) == [Kind.LOADER, Kind.LOADER, Kind.SCRIPT, Kind.DISK]
    assert steps[1].target == f"{BASE}/shim/x64/grubx64.efi"


def test_files_of_shim_are_itself_and_grub() -> None:
    assert usual_files(Loader.SHIM, Arch.AARCH64) == ("shim/aa64/shimaa64.efi", "shim/aa64/grubaa64.efi")


def test_firmware_that_nothing_is_built_for_goes_on_to_its_disk() -> None:
    steps = chain(*parts(), Program.PXE, RISCV, starts_disk=False)
    assert (steps, boot_file(steps)) == ((Step(Kind.DISK),), "")


@pytest.mark.parametrize("program", [Program.PXE, Program.IPXE])
def test_installed_host_is_offered_nothing_unless_it_says_otherwise(program: Program) -> None:
    assert chain(*parts(), program, X64, starts_disk=True) == (Step(Kind.DISK),)


@pytest.mark.parametrize(("architecture", "starts_disk"), [(X64, True), (RISCV, False)])
def test_http_boot_without_a_boot_file_is_sent_to_a_url_that_is_never_found(
    architecture: Architecture, *, starts_disk: bool
) -> None:
    steps = chain(*parts(), Program.HTTP, architecture, starts_disk=starts_disk)
    assert (steps, boot_file(steps)) == ((Step(Kind.DISK, "http://172.16.0.101/no-boot-file"),), "")


@pytest.mark.parametrize("how", [LocalBoot.EXIT, LocalBoot.SANBOOT])
def test_installed_host_that_starts_its_disk_by_script_loads_up_to_that(how: LocalBoot) -> None:
    steps = chain(*parts(local_boot=how), Program.PXE, X64, starts_disk=True)
    assert steps == (Step(Kind.LOADER, "efi/ipxe.efi"), SCRIPTS[0], Step(Kind.DISK))


def test_every_loader_of_a_chain_is_one_that_packages_have() -> None:
    loaders = {
        loader_file(loader, Program.PXE, each, arch)
        for loader in Loader
        for each in ARCHITECTURES.values()
        for arch in Arch
    }
    assert loaders - {None} <= KNOWN_LOADERS


def test_usual_loaders_are_those_that_most_firmware_asks_for() -> None:
    assert usual_files(Loader.AUTO, Arch.X86_64) == ("efi/ipxe.efi", "undionly.kpxe")
    assert usual_files(Loader.AUTO, Arch.AARCH64) == ("arm64-efi/snponly.efi",)


def test_scripts_lead_along_the_chain() -> None:
    """Each script names the next step of the chain, so the data and the text agree."""
    cluster, host = parts()
    script, kernel, initramfs = installer(cluster, host, BASE)
    assert f"chain --replace --autofree {script.target} " in ipxe.host_menu(cluster, host)
    assert f"\nkernel {kernel.target} " in ipxe.install_script(cluster, host)
    assert f"\ninitrd {initramfs.target} " in ipxe.install_script(cluster, host)


def test_host_whose_architecture_has_no_images_has_no_kernel_to_load() -> None:
    assert kinds(installer(*parts(arch=Arch.AARCH64), BASE)) == [Kind.SCRIPT]
