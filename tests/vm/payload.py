"""The files that the machines boot: a kernel, the stand-in installer, and a disk image.

Debian's signed kernel stands for that of RHCOS, and a shell script for its installer.
"""

import gzip
import lzma
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

HERE = Path(__file__).parent
GRUB = Path("/usr/lib/grub")

# In the order of loading: each module needs those before it.
VIRTIO_MODULES = ("virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci")
INSTALLER_MODULES = ("failover", "net_failover", "virtio_net", "virtio_blk")

# What a machine prints on its serial port when it boots from its disk.
DISK_LINE = "STAND-IN DISK: booted under {firmware}"

ESP_BYTES = 5 << 20
SIGNED_ESP_BYTES = 7 << 20
ESP_FIRST_SECTOR = 2048
SECTOR_BYTES = 512
IGNITION_OFFSET_BYTES = 32 << 20  # where installer.sh writes it on the disk


@dataclass(frozen=True, slots=True)
class Payload:
    """Files for the data directory's images/."""

    kernel: Path
    initramfs: Path
    image: Path  # the raw disk, compressed by gzip; also used as the rootfs
    raw_image: bytes
    arch: str = "x86_64"


@dataclass(frozen=True, slots=True)
class System:
    """What an initramfs is made of: a kernel, its modules, and BusyBox."""

    kernel: Path
    modules: Path
    busybox: Path

    @classmethod
    def below(cls, root: Path, kernel: Path) -> Self:
        """Return the system whose files are below *root*."""
        release = kernel.name.removeprefix("vmlinuz-")
        return cls(kernel, root / "lib/modules" / release / "kernel", root / "bin/busybox")


def build_payload(directory: Path) -> Payload:
    """Build all files for x86_64 machines, with BIOS or UEFI, in *directory*."""
    return _payload(directory, System.below(Path("/"), newest_kernel()), _disk_image(directory), "x86_64")


def build_signed_payload(directory: Path, payload: Payload, shim: Path, grub: Path) -> Payload:
    """Return *payload* with a disk that starts under Secure Boot too, by signed *shim* and *grub*; build it here."""
    raw = _signed_disk_image(directory, shim, grub, "x64")
    image = directory / "disk.raw.gz"
    image.write_bytes(gzip.compress(raw, 6))
    return replace(payload, image=image, raw_image=raw)


def build_arm64_payload(directory: Path, system: System, shim: Path, grub: Path) -> Payload:
    """Build all files for arm64 machines in *directory*."""
    return _payload(directory, system, _signed_disk_image(directory, shim, grub, "aa64"), "aarch64")


def _payload(directory: Path, system: System, raw: bytes, arch: str) -> Payload:
    image = directory / "disk.raw.gz"
    image.write_bytes(gzip.compress(raw, 6))
    initramfs = build_initramfs(
        directory / "initramfs.img",
        system,
        (*VIRTIO_MODULES, *INSTALLER_MODULES),
        {"init": HERE / "installer.sh", "udhcpc.sh": HERE / "udhcpc.sh"},
    )
    return Payload(system.kernel, initramfs, image, raw, arch)


def newest_kernel() -> Path:
    """Return Debian's cloud kernel. Raises FileNotFoundError when it is not installed."""
    kernels = sorted(Path("/boot").glob("vmlinuz-*-cloud-amd64"), key=lambda path: path.stat().st_mtime)
    if not kernels:
        raise FileNotFoundError("no /boot/vmlinuz-*-cloud-amd64; install linux-image-cloud-amd64")
    return kernels[-1]


def build_initramfs(target: Path, system: System, modules: Sequence[str], files: Mapping[str, Path]) -> Path:
    """Write an initramfs for *system* to *target*; return *target*.

    It contains BusyBox, *modules*, their order in /modules, and *files*: executables, by name in the root directory.
    """
    with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
        root = Path(temporary)
        (root / "bin").mkdir()
        shutil.copy(system.busybox, root / "bin/busybox")
        for name, source in files.items():
            shutil.copy(source, root / name)
            (root / name).chmod(0o755)
        for name in modules:
            found = next(system.modules.rglob(f"{name}.ko*"))
            content = found.read_bytes()
            (root / f"{name}.ko").write_bytes(lzma.decompress(content) if found.suffix == ".xz" else content)
        (root / "modules").write_text("".join(f"{name}.ko\n" for name in modules))
        names = "".join(f"{path.relative_to(root)}\n" for path in sorted(root.rglob("*")))
        packed = subprocess.run(
            ["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"],
            cwd=root, input=names.encode(), capture_output=True, check=True,
        ).stdout  # fmt: skip
    target.write_bytes(gzip.compress(packed, 6))
    return target


def _disk_image(directory: Path) -> bytes:
    """Return a raw disk with GRUB: a boot sector and core image for BIOS, and an EFI system partition for UEFI."""
    core = _grub(directory, "i386-pc", "BIOS", ("biosdisk",))
    loader = _grub(directory, "x86_64-efi", "UEFI", ())
    esp = _esp(directory, ESP_BYTES, {"EFI/BOOT/BOOTX64.EFI": loader})
    boot_sector = bytearray((GRUB / "i386-pc/boot.img").read_bytes())
    boot_sector[446:510] = _partition(esp)
    # boot.img loads sector 1, the first of core.img, and that loads the sectors after it.
    gap = bytes(boot_sector) + core.read_bytes()
    if len(gap) > ESP_FIRST_SECTOR * SECTOR_BYTES:
        raise ValueError(f"GRUB's core image of {len(gap)} bytes does not fit before the partition")
    return gap.ljust(ESP_FIRST_SECTOR * SECTOR_BYTES, b"\0") + esp


def _signed_disk_image(directory: Path, shim: Path, grub: Path, suffix: str) -> bytes:
    """Return a raw disk with *shim* and Debian's *grub*, for UEFI of the processor that *suffix* is UEFI's name of."""
    config = directory / "grub-signed.cfg"
    config.write_text(f"echo '{DISK_LINE.format(firmware='UEFI')}'\nsleep 86400\n")
    files = {
        f"EFI/BOOT/BOOT{suffix.upper()}.EFI": shim,
        f"EFI/BOOT/grub{suffix}.efi": grub,
        "EFI/debian/grub.cfg": config,  # where the signed GRUB looks, whatever directory it is started from
    }
    esp = _esp(directory, SIGNED_ESP_BYTES, files)
    boot_sector = bytes(446) + _partition(esp) + b"\x55\xaa"
    return boot_sector.ljust(ESP_FIRST_SECTOR * SECTOR_BYTES, b"\0") + esp


def _partition(esp: bytes) -> bytes:
    """Return a partition table with one partition: not active, type EF (EFI system), no CHS addresses."""
    sectors = len(esp) // SECTOR_BYTES
    entry = struct.pack("<B3sB3sII", 0, b"\xff\xff\xff", 0xEF, b"\xff\xff\xff", ESP_FIRST_SECTOR, sectors)
    return entry.ljust(64, b"\0")


def _esp(directory: Path, size: int, files: Mapping[str, Path]) -> bytes:
    """Return an EFI system partition of *size* bytes with *files*, by path."""
    esp = directory / "esp.img"
    esp.write_bytes(bytes(size))
    subprocess.run(["mkfs.vfat", "-F", "12", esp], check=True, capture_output=True)
    directories = sorted({f"::{parent}" for path in files for parent in Path(path).parents if parent.name})
    subprocess.run(["mmd", "-i", esp, *directories], check=True)
    for path, source in files.items():
        subprocess.run(["mcopy", "-i", esp, source, f"::{path}"], check=True)
    return esp.read_bytes()


def _grub(directory: Path, platform: str, firmware: str, modules: tuple[str, ...]) -> Path:
    config = directory / f"grub-{platform}.cfg"
    config.write_text(
        "serial --unit=0 --speed=115200\n"
        "terminal_output serial\n"
        f"echo '{DISK_LINE.format(firmware=firmware)}'\n"
        "sleep 86400\n"
    )
    target = directory / f"grub-{platform}.img"
    subprocess.run(
        ["grub-mkimage", "-O", platform, "-d", GRUB / platform, "-c", config, "-p", "/", "-o", target,
         "serial", "terminal", "echo", "sleep", *modules],
        check=True,
    )  # fmt: skip
    return target
