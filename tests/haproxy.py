"""HAProxy, the program, of this system and of other releases: what it says of a configuration."""

import platform
import subprocess
from pathlib import Path

import pytest

from appliance.balancer import versions
from appliance.balancer.versions import Version
from tests.packages import why_missing
from tests.vm.parts import unpacked

MISSING = why_missing("haproxy")
INSTALLED = ("haproxy",)

_OPENSSL_1 = "libgcrypt20 libgpg-error0 liblua5.3-0 liblz4-1 liblzma5 libssl1.1 libsystemd0 zlib1g"
_OPENTRACING = (
    "libcrypt1 libgcc-s1 libjemalloc2 liblua5.4-0 libopentracing-c-wrapper0t64 libopentracing1 libpcre2-8-0 libssl3t64 "
    "libstdc++6 libzstd1 zlib1g"
)
# The releases that have another version of HAProxy, and the packages of the libraries that it is linked against.
RELEASES = {
    "bionic": f"libc6 {_OPENSSL_1} libpcre3",  # 1.8, as RHEL 8
    "bullseye": f"libc6 {_OPENSSL_1} libcrypt1 libgcc-s1 libpcre2-8-0 libzstd1",  # 2.2
    # 2.4, as RHEL 9
    "jammy": "libc6 libcap2 libcrypt1 libgcrypt20 libgpg-error0 liblua5.3-0 liblz4-1 liblzma5 libpcre2-8-0 libssl3 "
    "libsystemd0 libzstd1",
    "trixie": f"libc6 {_OPENTRACING}",  # 3.0
    "sid": f"libc6 {_OPENTRACING}",  # 3.2 or later
}


def of_release(release: str) -> tuple[str, ...]:
    """Return the command that runs the HAProxy of *release*, which is not installed; skip the test without it."""
    if platform.machine() != "x86_64":
        pytest.skip("the packages of other releases that this test knows are for x86_64")
    libraries = [unpacked(release, package) for package in RELEASES[release].split()]
    directories = dict.fromkeys(path.parent for library in libraries for path in library.rglob("*.so*"))
    loader = next(libraries[0].rglob("ld-linux-x86-64.so.2"))
    program = unpacked(release, "haproxy") / "usr/sbin/haproxy"
    return (str(loader), "--library-path", ":".join(map(str, directories)), str(program))


def version_of(command: tuple[str, ...]) -> Version:
    """Return the version that the HAProxy of *command* prints."""
    done = subprocess.run([*command, "-v"], capture_output=True, text=True, check=True)
    return versions.of_banner(done.stdout)


def judgement(text: str, directory: Path, command: tuple[str, ...] = INSTALLED) -> str:
    """Return all warnings and errors of HAProxy about the configuration *text*; "" if it accepts it without any."""
    path = directory / "haproxy.cfg"
    path.write_text(text)
    done = subprocess.run([*command, "-c", "-f", path], capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    # Up to 2.8 it says so on success, too.
    is_accepted = done.returncode == 0 and "WARNING" not in said
    return "" if is_accepted else said or f"exit code {done.returncode}"
