"""A correct cluster.yaml with all files that it names, and ways to put mistakes into it."""

import base64
import json
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from appliance import config
from appliance.config import Checked

NOBODY = 65534

CLEAN = """\
baseDomain: example.com
metadata:
  name: prod
release: 4.16.3
networking:
  machineNetwork:
    - cidr: 192.0.2.0/24
      gateway: 192.0.2.1
  clusterNetwork:
    - cidr: 10.128.0.0/14
  serviceNetwork:
    - 172.30.0.0/16
apiVIPs: 192.0.2.8
ingressVIPs: 192.0.2.9
appliance:
  address: 192.0.2.5
hosts:
  - hostname: bs
    role: bootstrap
    macAddress: 52:54:00:00:00:10
    address: 192.0.2.20
  - hostname: m1
    role: master
    macAddress: 52:54:00:00:00:21
    address: 192.0.2.21
  - hostname: m2
    role: master
    macAddress: 52:54:00:00:00:22
    address: 192.0.2.22
  - hostname: m3
    role: master
    macAddress: 52:54:00:00:00:23
    address: 192.0.2.23
  - hostname: w1
    role: worker
    macAddress: 52:54:00:00:00:31
    address: 192.0.2.31
dns:
  forwarders: [198.51.100.53]
"""

HOST = """\
  - hostname: w2
    role: worker
    macAddress: 52:54:00:00:00:32
    address: 192.0.2.32
"""

IMAGES = (
    "rhcos-4.16.3-x86_64-live-kernel-x86_64",
    "rhcos-4.16.3-x86_64-live-initramfs.x86_64.img",
    "rhcos-4.16.3-x86_64-live-rootfs.x86_64.img",
)


# Files that begin as a kernel, as an archive and as anything else does.
KERNEL, ARCHIVE = bytes(0x202) + b"HdrS", b"070701" + bytes(100)
IGNITION, OTHER = b'{"ignition": {"version": "3.2.0"}}', b"a boot file"


def make_data_dir(root: Path) -> Path:
    """Return a data directory below *root* with every file that CLEAN names."""
    files = [f"images/{name}" for name in IMAGES]
    files += [f"ignition/{role}.ign" for role in ("bootstrap", "master", "worker")]
    files += ["tftp/efi/ipxe.efi", "tftp/undionly.kpxe", "tftp/efi/snponly.efi", "tftp/arm64-efi/snponly.efi"]
    for name in files:
        path = root / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        is_image = name.startswith("images/")
        content = KERNEL if "kernel" in name else ARCHIVE if is_image else OTHER
        path.write_bytes(IGNITION if path.suffix == ".ign" else content)
    return root / "data"


def edited(*changes: tuple[str, str], text: str = CLEAN) -> str:
    """Return *text* with *changes*: pairs of a passage and the replacement of its first occurrence."""
    for passage, replacement in changes:
        if text.count(passage) < 1:
            raise ValueError(f"{passage!r} is not in the text")
        text = text.replace(passage, replacement, 1)
    return text


def check_text(root: Path, text: str, now: float = 0.0) -> Checked:
    """Write *text* to a file in *root*, with every file that CLEAN names; return the result of its check."""
    path = root / "cluster.yaml"
    path.write_text(text)
    return config.check([path], make_data_dir(root), now)


def told(root: Path, text: str, now: float = 0.0) -> list[str]:
    """Return the problems of *text* as printed, without the name of the file."""
    return [line.removeprefix("cluster.yaml:") for line in spelled(root, check_text(root, text, now))]


def spelled(root: Path, checked: Checked) -> list[str]:
    """Return the problems as printed, without the directory of the test."""
    return [str(problem).replace(f"{root}/", "") for problem in checked.problems]


def check_texts(root: Path, texts: Sequence[str]) -> list[str]:
    """Return the problems of several clusters on one appliance, written to a.yaml, b.yaml and so on."""
    paths = [root / f"{chr(97 + index)}.yaml" for index in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    return spelled(root, config.check(paths, None, 0.0))


def with_host(*changes: tuple[str, str]) -> str:
    """Return CLEAN with another worker, w2, that begins on line 38 and has *changes*."""
    return edited(("dns:\n", edited(*changes, text=HOST) + "dns:\n"))


def with_dns(lines: str) -> str:
    """Return CLEAN with *lines* added below dns, beginning on line 40."""
    return f"{CLEAN}{lines}"


def flaw_id(value: str) -> str:
    """Return the id of a test case: "file" for the file with the mistake, else words of the message."""
    return "file" if "\n" in value else re.sub(r"\W+", "-", value[:60])


def certificate(expires_at: datetime) -> bytes:
    """Return a certificate with a new key that expires at *expires_at*, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, expires_at - timedelta(days=1), expires_at)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def bootstrap_ign(expires_at: datetime) -> str:
    """Return a bootstrap.ign whose certificate expires at *expires_at*."""
    pem = certificate(expires_at)
    url = f"data:text/plain;charset=utf-8;base64,{base64.b64encode(pem).decode()}"
    file = {"path": "/opt/openshift/tls/kubelet-signer.crt", "contents": {"source": url}}
    return json.dumps({"ignition": {"version": "3.2.0"}, "storage": {"files": [file]}})


@contextmanager
def nobodys_directory() -> Iterator[Path]:
    """Yield a new directory, owned by the user of the process, to whom file modes apply.

    Root can read every file, whatever its mode, so root becomes nobody until the end of the block.
    """
    with tempfile.TemporaryDirectory() as name:  # not below tmp_path, which the user nobody cannot enter
        if os.getuid() == 0:
            os.chown(name, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            os.seteuid(os.getuid())
