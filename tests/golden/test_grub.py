"""Every configuration of GRUB as it is sent, byte for byte. APPLIANCE_GOLDEN=write writes the files again."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.boot import grub, ipxe
from appliance.model import Arch, Cluster
from tests.clusters import reference_cluster
from tests.golden.test_ipxe import STATIC, high_port, live, named
from tests.packages import why_missing

GOLDEN = Path(__file__).parent / "grub"
MISSING = why_missing("grub-script-check")
checked_by_grub = pytest.mark.skipif(bool(MISSING), reason=MISSING)


def install(cluster: Cluster, name: str, **changes: object) -> str:
    return grub.install_script(cluster, named(cluster, name, **changes))


def local(arch: Arch) -> str:
    cluster = reference_cluster()
    return grub.local_script(cluster, named(cluster, "m1", arch=arch))


def wait(why: str, *, renews: bool = False) -> str:
    cluster = reference_cluster()
    return grub.wait_script(cluster, named(cluster, "m1"), why, renews=renews)


def checker_says(text: str) -> tuple[int, str]:
    """Return the status and the complaints of GRUB's own checker of its language."""
    done = subprocess.run(["grub-script-check"], input=text, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


SCRIPTS: dict[str, Callable[[], str]] = {
    "start": lambda: grub.start(reference_cluster()),
    "start-other-port": lambda: grub.start(high_port(), IPv4Address("172.16.0.21")),
    "legacy": lambda: install(reference_cluster(), "m1"),
    "live": lambda: install(live(), "m1"),
    "live-static": lambda: install(live(), "w1", network_arguments=STATIC),
    "live-quoted": lambda: install(live(), "w1", kernel_arguments=('a="one two" b=$c;d', "e='f'", "g={h}&#<")),
    "live-menu": lambda: install(replace(live(), known_menu_seconds=5), "m1"),
    "lacks-image": lambda: install(live(), "m1", arch=Arch.AARCH64),
    "local": lambda: local(Arch.X86_64),
    "local-arm64": lambda: local(Arch.AARCH64),
    "hold": lambda: wait("held, until ocp-appliance release m1"),
    "renew": lambda: wait("it has to ask for its address by DHCP", renews=True),
    "unknown": lambda: grub.unknown(reference_cluster(menu_seconds=0)),
    "unknown-leaves": lambda: grub.unknown(reference_cluster(menu_seconds=60)),
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_configuration_is_as_kept(name: str) -> None:
    kept, script = GOLDEN / f"{name}.cfg", SCRIPTS[name]()
    if os.environ.get("APPLIANCE_GOLDEN") == "write":
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(script)
    assert script == kept.read_text()


def test_every_kept_configuration_is_compared() -> None:
    assert {path.stem for path in GOLDEN.glob("*.cfg")} == set(SCRIPTS)


@checked_by_grub
@pytest.mark.parametrize("name", SCRIPTS)
def test_grub_s_own_checker_accepts_each_configuration(name: str) -> None:
    assert checker_says(SCRIPTS[name]()) == (0, "")


@checked_by_grub
def test_checker_refuses_a_configuration_that_is_cut_off() -> None:
    cut = SCRIPTS["start"]().partition("done")[0]
    assert checker_says(cut)[0] != 0


def test_install_configuration_has_the_token_once() -> None:
    assert SCRIPTS["live"]().count(ipxe.MARK) == 1
