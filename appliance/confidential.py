"""Recognises files that nobody gets over the network, by their name and by how they begin: pure and total.

images/ and tftp/ are for anybody. What openshift-install writes beside the files that
belong there contains the keys of the whole cluster, and is easily copied along. One rule: each
class is recognised by its name and by its content, because a copy or a hard link has another name.

Boot files must pass: kernels, initramfs and disk images are binary, and of those only
the beginning is looked at. Scripts, checksums and lists of files are text of no class.
"""

import re
import zlib
from functools import lru_cache

HEAD_BYTES = 4096  # of any file: a page, which is read from the disk as a whole
TEXT_BYTES = 64 << 10  # of a text: certificates may stand before the key, or before the password

_IGNITION = "an Ignition file"
_KUBECONFIG = "a kubeconfig"
_KUBEADMIN = "the password of kubeadmin"
_INSTALL_CONFIG = "an install-config"
_PULL = "a pull secret"
_KEY = "a private key"
_DATABASE = "a database, such as the state of the appliance"
_INSTALLER = "the state or the log of openshift-install"
_MANIFEST = "a manifest with secrets"
_DUMP = "a memory dump"
_TERRAFORM = "the state of Terraform"

# In each part of a path, in lower case. Backups keep the name and add to it; an ISO image into which an Ignition file
# was embedded may have the name of that file as well, and is a boot file.
_NAMES = (
    (re.compile(r"\.ign(?![a-z]|.*\.(iso|img)$)"), _IGNITION),
    (re.compile(r"(^|[^a-z])kubeconfig"), _KUBECONFIG),
    (re.compile(r"^kubeadmin[-_]?password"), _KUBEADMIN),
    (re.compile(r"^install-config"), _INSTALL_CONFIG),
    (re.compile(r"pull[-_]?secret"), _PULL),
    (re.compile(r"^\.?openshift_install"), _INSTALLER),
    (re.compile(r"^state\.db"), _DATABASE),
    (re.compile(r"^id_(rsa|dsa|ecdsa|ed25519)(?!.*\.pub$)|\.(p12|pfx|jks)$"), _KEY),
    (re.compile(r"\.tf(state|vars)"), _TERRAFORM),
)
# As openshift-install and oc name their initramfs; the second is that of 4.13. It is for the hosts that boot it.
_SEALED = re.compile(r"(?:^|[^a-z])(?:(?:agent|node)\.\w+-initrd|agent-initrd\.\w+)\.img(?![a-z0-9])")
_AUTH = "auth"  # openshift-install's directory of the kubeconfig and the password

_MAGICS = {
    b"SQLite format 3\0": _DATABASE,
    b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7": _DATABASE,  # its rollback journal
    b"\x37\x7f\x06\x82": _DATABASE,  # its write-ahead log, in either byte order
    b"\x37\x7f\x06\x83": _DATABASE,
    b"\xfe\xed\xfe\xed": _KEY,  # a Java key store
    b"PuTTY-User-Key-File": _KEY,
    b"KDUMP   ": _DUMP,
}
_ANY_MAGIC = tuple(_MAGICS)
# A SEQUENCE that begins with a version: PKCS #1 and #8 and EC keys, and PKCS #12, whose length
# may be left open, in BER. A certificate begins otherwise.
_DER_KEY = re.compile(rb"\x30(?:[\x00-\x80]|\x81.|\x82..|\x83...)\x02\x01[\x00-\x03]", re.DOTALL)
_PEM_KEY = re.compile(rb"----[- ]?BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY")
_AGE_KEY = b"AGE-SECRET-KEY-1"

# What a text is if it matches. A pattern takes milliseconds to search 64 KiB, so it runs only where one of its words,
# in lower case, is in the text. The keys of JSON objects may be in any order.
_TEXTS: tuple[tuple[tuple[bytes, ...], re.Pattern[bytes], str], ...] = (
    (
        (b'"ignition"', b'"storage"', b'"systemd"', b'"passwd"'),
        re.compile(
            rb'"ignition"\s*:\s*\{\s*("(version|config|security|timeouts|proxy)"|\})'
            rb'|"storage"\s*:\s*\{\s*"(files|directories|links|disks|raid|filesystems|luks)"'
            rb'|"systemd"\s*:\s*\{\s*"units"|"passwd"\s*:\s*\{\s*"(users|groups)"',
            re.IGNORECASE,  # as Go's JSON decoder
        ),
        _IGNITION,
    ),
    (
        (b"variant:",),
        re.compile(rb"^variant:\s*[\"']?(fcos|openshift|flatcar|r4e|fiot)\b", re.MULTILINE),
        "a Butane config",
    ),
    (
        (b"certificate-authority-data", b"client-key-data", b"client-certificate-data", b"current-context"),
        re.compile(rb"(certificate-authority-data|client-(key|certificate)-data|current-context)\"?\s*:"),
        _KUBECONFIG,
    ),
    ((b"clusters:",), re.compile(rb"^clusters:[ \t\r]*\n\s*- ", re.MULTILINE), _KUBECONFIG),
    (
        (b"kind",),
        re.compile(rb"^kind:\s*[\"']?Config[\"']?\s*$|\"kind\"\s*:\s*\"Config\"", re.MULTILINE),
        _KUBECONFIG,
    ),
    (
        (b"kind",),
        re.compile(
            rb"^[ \t-]*kind:\s*[\"']?(Secret|MachineConfig)[\"']?\s*$"
            rb'|"kind"\s*:\s*"(Secret|MachineConfig)"',
            re.MULTILINE,
        ),
        _MANIFEST,
    ),
    (
        (b"pullsecret:", b"additionaltrustbundle:", b"controlplane:", b"basedomain:"),
        re.compile(rb"^(pullSecret|additionalTrustBundle|controlPlane|baseDomain):", re.MULTILINE),
        _INSTALL_CONFIG,
    ),
    ((b'"auth',), re.compile(rb'"auths"\s*:\s*\{|"auth"\s*:\s*"[A-Za-z0-9+/=]{8,}"'), _PULL),
    ((b'"*',), re.compile(rb'^\s*\{\s*"\*[a-z]+\.[A-Z]\w*"\s*:'), _INSTALLER),
    ((b"openshift installer",), re.compile(rb'msg="?OpenShift Installer'), _INSTALLER),
    ((b'"terraform_version"',), re.compile(rb'"terraform_version"\s*:'), _TERRAFORM),
)
_KUBEADMIN_PASSWORD = re.compile(rb"\s*[A-Za-z0-9]{5}(-[A-Za-z0-9]{5}){3}\s*")

_GZIP = b"\x1f\x8b"
_ZIP = b"PK\x03\x04"
_UTF16 = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_UTF8_MARK = b"\xef\xbb\xbf"
_TAR_BLOCK = 512


@lru_cache(maxsize=1024)
def confidential_name(path: str) -> str:
    """Return what the file at *path* must be by its name or those of its directories; "" if it may be served."""
    parts = path.lower().split("/")
    if _AUTH in parts[:-1]:
        return f"a file of the directory {_AUTH}/"
    return next((what for part in parts for pattern, what in _NAMES if pattern.search(part)), "")


@lru_cache(maxsize=1024)
def is_sealed_name(path: str) -> bool:
    """Whether *path* is named as an initramfs with an Ignition configuration in it, or as a backup of one."""
    return _SEALED.search(path.rpartition("/")[2].lower()) is not None


def wants_more(head: bytes) -> bool:
    """Return whether a file that begins with *head*, its first HEAD_BYTES, is a text, to be judged by TEXT_BYTES."""
    return len(head) >= HEAD_BYTES and (b"\0" not in head or head[:2] in _UTF16)


def confidential_content(head: bytes) -> str:
    """Return what a file that begins with *head* is; "" if it may be served."""
    if head[:2] == _GZIP:
        return _of_plain(_unpacked(head))
    return _of_plain(head)


def _of_plain(head: bytes) -> str:
    if head.startswith(_ANY_MAGIC):
        return next(what for magic, what in _MAGICS.items() if head.startswith(magic))
    if _DER_KEY.match(head):
        return _KEY
    if _is_core_dump(head):
        return _DUMP
    if head[257:262] == b"ustar":
        return _of_tar(head)
    if head.startswith(_ZIP):
        size = int.from_bytes(head[26:28], "little")
        return _of_member(head[30 : 30 + size])
    if (encoding := _UTF16.get(head[:2])) is not None:
        head = head[2:].decode(encoding, "ignore").encode(errors="ignore")
    return "" if b"\0" in head else _of_text(head.removeprefix(_UTF8_MARK))


def _of_text(text: bytes) -> str:
    if (b"PRIVATE KEY" in text and _PEM_KEY.search(text)) or _AGE_KEY in text:
        return _KEY
    if _KUBEADMIN_PASSWORD.fullmatch(text):
        return _KUBEADMIN
    lower = text.lower()
    for words, pattern, what in _TEXTS:
        if any(word in lower for word in words) and pattern.search(text):
            return what
    return ""


def _is_core_dump(head: bytes) -> bool:
    # ET_CORE, in either byte order.
    return head.startswith(b"\x7fELF") and head[16:18] in (b"\4\0", b"\0\4")


def _unpacked(head: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=31).decompress(head, HEAD_BYTES)
    except zlib.error:
        return b""


def _of_tar(head: bytes) -> str:
    """Judge an archive by the names of those members whose headers are in *head*."""
    at = 0
    while at + _TAR_BLOCK <= len(head):
        if found := _of_member(head[at : at + 100].partition(b"\0")[0]):
            return found
        digits = head[at + 124 : at + 136].strip(b"\0 ")
        size = int(digits, 8) if re.fullmatch(rb"[0-7]{1,12}", digits) else 0
        at += _TAR_BLOCK + -(-size // _TAR_BLOCK) * _TAR_BLOCK
    return ""


def _of_member(name: bytes) -> str:
    found = confidential_name(name.decode(errors="replace"))
    return f"an archive with {found}" if found else ""
