"""Packages of other releases and architectures: downloaded once and unpacked into a cache, never installed.

apt gets a configuration of its own for each release and architecture, with its own
lists, so that nothing is mixed into the system. It checks the signature of the
release and with it the checksum of each package. Without Debian's mirror the tests
that need a package are skipped.
"""

import fcntl
import os
import platform
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "ocp-appliance-tests")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# Releases of Ubuntu, which have versions of programs that no release of Debian on its mirrors has. A package of Debian
# brings the keys that sign them.
UBUNTU = ("bionic", "jammy")
UBUNTU_MIRROR = "http://archive.ubuntu.com/ubuntu"
UBUNTU_KEYRING = ("trixie", "ubuntu-keyring", "usr/share/keyrings/ubuntu-archive-keyring.gpg")
# A mirror that does not answer must not hold up the tests.
APT_SECONDS = 180
APT_CONF = """\
Dir::Etc::sourcelist "{home}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State "{home}";
Dir::State::status "/dev/null";
Dir::Cache "{home}/cache";
APT::Architecture "{arch}";
APT::Architectures {{ "{arch}"; }};
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "1";
Acquire::http::Timeout "15";
Acquire::https::Timeout "15";
"""

_unavailable: dict[str, str] = {}  # why a release cannot be had, so that each is tried once per run


class UnavailableError(Exception):
    """A package cannot be downloaded here; the text says why."""


def unpacked(release: str, package: str, arch: str = "amd64") -> Path:
    """Return the directory with the files of *package* of a Debian or Ubuntu *release*; skip the test without it.

    Of a package without files of its own, such as linux-image-cloud-arm64, it has the files of its first dependency.
    """
    home = CACHE / f"{release}-{arch}"
    target = home / "packages" / package
    if target.is_dir():
        return target
    if home.name not in _unavailable:
        try:
            with _alone(home):
                if not target.is_dir():
                    _fetch(home, release, package, arch)
        except UnavailableError as error:
            _unavailable[home.name] = str(error)
        else:
            return target
    system = "Ubuntu" if release in UBUNTU else "Debian"
    pytest.skip(f"{package} of {system} {release} ({arch}) cannot be downloaded: {_unavailable[home.name]}")


def signed_loaders(suffix: str, release: str = "bookworm", *, network: bool = False) -> tuple[Path, Path]:
    """Return shim and GRUB of a Debian *release*, signed, for x64 or aa64 (*suffix*, as in UEFI's file names).

    GRUB is the build for disks, or that for the *network*. The netboot packages of Debian's installer have the same
    shim, byte for byte, and a GRUB that differs only in the directory where it looks for grub.cfg.
    """
    arch, platform_name = {"x64": ("amd64", "x86_64-efi"), "aa64": ("arm64", "arm64-efi")}[suffix]
    shim = unpacked(release, "shim-signed", arch) / f"usr/lib/shim/shim{suffix}.efi.signed"
    grub = unpacked(release, f"grub-efi-{arch}-signed", arch) / f"usr/lib/grub/{platform_name}-signed"
    return shim, grub / f"grub{'net' if network else ''}{suffix}.efi.signed"


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Keep other processes from fetching into *home* during the block."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _fetch(home: Path, release: str, package: str, arch: str) -> None:
    """Unpack *package* into the cache. Raises UnavailableError."""
    if not (home / "ready").exists():
        _prepare(home, release, arch)
    name = package
    if package.startswith("linux-image-"):
        depends = _apt(home, "apt-cache", "depends", "--important", package)
        name = next((line.split()[-1] for line in depends.splitlines() if "Depends:" in line), package)
    (home / "packages").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home) as temporary:
        downloads, root = Path(temporary, "downloads"), Path(temporary, "root")
        downloads.mkdir()
        _apt(home, "apt-get", "download", "--quiet", name, cwd=downloads)
        for archive in downloads.glob("*.deb"):
            _run(["dpkg-deb", "--extract", archive, root])
        # Only a complete directory gets the name that `unpacked` looks for.
        root.rename(home / "packages" / package)


def _prepare(home: Path, release: str, arch: str) -> None:
    """Download the package lists of *release*. Raises UnavailableError."""
    for directory in ("lists/partial", "cache/archives/partial"):
        (home / directory).mkdir(parents=True, exist_ok=True)
    (home / "apt.conf").write_text(APT_CONF.format(home=home, arch=arch))
    keyring, mirror = _of_ubuntu() if release in UBUNTU else (KEYRING, _mirror())
    (home / "sources.list").write_text(f"deb [signed-by={keyring}] {mirror} {release} main\n")
    _apt(home, "apt-get", "update", "--error-on=any")
    (home / "ready").touch()


def _of_ubuntu() -> tuple[Path, str]:
    release, package, path = UBUNTU_KEYRING
    return unpacked(release, package) / path, UBUNTU_MIRROR


def _mirror() -> str:
    """Return the URL of the Debian mirror that this system uses. Raises UnavailableError."""
    try:
        system = platform.freedesktop_os_release()
    except OSError:
        system = {}
    if system.get("ID") != "debian":
        raise UnavailableError("this system is not Debian, so that apt has no mirror and no keys of Debian")
    targets = _run(["apt-get", "indextargets", "--format", "$(RELEASE) $(COMPONENT) $(REPO_URI)"])
    for line in targets.splitlines():
        found, component, url = line.split()
        if (found, component) == (system.get("VERSION_CODENAME"), "main"):
            return url
    raise UnavailableError("apt has no mirror with Debian's component main")


def _apt(home: Path, *words: str | Path, cwd: Path | None = None) -> str:
    return _run(words, cwd=cwd, APT_CONFIG=str(home / "apt.conf"))


def _run(words: list[str | Path] | tuple[str | Path, ...], cwd: Path | None = None, **environment: str) -> str:
    """Return the output of *words*. Raises UnavailableError."""
    try:
        done = subprocess.run(
            words,
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C", **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=APT_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise UnavailableError(f"{words[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"{words[0]} was not done after {APT_SECONDS} s; is the mirror reachable?") from error
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise UnavailableError(f"{words[0]} failed: {last}")
    return done.stdout
