"""The unit under a real systemd, in a virtual machine: only here would hardening that breaks the appliance show."""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm.payload import HERE, VIRTIO_MODULES, System, build_initramfs, newest_kernel
from tests.vm.processes import Output, StuckError
from tests.wheel import PROJECT, installed_wheel

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1200)]

BOOT_AND_PROBE_SECONDS = 900.0
MEMORY = "1024M"
KERNEL_ARGUMENTS = "console=ttyS0 quiet systemd.unit=probe.target systemd.show_status=no"
VIRTIOFSD = ("/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd")
ARTIFACTS = PROJECT / "tests" / "artifacts" / "vm"
CAP_NET_BIND_SERVICE, CAP_NET_RAW = 10, 13  # linux/capability.h


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The results of service/probe.sh, by name."""
    daemon = next(filter(shutil.which, VIRTIOFSD), None)
    if shutil.which("qemu-system-x86_64") is None or daemon is None:
        pytest.skip("qemu-system-x86_64 or virtiofsd is not here; install qemu-system-x86")
    if os.geteuid():
        pytest.skip("the machine shares this one's root file system, which only root can give it")
    directory = tmp_path_factory.mktemp("service")
    log = ARTIFACTS / "service.serial.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        # Listen before either side starts, so that neither has to wait for the other.
        listener.bind(f"{directory}/share")
        listener.listen()
        share = subprocess.Popen(
            [daemon, f"--fd={listener.fileno()}", "-o", "source=/", "-o", "sandbox=chroot", "-o", "cache=always"],
            pass_fds=(listener.fileno(),),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    machine = subprocess.Popen(
        _qemu(directory), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert machine.stdout is not None
    console = Output(machine.stdout, log)
    try:
        if not console.wait_for("probe: end: ok", BOOT_AND_PROBE_SECONDS):
            raise StuckError(f"the machine did not get through its probe:\n{console.tail}")
        yield dict(re.findall(r"^probe: ([\w-]+): (.*)$", console.text, re.MULTILINE))
    finally:
        machine.kill()
        machine.wait()
        console.close()
        share.kill()
        share.wait()


def _qemu(directory: Path) -> list[str | Path]:
    kernel = newest_kernel()
    initramfs = build_initramfs(
        directory / "initramfs.img",
        System.below(Path("/"), kernel),
        (*VIRTIO_MODULES, "fuse", "virtiofs", "overlay", "dummy"),
        {"init": HERE / "service" / "init.sh"},
    )
    return [
        "setpriv", "--pdeathsig", "KILL", "--",
        "qemu-system-x86_64", "-machine", "q35,accel=tcg,graphics=off,memory-backend=memory", "-smp", "2",
        "-m", MEMORY, "-object", f"memory-backend-memfd,id=memory,size={MEMORY},share=on",
        "-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio",
        "-chardev", f"socket,id=share,path={directory}/share",
        "-device", "vhost-user-fs-pci,chardev=share,tag=host",
        "-kernel", kernel, "-initrd", initramfs,
        "-append", f"{KERNEL_ARGUMENTS} probe.venv={installed_wheel()} probe.project={PROJECT}",
    ]  # fmt: skip


def test_service_starts(found: dict[str, str]) -> None:
    assert found["started"] == "active"


def test_service_reports_to_systemd_what_it_serves(found: dict[str, str]) -> None:
    assert found["status-text"].startswith("serving 7 hosts")


def test_service_runs_as_a_user_of_its_own(found: dict[str, str]) -> None:
    assert found["user"] == "ocp-appliance"


def test_service_has_no_other_capability(found: dict[str, str]) -> None:
    assert int(found["capabilities"], 16) == 1 << CAP_NET_BIND_SERVICE | 1 << CAP_NET_RAW


def test_service_runs_under_a_system_call_filter(found: dict[str, str]) -> None:
    assert (found["seccomp"], found["may-gain"]) == ("2", "1")


def test_service_answers_dns(found: dict[str, str]) -> None:
    assert found["dns"] == "172.16.0.21"


def test_service_answers_http(found: dict[str, str]) -> None:
    assert found["http"] == "HTTP/1.1 200 OK"


@pytest.mark.parametrize("port", ["53", "67", "69", "4011"])
def test_service_listens_on_udp_port(found: dict[str, str], port: str) -> None:
    assert port in found["udp"].split()


def test_root_reaches_the_control_socket(found: dict[str, str]) -> None:
    assert found["control"] == "0 7"


def test_service_keeps_its_state_in_the_state_directory(found: dict[str, str]) -> None:
    assert found["state"] == "1"


def test_others_do_not_see_the_state(found: dict[str, str]) -> None:
    assert found["state-of-others"].endswith("Permission denied")


def test_service_reads_what_root_put_there(found: dict[str, str]) -> None:
    assert found["ignition"] == "HTTP/1.1 200 OK"


def test_service_reloads(found: dict[str, str]) -> None:
    assert found["reloaded"] == "0 active"


def test_service_feeds_the_watchdog(found: dict[str, str]) -> None:
    assert found["after-watchdog"] == "active restarts=0"


def test_service_ends_in_peace(found: dict[str, str]) -> None:
    assert found["stopped"] == "success 0"


def test_haproxy_waits_for_its_configuration(found: dict[str, str]) -> None:
    assert found["balancer-at-first"] == "inactive"


def test_haproxy_is_started_once_it_is_configured(found: dict[str, str]) -> None:
    assert (found["balancer-started"], found["balancer-trouble"]) == ("active", "1")


def test_haproxy_runs_as_a_user_of_its_own(found: dict[str, str]) -> None:
    assert found["balancer-user"] == "ocp-appliance-haproxy ocp-appliance-haproxy"


def test_haproxy_has_no_other_capability(found: dict[str, str]) -> None:
    assert (int(found["balancer-capabilities"], 16), found["balancer-seccomp"]) == (1 << CAP_NET_BIND_SERVICE, "2")


def test_haproxy_listens_at_the_vips_beside_the_appliance(found: dict[str, str]) -> None:
    assert found["balancer-listens"].split() == [
        "172.16.0.110:22623", "172.16.0.110:6443", "172.16.0.111:443", "172.16.0.111:6443", "172.16.0.111:80"
    ]  # fmt: skip


def test_files_of_haproxy_are_for_both_services_alone(found: dict[str, str]) -> None:
    group = "ocp-appliance-haproxy"
    assert found["balancer-files"] == f"640 {group} 660 {group}"
    assert found["balancer-files-of-others"].endswith("Permission denied")


@pytest.mark.parametrize("what", ["restart", "kill"])
def test_haproxy_survives_of_the_appliance(found: dict[str, str], what: str) -> None:
    assert found[f"balancer-after-{what}"] == "active 1"


def test_order_of_the_operator_reaches_haproxy(found: dict[str, str]) -> None:
    assert found["balancer-ordered"].strip() == "MAINT"


def test_new_host_reaches_haproxy_by_a_reload(found: dict[str, str]) -> None:
    assert found["balancer-reloaded"] == "2 same"


def test_restarted_haproxy_has_the_same_members(found: dict[str, str]) -> None:
    assert found["balancer-restarted"].strip() == "0 MAINT"


def test_haproxy_stays_when_the_appliance_is_stopped(found: dict[str, str]) -> None:
    assert found["balancer-alone"] == "active"
