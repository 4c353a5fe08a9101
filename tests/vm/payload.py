"""The files that the machines boot: a kernel, the stand-in installer, and a disk image for BIOS and UEFI."""

import gzip
import lzma
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
GRUB = Path("/usr/lib/grub")

# In the order of loading: each module needs those before it.
VIRTIO_MODULES = ("virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci")
INSTALLER_MODULES = ("failover", "net_failover", "virtio_net", "virtio_blk")

# What a machine prints on its serial port when it boots from its disk.
DISK_LINE = "STAND-IN DISK: booted under {firmware}"

IMAGE_BYTES = 6 << 20
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


def build_payload(directory: Path) -> Payload:
    """Build all files in *directory*."""
    raw = _disk_image(directory)
    image = directory / "disk.raw.gz"
    image.write_bytes(gzip.compress(raw, 6))
    kernel = newest_kernel()
    initramfs = build_initramfs(
        directory / "initramfs.img",
        kernel,
        (*VIRTIO_MODULES, *INSTALLER_MODULES),
        {"init": HERE / "installer.sh", "udhcpc.sh": HERE / "udhcpc.sh"},
    )
    return Payload(kernel=kernel, initramfs=initramfs, image=image, raw_image=raw)


def newest_kernel() -> Path:
    """Return Debian's cloud kernel. Raises FileNotFoundError when it is not installed."""
    kernels = sorted(Path("/boot").glob("vmlinuz-*-cloud-amd64"), key=lambda path: path.stat().st_mtime)
    if not kernels:
        raise FileNotFoundError("no /boot/vmlinuz-*-cloud-amd64; install linux-image-cloud-amd64")
    return kernels[-1]


def build_initramfs(target: Path, kernel: Path, modules: Sequence[str], files: Mapping[str, Path]) -> Path:
    """Write an initramfs for *kernel* to *target*; return *target*.

    It contains BusyBox, *modules*, their order in /modules, and *files*: executables, by name in the root directory.
    """
    release = kernel.name.removeprefix("vmlinuz-")
    tree = Path("/lib/modules", release, "kernel")
    with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
        root = Path(temporary)
        (root / "bin").mkdir()
        shutil.copy("/bin/busybox", root / "bin/busybox")
        for name, source in files.items():
            shutil.copy(source, root / name)
            (root / name).chmod(0o755)
        for name in modules:
            found = next(tree.rglob(f"{name}.ko*"))
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
    sectors = IMAGE_BYTES // SECTOR_BYTES - ESP_FIRST_SECTOR
    esp = directory / "esp.img"
    esp.write_bytes(bytes(sectors * SECTOR_BYTES))
    subprocess.run(["mkfs.vfat", "-F", "12", esp], check=True, capture_output=True)
    subprocess.run(["mmd", "-i", esp, "::EFI", "::EFI/BOOT"], check=True)
    subprocess.run(["mcopy", "-i", esp, loader, "::EFI/BOOT/BOOTX64.EFI"], check=True)

    boot_sector = bytearray((GRUB / "i386-pc/boot.img").read_bytes())
    # One partition: not active, type EF (EFI system), no CHS addresses.
    entry = struct.pack("<B3sB3sII", 0, b"\xff\xff\xff", 0xEF, b"\xff\xff\xff", ESP_FIRST_SECTOR, sectors)
    boot_sector[446:510] = entry.ljust(64, b"\0")
    # boot.img loads sector 1, the first of core.img, and that loads the sectors after it.
    gap = bytes(boot_sector) + core.read_bytes()
    if len(gap) > ESP_FIRST_SECTOR * SECTOR_BYTES:
        raise ValueError(f"GRUB's core image of {len(gap)} bytes does not fit before the partition")
    return gap.ljust(ESP_FIRST_SECTOR * SECTOR_BYTES, b"\0") + esp.read_bytes()


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
