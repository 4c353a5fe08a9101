"""Each boot loop has a condition with a hint, and a machine that makes progress has none."""

from dataclasses import replace

import pytest

from appliance.boot.architectures import architecture_of
from appliance.boot.chains import loader_file
from appliance.events import (
    ConditionRaised,
    DhcpDeclined,
    FileUnservable,
    Ordered,
    Program,
    TftpFailed,
    WebKind,
    WebRefused,
    WebStarted,
)
from appliance.install.conditions import LOADER_HINT, NO_SCRIPT_HINT, SILENCE_HINTS, TRY_HINTS
from appliance.install.installation import Order, Stage
from appliance.model import Arch, Loader


def tftp_failure(boot, path="efi/ipxe.efi"):
    return TftpFailed(boot.host, boot.address, path, "the client went silent")


# Seconds between two events: slow enough that a machine that comes back is known to have been reset.
BETWEEN = 3.0
LOOPS = {
    "unheard": lambda m1: m1.dhcp(Program.PXE)[:1] * 8,
    "no-loader": lambda m1: m1.dhcp(Program.PXE) * 4,
    "loader-loop": lambda m1: [*m1.dhcp(Program.PXE), *m1.loader()] * 3,
    "loader-stalled": lambda m1: [*m1.dhcp(Program.PXE), *[tftp_failure(m1)] * 3],
    "no-script": lambda m1: [*m1.dhcp(Program.PXE), *m1.loader(), *m1.dhcp(Program.IPXE) * 4],
    "script-loop": lambda m1: [*m1.to_script(), *[m1.started(WebKind.SCRIPT)] * 6],
    "download-stalled": lambda m1: [
        *m1.to_script(),
        *[m1.started(WebKind.KERNEL), m1.broken(WebKind.KERNEL)] * 3,
    ],
    "boot-loop": lambda m1: [*m1.to_initramfs() * 3, *m1.dhcp(Program.PXE), *m1.loader()],
    "file-missing": lambda m1: [
        *m1.to_script(),
        WebRefused(m1.host, m1.address, "/kernel", WebKind.KERNEL, 404, "not found"),
    ],
    "ignition-refused": lambda m1: [
        *m1.to_initramfs(),
        WebRefused(m1.host, m1.address, "/ignition/…/master.ign", WebKind.IGNITION, 403, "no"),
    ],
    "ignition-waits": lambda m1: [
        *m1.to_initramfs(),
        WebRefused(m1.host, m1.address, "/ignition/…/master.ign", WebKind.IGNITION, 503, "expired"),
    ],
    "address-conflict": lambda m1: [*m1.dhcp(Program.PXE), DhcpDeclined(m1.host, m1.mac, m1.address)],
}


@pytest.mark.parametrize("by", ["tftp", "http"])
def test_missing_boot_file_is_reported_with_its_package(live, by):
    m1 = live.boot(1)
    refused = {
        "tftp": TftpFailed(m1.host, m1.address, "efi/ipxe.efi", "not-found"),
        "http": WebRefused(m1.host, m1.address, "/efi/ipxe.efi", WebKind.OTHER, 404, "not found"),
    }
    live.happen([*m1.dhcp(Program.PXE), refused[by]])
    assert live[m1].condition.name == "file-missing"
    assert "efi/ipxe.efi is missing or not readable. To add it: apt install ipxe" in live[m1].condition.hint
    live.happen(m1.loader())
    assert live[m1].condition is None


@pytest.mark.parametrize("by", ["tftp", "http"])
def test_boot_file_that_looks_like_a_secret_is_reported_as_such_and_without_a_package(live, by):
    m1 = live.boot(1)
    why = "/srv/tftp/efi/ipxe.efi looks like a private key, which is never served; remove it from there"
    refused = {
        "tftp": TftpFailed(m1.host, m1.address, "efi/ipxe.efi", "confidential"),
        "http": WebRefused(m1.host, m1.address, "/efi/ipxe.efi", WebKind.OTHER, 403, why),
    }
    live.happen([*m1.dhcp(Program.PXE), refused[by]])
    assert live[m1].condition.name == "file-missing"
    assert "The boot file efi/ipxe.efi cannot be served: " in live[m1].condition.hint
    assert {"tftp": "`ocp-appliance validate` says which", "http": why}[by] in live[m1].condition.hint


@pytest.mark.parametrize("seen", ["nothing", "menu"])
def test_host_whose_script_is_held_back_for_a_file_has_that_condition(live, seen):
    m1 = live.boot(1)
    live.happen([] if seen == "nothing" else m1.to_script())
    wait = WebStarted(m1.host, m1.address, "/ipxe/m1.ipxe", WebKind.LACKING, 0, 300)
    live.happen([FileUnservable(m1.host, "/srv/images/rootfs", "not found"), wait])
    assert live[m1].condition.name == "file-missing"
    assert "/srv/images/rootfs cannot be served: not found" in live[m1].condition.hint
    assert not live[m1].is_told_to_wait  # which means: for the machine config server


def test_host_that_waits_for_something_else_has_its_files(live):
    m1 = live.boot(1)
    live.happen(m1.to_script())
    live.happen([FileUnservable(m1.host, "/srv/images/rootfs", "not found"), *m1.get(WebKind.LACKING)])
    live.happen(m1.get(WebKind.WAIT))
    assert (live[m1].condition, live[m1].is_told_to_wait) == (None, True)


def test_script_that_is_held_back_no_longer_ends_the_condition(live):
    m1 = live.boot(1)
    live.happen(m1.to_script())
    live.happen(FileUnservable(m1.host, "/srv/images/rootfs", "not found"))
    live.happen(m1.get(WebKind.KERNEL))
    assert live[m1].condition is None


def test_requests_that_are_none_are_no_lost_blocks(live):
    m1 = live.boot(1)
    live.happen([*m1.dhcp(Program.PXE), *[TftpFailed(m1.host, m1.address, "", "malformed")] * 5])
    assert live[m1].condition is None


def test_flood_of_declines_raises_its_condition_once_and_changes_nothing_more(live):
    m1 = live.boot(1)
    live.happen([*m1.dhcp(Program.PXE), DhcpDeclined(m1.host, m1.mac, m1.address)])
    first = live[m1]
    live.happen([DhcpDeclined(m1.host, m1.mac, m1.address)] * 1000, seconds=0.01)
    assert live[m1] is first
    assert [event.name for event in live.of(ConditionRaised)] == ["address-conflict"]


@pytest.mark.parametrize("hint", [LOADER_HINT, NO_SCRIPT_HINT, SILENCE_HINTS[Stage.LOADER]])
def test_hint_that_names_a_loader_of_uefi_names_that_of_bios_too(hint):
    """A BIOS has no `ipxe-snp`: with that it gets no boot file at all."""
    bios = architecture_of((0,))
    assert loader_file(Loader.IPXE_SNP, Program.PXE, bios, Arch.X86_64) is None
    assert loader_file(Loader.UNDIONLY, Program.PXE, bios, Arch.X86_64)
    assert hint.count("`loader: ipxe-snp`") == hint.count("(`undionly` on BIOS)") == 1


def test_offers_that_came_from_outside_are_not_counted_as_unheard(live):
    m1 = live.boot(1)
    live.happen([replace(m1.dhcp(Program.PXE)[0], is_local=False)] * 20)
    assert (live[m1].stage, live[m1].condition) == (Stage.WAITING, None)


@pytest.mark.parametrize("name", LOOPS)
def test_loop_gets_its_name(live, name):
    m1 = live.boot(1)
    events = LOOPS[name](m1)
    live.happen(events[:-1], BETWEEN)
    live.happen(events[-1], BETWEEN)
    assert live[m1].condition is not None
    assert live[m1].condition.name == name
    assert [event.name for event in live.of(ConditionRaised)] == [name]


@pytest.mark.parametrize("hint", [*TRY_HINTS.values(), *SILENCE_HINTS.values()])
def test_hint_says_the_cause_and_what_to_do(hint):
    cause, remedy = hint.split(". ", 1)
    assert cause[0].isupper() or cause.startswith("iPXE")
    assert remedy.startswith(("Check ", "Set ", "Open "))
    assert remedy.endswith(".")


@pytest.mark.parametrize("name", LOOPS)
def test_loop_is_none_before_its_last_turn(live, name):
    m1 = live.boot(1)
    live.happen(LOOPS[name](m1)[:-1], BETWEEN)
    assert live[m1].condition is None


@pytest.mark.parametrize("name", [name for name in LOOPS if name != "boot-loop"])
def test_condition_ends_when_the_machine_gets_on(live, name):
    m1 = live.boot(1)
    live.happen([*LOOPS[name](m1), *m1.live()[2:]])
    live.wait(60)
    live.happen(m1.dhcp(Program.OS))
    assert live[m1].condition is None


def test_host_that_counts_as_installed_and_never_boots_is_seen(live):
    m1 = live.boot(1)
    live.happen(m1.live())
    live.wait(60)
    for _ in range(9):
        live.happen(m1.dhcp(Program.PXE), 30)
    assert live[m1].condition.name == "not-booting"
    assert "its disk was not written" in live[m1].condition.hint
    assert "ocp-appliance reinstall m1" in live[m1].condition.hint


def test_host_whose_disk_dies_later_is_told_apart(live):
    m1 = live.boot(1)
    live.happen(m1.live())
    live.wait(60)
    live.happen(m1.dhcp(Program.OS))
    for _ in range(9):
        live.happen(m1.dhcp(Program.PXE), 30)
    assert "no longer boots" in live[m1].condition.hint


def test_host_that_boots_after_its_firmware_knocked_has_no_condition(live):
    m1 = live.boot(1)
    live.happen(m1.live())
    live.wait(60)
    for _ in range(20):
        live.happen([*m1.dhcp(Program.PXE), *m1.dhcp(Program.HTTP), *m1.dhcp(Program.OS)], 60)
    assert live[m1].condition is None


def test_two_starts_far_apart_are_no_knocking(live):
    """A system with a static address and another name server never sends anything to the appliance."""
    m1 = live.boot(1)
    live.happen(m1.live())
    live.wait(60)
    for _ in range(3):
        live.happen(m1.dhcp(Program.PXE))
        live.wait(30 * 86400)
    assert live[m1].condition is None


def test_held_host_is_not_said_to_have_lost_its_disk(live):
    m1 = live.boot(1)
    live.happen(m1.live())
    live.wait(60)
    live.happen([*m1.dhcp(Program.OS), Ordered(m1.host, "hold")])
    for _ in range(9):
        live.happen(m1.dhcp(Program.PXE), 60)
    assert live[m1].condition is None


@pytest.mark.parametrize(("seconds", "names"), [(890, []), (910, ["silent"])])
def test_host_that_counts_as_installed_and_is_not_heard_again_is_seen(live, seconds, names):
    """Firmware without a boot device asks once, and then stops."""
    m1 = live.boot(1)
    live.happen(m1.live())
    live.wait(60)
    live.happen(m1.dhcp(Program.PXE))
    live.wait(seconds)
    found = live.registry.condition(live[m1], live.clock.now)
    assert [condition.name for condition in (found,) if condition] == names


def test_silence_is_reported_once_until_the_host_is_heard_again(live):
    m1 = live.boot(1)
    live.happen(m1.to_initramfs())
    for _ in range(3):
        live.wait(301)
        live.registry.tell_silences(live.clock.now)
    live.happen(m1.dhcp(Program.OS))
    live.registry.tell_silences(live.clock.now)
    live.wait(301)
    live.registry.tell_silences(live.clock.now)
    assert [(event.host, event.name) for event in live.of(ConditionRaised)] == [(m1.host, "silent")] * 2


def test_reinstall_ends_every_condition(live):
    m1 = live.boot(1)
    live.happen(LOOPS["boot-loop"](m1), BETWEEN)
    assert live[m1].condition is not None
    live.happen(Ordered(m1.host, "reinstall"))
    assert (live[m1].condition, live[m1].tries, live[m1].stage) == (None, 0, Stage.WAITING)


def test_hosts_own_autoexec_script_is_no_failed_loader(live):
    m1 = live.boot(1)
    live.happen([*m1.dhcp(Program.PXE), *[tftp_failure(m1, "autoexec.ipxe")] * 5])
    assert live[m1].condition is None


def test_good_installation_raises_nothing(live):
    m1 = live.boot(1)
    live.happen(m1.live())
    live.wait(60)
    live.happen([*m1.dhcp(Program.PXE), *m1.dhcp(Program.OS), m1.api_int()])
    assert not list(live.of(ConditionRaised))
    assert live[m1].order is Order.LOCAL


def test_condition_keeps_the_time_it_began(live):
    m1 = live.boot(1)
    live.happen(LOOPS["loader-loop"](m1))
    since = live[m1].condition.since
    live.happen(m1.loader())
    assert live[m1].condition.since == since


@pytest.mark.parametrize("path", ["/shim/x64/revocations_sku.efi", "/shim/x64/shim_certificate_0.efi"])
def test_file_that_shim_can_do_without_is_no_missing_boot_file(path, live):
    m1 = live.boot(1)
    live.happen([*m1.dhcp(Program.HTTP), WebRefused(m1.host, m1.address, path, WebKind.OTHER, 404, "not found")])
    assert live[m1].complaint is None


def test_kernel_that_is_not_found_by_tftp_is_named(live):
    m1 = live.boot(1)
    live.happen([*m1.dhcp(Program.PXE), *m1.tftp("shim/x64/grubx64.efi")])
    live.happen(TftpFailed(m1.host, m1.address, "vmlinuz", "not-found", WebKind.KERNEL))
    assert live[m1].complaint.hint == "The image vmlinuz cannot be served: not-found"


@pytest.mark.parametrize("stage", [Stage.LOADER, Stage.SCRIPT])
def test_hint_for_a_silent_machine_names_both_ways_to_boot(stage):
    """A machine with shim and GRUB reaches the same stages."""
    hint = SILENCE_HINTS[stage]
    assert "iPXE" in hint
    assert "shim" in hint or "GRUB" in hint
