"""Stand-ins for files that a demonstration does not have: images, Ignition files, boot programs.

The first bytes of each say what it stands in for, within what its format allows; none of them boots anything.
"""

import base64
import gzip
import hashlib
import json
import random
from pathlib import Path

from appliance.boot.chains import usual_files
from appliance.boot.loaders import find_loader
from appliance.errors import SimulationError
from appliance.model import Arch, Boot, Cluster
from appliance.openshift import names
from appliance.openshift.ignition import IN_PLACE
from appliance.simulate.certificate import make_certificate

KERNEL_BYTES, INITRAMFS_BYTES, IMAGE_BYTES = 2 << 20, 4 << 20, 8 << 20
TLS_FILE = "stand-in-tls.pem"
# Where bootstrap.ign has certificates: one that is only valid for a day, and those that verify the API's.
CERTIFICATES = (
    "/opt/openshift/tls/kubelet-signer.crt",
    "/opt/openshift/tls/kube-apiserver-complete-server-ca-bundle.crt",
)


def make_standins(cluster: Cluster, data_dir: Path, seed: int) -> dict[str, str]:
    """Write stand-ins for every file of *cluster* that *data_dir* lacks; return the images' sha256 by name."""
    dice = random.Random(seed)  # noqa: S311 - filler, reproducible by its seed
    images = data_dir / "images"
    images.mkdir(parents=True, exist_ok=True)
    sums = {}
    sets = [*cluster.images.items(), *((arch, of_arch) for (_, arch), of_arch in cluster.artifacts.items())]
    for arch, of_arch in sets:
        for image, size, head_of in (
            (of_arch.kernel, KERNEL_BYTES, _kernel if arch is Arch.X86_64 else _arm_kernel),
            (of_arch.initramfs, INITRAMFS_BYTES, _archive),
            (of_arch.rootfs, IMAGE_BYTES, _archive),
            (of_arch.metal, IMAGE_BYTES, _disk_image),
        ):
            if image is None:
                continue
            head = head_of(_label(image.name))
            content = head + dice.randbytes(size - len(head))
            (images / image.name).parent.mkdir(parents=True, exist_ok=True)
            (images / image.name).write_bytes(content)
            sums[image.name] = hashlib.sha256(content).hexdigest()
    ignition = data_dir / "ignition"
    ignition.mkdir(exist_ok=True)
    tls = _tls_of(cluster, data_dir)
    usual = ("bootstrap.ign", "master.ign", "worker.ign")
    for name in dict.fromkeys((*usual, *(host.ignition for host in cluster.hosts if host.ignition))):
        path, pool = ignition / name, name.removesuffix(".ign")
        path.write_text(json.dumps(_ignition(cluster, pool, tls), indent=1))
        path.chmod(0o600)
    loaders = {(host.loader, host.arch): None for host in cluster.hosts if host.boot is not Boot.NOTHING}
    for name in (name for loader, arch in loaders for name in usual_files(loader, arch)):
        if find_loader(name, data_dir) is None:
            path = data_dir / "tftp" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((b"MZ" if name.endswith(".efi") else b"") + _label(name) + dice.randbytes(90_000))
    return sums


def _label(name: str) -> bytes:
    return f"stand-in for {name}, made by ocp-appliance demo; it boots nothing\n".encode()


# How each kind of image begins, so that `validate` takes a stand-in for the file that it stands in for.


def _kernel(label: bytes) -> bytes:
    return label.ljust(0x202, b"\0") + b"HdrS"


def _arm_kernel(label: bytes) -> bytes:
    return b"MZ".ljust(0x38, b"\0") + b"ARM\x64" + label


def _archive(label: bytes) -> bytes:
    return b"070701" + label


def _disk_image(label: bytes) -> bytes:
    return gzip.compress(label.ljust(510, b"\0") + b"\x55\xaa", mtime=0)


def _ignition(cluster: Cluster, pool: str, tls: str) -> dict[str, object]:
    """Return an Ignition configuration of the release's version, as openshift-install lays it out."""
    version = "3.2.0" if cluster.release.boots_live else "2.2.0"
    note = {"path": "/etc/motd.d/stand-in", "mode": 0o644, "contents": {"source": "data:,stand-in"}}
    if pool in ("bootstrap", IN_PLACE):
        files = [note, *_certificate_files(tls)]
        if pool == IN_PLACE:
            script = {"source": "data:,stand-in"}
            files.append({"path": "/usr/local/bin/install-to-disk.sh", "mode": 0o755, "contents": script})
        # Before spec 3, a file names its file system (Ignition's migration guide).
        if version.startswith("2"):
            files = [{"filesystem": "root", **file} for file in files]
        return {"ignition": {"version": version}, "storage": {"files": files}}
    source = {"source": f"https://api-int.{cluster.domain}:22623/config/{pool}"}
    verb = "merge" if cluster.release.boots_live else "append"
    return {"ignition": {"version": version, "config": {verb: [source]}}}


def _certificate_files(tls: str) -> list[dict[str, object]]:
    """Return the certificate of *tls*, a key and its certificate as PEM, where openshift-install puts some."""
    certificate = tls[tls.find("-----BEGIN CERTIFICATE") :] if tls else ""
    source = f"data:text/plain;charset=utf-8;base64,{base64.b64encode(certificate.encode()).decode()}"
    return [{"path": path, "mode": 0o600, "contents": {"source": source}} for path in CERTIFICATES if certificate]


def _tls_of(cluster: Cluster, data_dir: Path) -> str:
    """Return the key and the certificate of *cluster*'s servers, which are kept in *data_dir*; "" without openssl."""
    path = data_dir / TLS_FILE
    if not path.exists():
        try:
            made = make_certificate([names.api_int(cluster.domain), names.api(cluster.domain)])
        except SimulationError:
            return ""
        path.touch(mode=0o600)
        path.write_text(made)
    return path.read_text()
