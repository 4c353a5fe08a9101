"""A cluster.yaml without a flaw and the files that it names, to put flaws into."""

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


def make_data_dir(root: Path) -> Path:
    """Return a data directory below *root* that holds everything that CLEAN names."""
    files = [f"images/{name}" for name in IMAGES]
    files += [f"ignition/{role}.ign" for role in ("bootstrap", "master", "worker")]
    files += ["tftp/efi/ipxe.efi", "tftp/undionly.kpxe", "tftp/efi/snponly.efi", "tftp/arm64-efi/snponly.efi"]
    for name in files:
        path = root / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('{"ignition": {"version": "3.2.0"}}')
    return root / "data"


def edited(*changes: tuple[str, str], text: str = CLEAN) -> str:
    """Return *text* with each of *changes*, a passage and its replacement, made once."""
    for passage, replacement in changes:
        if text.count(passage) < 1:
            raise ValueError(f"{passage!r} is not in the text")
        text = text.replace(passage, replacement, 1)
    return text


def check_text(root: Path, text: str, now: float = 0.0) -> Checked:
    """Return what comes of *text* as a file in *root*, everything that CLEAN names being there."""
    path = root / "cluster.yaml"
    path.write_text(text)
    return config.check([path], make_data_dir(root), now)


def told(root: Path, text: str, now: float = 0.0) -> list[str]:
    """Return the problems of *text* as they are printed, from the line number on."""
    return [line.removeprefix("cluster.yaml:") for line in spelled(root, check_text(root, text, now))]


def spelled(root: Path, checked: Checked) -> list[str]:
    """Return the problems as they are printed, with the place of the test left out."""
    return [str(problem).replace(f"{root}/", "") for problem in checked.problems]


def check_texts(root: Path, texts: Sequence[str]) -> list[str]:
    """Return the problems of several files a.yaml, b.yaml … of one appliance."""
    paths = [root / f"{chr(97 + index)}.yaml" for index in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    return spelled(root, config.check(paths, None, 0.0))


def with_host(*changes: tuple[str, str]) -> str:
    """Return the clean file with one more worker, which begins on line 38, after *changes* to it."""
    return edited(("dns:\n", edited(*changes, text=HOST) + "dns:\n"))


def with_dns(lines: str) -> str:
    """Return the clean file with *lines* below dns, the first of them on line 40."""
    return f"{CLEAN}{lines}"


def flaw_id(value: str) -> str:
    """Return the name of a case: what is told, not the file."""
    return "file" if "\n" in value else re.sub(r"\W+", "-", value[:60])


def bootstrap_ign(dies_at: datetime) -> str:
    """Return a bootstrap.ign whose certificate dies at *dies_at*."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, dies_at - timedelta(days=1), dies_at)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    url = f"data:text/plain;charset=utf-8;base64,{base64.b64encode(pem).decode()}"
    file = {"path": "/opt/openshift/tls/kubelet-signer.crt", "contents": {"source": url}}
    return json.dumps({"ignition": {"version": "3.2.0"}, "storage": {"files": [file]}})


@contextmanager
def nobodys_directory() -> Iterator[Path]:
    """Yield a new directory, as a user whom file modes bind: root reads everything, and becomes nobody meanwhile."""
    with tempfile.TemporaryDirectory() as name:  # not below tmp_path, which nobody may enter
        if os.getuid() == 0:
            os.chown(name, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            os.seteuid(os.getuid())
