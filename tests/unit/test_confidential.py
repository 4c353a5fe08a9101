"""Which files nobody gets, by name and by content; and that boot files are not among them."""

import gzip
import io
import json
import sqlite3
import struct
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from appliance.confidential import HEAD_BYTES, TEXT_BYTES, confidential_content, confidential_name, wants_more
from tests.clusters import reference_cluster

IGNITION = json.dumps({"ignition": {"version": "3.2.0"}, "storage": {"files": [{"path": "/x"}]}}).encode()
KUBECONFIG = b"clusters:\n- cluster:\n    certificate-authority-data: LS0t\n    server: https://api:6443\n"
INSTALL_CONFIG = b"additionalTrustBundle: |\n  x\napiVersion: v1\nbaseDomain: example.com\npullSecret: x\n"
PULL_SECRET = b'{"auths":{"quay.io":{"auth":"b3BlbnNoaWZ0","email":"a@b"}}}'


def key_as(encoding: serialization.Encoding, form: serialization.PrivateFormat, *, is_rsa: bool = False) -> bytes:
    key = rsa.generate_private_key(65537, 2048) if is_rsa else ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(encoding, form, serialization.NoEncryption())


def archive_of(*names: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name))
    return buffer.getvalue()


def zipped(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, "x")
    return buffer.getvalue()


PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
PKCS8, OLD, SSH = (
    serialization.PrivateFormat.PKCS8,
    serialization.PrivateFormat.TraditionalOpenSSL,
    serialization.PrivateFormat.OpenSSH,
)
CONFIDENTIAL: dict[str, bytes] = {
    "ignition": IGNITION,
    "ignition, indented": json.dumps(json.loads(IGNITION), indent=2).encode(),
    "ignition, keys in another order": b'{"storage": {"files": []}, "ignition": {"version": "3.2.0"}}',
    "ignition, as windows writes it": b"\xff\xfe" + IGNITION.decode().encode("utf-16-le"),
    "ignition, with a byte order mark": b"\xef\xbb\xbf" + IGNITION,
    "ignition, compressed": gzip.compress(IGNITION),
    "ignition of spec 2": b'{"ignition":{"config":{},"version":"2.2.0"}}',
    "ignition, pointer": b'{"ignition":{"config":{"merge":[{"source":"https://api-int:22623/config/master"}]}}}',
    "butane": b"# comment\nvariant: openshift\nversion: 4.16.0\n",
    "kubeconfig": KUBECONFIG,
    "kubeconfig in JSON": b'{"apiVersion":"v1","kind":"Config","users":[]}',
    "kubeconfig with a token": b"apiVersion: v1\nkind: Config\nusers:\n- name: a\n  user: {token: b}\n",
    "kubeconfig of oc": b"apiVersion: v1\ncontexts: []\ncurrent-context: admin\n",
    "kubeadmin-password": b"aBcDe-12345-fGhIj-67890",
    "kubeadmin-password with a line end": b"aBcDe-12345-fGhIj-67890\n",
    "install-config": INSTALL_CONFIG,
    "pull secret": PULL_SECRET,
    "pull secret, indented": json.dumps(json.loads(PULL_SECRET), indent=4).encode(),
    "pull secret of an old docker": b'{"quay.io": {"auth": "b3BlbnNoaWZ0"}}',
    "key, PKCS #8": key_as(PEM, PKCS8),
    "key, EC": key_as(PEM, OLD),
    "key, RSA": key_as(PEM, OLD, is_rsa=True),
    "key, OpenSSH": key_as(PEM, SSH),
    "key after a certificate": b"-----BEGIN CERTIFICATE-----\n" + b"A" * 8000 + b"\n" + key_as(PEM, PKCS8),
    "key, PKCS #8 in DER": key_as(DER, PKCS8),
    "key, RSA in DER": key_as(DER, OLD, is_rsa=True),
    "key, EC in DER": key_as(DER, OLD),
    "key, PKCS #12": b"\x30\x82\x09\x00\x02\x01\x03\x30" + bytes(range(256)),
    "key, PKCS #12 in BER": b"\x30\x80\x02\x01\x03\x30\x80" + bytes(range(256)),
    "key of age": b"# created: 2026\nAGE-SECRET-KEY-1QQQ\n",
    "key, PGP": b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n",
    "key, encrypted": b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n",
    "Kubernetes Secret": b"apiVersion: v1\nkind: Secret\ndata: {}\n",
    "MachineConfig": b"kind: MachineConfig\nspec:\n  config:\n    ignition: {}\n",
    "state of openshift-install": b'{\n  "*bootstrap.Bootstrap": {}\n}',
    "log of openshift-install": b'time="2026-01-01T00:00:00Z" level=debug msg="OpenShift Installer 4.16.3"\n',
    "state of Terraform": b'{"version": 4, "terraform_version": "1.0.11"}',
    "archive": archive_of("cluster", "cluster/auth/kubeconfig"),
    "archive, compressed": gzip.compress(archive_of("bootstrap.ign")),
    "zip": zipped("auth/kubeconfig"),
    "memory dump": b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 4, 62) + bytes(4000),
}

KERNEL = b"MZ\xea\x07\x00\xc0\x07" + bytes(505) + b"\x55\xaaHdrS" + bytes(4000)
PUBLIC: dict[str, bytes] = {
    "empty": b"",
    "kernel": KERNEL,
    "kernel of aarch64": gzip.compress(KERNEL),
    "initramfs": b"070701" + b"0" * 104 + b"early_cpio\0" + bytes(4000),
    "initramfs, zstd": b"\x28\xb5\x2f\xfd" + bytes(range(256)) * 16,
    "initramfs with an Ignition file for the live system": b"070701" + b"0" * 104 + b"config.ign\0" + IGNITION,
    "squashfs": b"hsqs" + bytes(4092),
    "disk image": b"\xeb\x63\x90" + bytes(4093),
    "disk image, compressed": gzip.compress(b"\xeb\x63\x90" + bytes(100_000)),
    "disk image, cut off": gzip.compress(b"\xeb\x63\x90" + bytes(100_000))[:30],
    "ISO 9660": bytes(TEXT_BYTES),
    "EFI": b"MZ" + bytes(58) + b"\x80\0\0\0" + bytes(64) + b"PE\0\0" + bytes(4000),
    "GRUB module": b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HH", 1, 62) + bytes(4000),
    "grub.cfg": b"set timeout=1\nmenuentry 'RHCOS' { linux /vmlinuz ignition.config.url=http://a/b }\n",
    "pxelinux.cfg": b"DEFAULT pxeboot\nLABEL pxeboot\n  APPEND initrd=i coreos.inst.ignition_url=http://a/worker.ign\n",
    "iPXE script": b"#!ipxe\nkernel http://a/k initrd=i\ninitrd http://a/i || goto failed\nboot\n",
    "treeinfo": b"[general]\narch = x86_64\nkernel = images/pxeboot/vmlinuz\n[checksums]\nx = sha256:00\n",
    "sha256sum.txt": b"0" * 64 + b"  rhcos-4.16.3-x86_64-live-kernel-x86_64\n",
    "signature": b"\x89\x02\x33\x04\x00\x01" + bytes(range(256)),
    "signature in ASCII": b"-----BEGIN PGP SIGNATURE-----\n\niQ==\n",
    "certificate": b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
    "public key": b"-----BEGIN PUBLIC KEY-----\nMFkw\n",
    "certificate in DER": b"\x30\x82\x03\x00\x30\x82\x02\x00" + bytes(range(256)),
    "stream metadata": b'{"stream": "rhcos", "metadata": {"last-modified": "x"}, "architectures": {"x86_64": {}}}',
    "kickstart": b"text\nrootpw --lock\n%packages\n%end\n",
    "archive": archive_of("images", "images/vmlinuz"),
    "words": b"how to write an Ignition file, a kubeconfig and a pull secret\n",
    "words about keys": b"install-config.yaml has a pullSecret; keep the PRIVATE KEY private\n",
    "CRLF": b"line\r\nline\r\n",
}


@pytest.mark.parametrize("name", CONFIDENTIAL)
def test_secret_is_recognised_by_its_content(name: str) -> None:
    content = CONFIDENTIAL[name]
    assert confidential_content(content[:TEXT_BYTES])
    assert len(content) <= HEAD_BYTES or wants_more(content[:HEAD_BYTES]) or confidential_content(content[:HEAD_BYTES])


@pytest.mark.parametrize("name", PUBLIC)
def test_boot_file_is_not_recognised(name: str) -> None:
    assert confidential_content(PUBLIC[name]) == ""


def test_database_is_recognised_with_what_lies_beside_it(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "x")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE a(b)")
    told = {path.name: confidential_content(path.read_bytes()[:HEAD_BYTES]) for path in tmp_path.iterdir()}
    assert told["x"]
    assert told["x-wal"]


@pytest.mark.parametrize(
    "name",
    [
        "bootstrap.ign",
        "bootstrap.ign.bak",
        "BOOTSTRAP.IGN~",
        "old/master.ign-2026",
        "worker.ign.gz",
        "worker.ign.1",
        "worker.ign.iso.bak",
        "kubeconfig",
        "kubeconfig-noingress",
        "prod.kubeconfig",
        "auth/anything",
        "cluster/auth/x",
        "kubeadmin-password",
        "kubeadmin-password.txt",
        "install-config.yaml",
        "install-config.yaml.bak",
        "pull-secret",
        "pull-secret.json",
        "my_pull_secret.txt",
        ".openshift_install.log",
        ".openshift_install_state.json",
        "state.db",
        "state.db-wal",
        "state.db.damaged-1",
        "id_rsa",
        "id_ed25519.bak",
        "server.p12",
        "terraform.tfstate.backup",
    ],
)
def test_secret_is_recognised_by_its_name(name: str) -> None:
    assert confidential_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "rhcos-4.5.6-x86_64-metal.x86_64.raw.gz",
        "rhcos-4.5.6-x86_64-metal.x86_64.raw.gz.sig",
        "rhcos-live-kernel-x86_64",
        "fedora-coreos-40.ignition-live.iso",
        "host.ign.iso",
        "host.ign-live.x86_64.img",
        "efi/ipxe.efi",
        "efi/grub.cfg",
        "core.img",
        "design.txt",
        "author/boot.img",
        "auth",
        "ca.pem",
        "id_rsa.pub",
        "autoexec.ipxe",
        "",
    ],
)
def test_name_of_a_boot_file_is_not_recognised(name: str) -> None:
    assert confidential_name(name) == ""


def test_no_image_of_a_cluster_is_recognised_by_its_name() -> None:
    images = reference_cluster().images.values()
    names = [image.name for each in images for image in (each.kernel, each.initramfs, each.metal) if image]
    assert [name for name in names if confidential_name(name)] == []


BEGINNINGS = st.sampled_from([*CONFIDENTIAL.values(), *PUBLIC.values(), b"PK\3\4", b"\x1f\x8b\x08", b"\xff\xfe", b"0"])


@given(st.binary(max_size=700), BEGINNINGS, st.integers(0, 700))
def test_every_content_is_judged(content: bytes, beginning: bytes, kept: int) -> None:
    for head in (content, beginning[:kept] + content, content[:kept] + beginning):
        assert isinstance(confidential_content(head), str)
        assert isinstance(wants_more(head), bool)


@given(st.text())
def test_every_name_is_judged(name: str) -> None:
    assert isinstance(confidential_name(name), str)


@pytest.mark.parametrize("unit", [b"a", b" ", b"\n", b"-", b'{"', b'"storage" ', b"kind : ", b"A-", b"- \n", b"ustar"])
@pytest.mark.parametrize("beginning", [b"", b"clusters:", b"kind:", b"variant:", b"{", b'"auth":"'])
def test_no_text_takes_long(beginning: bytes, unit: bytes) -> None:
    text = (beginning + unit * TEXT_BYTES)[:TEXT_BYTES]
    started = time.process_time()
    confidential_content(text)
    assert time.process_time() - started < 0.5
