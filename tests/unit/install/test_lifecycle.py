"""Traces of live and legacy installations, and the stages that they prove."""

from dataclasses import replace

import pytest

from appliance.events import (
    DhcpOffered,
    DhcpPassed,
    FileUnservable,
    InstallSettled,
    Ordered,
    Program,
    StageReached,
    WebKind,
    WebRefused,
)
from appliance.install.effects import ABANDONED_SECONDS, GONE_SECONDS
from appliance.install.installation import Order, Stage
from appliance.model import Install
from tests.boots import LEGACY, LIVE, MB, Fleet


def stages(fleet):
    return [event.stage for event in fleet.of(StageReached)]


def test_live_installation_goes_through_every_stage(live):
    m1 = live.boot(1)
    live.happen(m1.live())
    live.wait(30)
    live.happen([*m1.dhcp(Program.PXE), *m1.dhcp(Program.OS), m1.reached()])
    assert stages(live) == [stage.name.lower() for stage in Stage if stage is not Stage.WAITING]
    assert live[m1].number == 1


def test_legacy_installation_goes_through_every_stage(legacy):
    m1 = legacy.boot(1)
    legacy.happen(m1.legacy())
    legacy.wait(30)
    legacy.happen([*m1.dhcp(Program.PXE), *m1.dhcp(Program.OS), m1.api_int()])
    assert stages(legacy) == [stage.name.lower() for stage in Stage if stage is not Stage.WAITING]


def test_legacy_ignition_keeps_the_time_it_went_out_before_the_image(legacy):
    m1 = legacy.boot(1)
    legacy.happen(m1.legacy())
    reached = legacy[m1].reached
    assert legacy[m1].stage is Stage.IGNITION
    assert reached[Stage.IGNITION] < reached[Stage.IMAGE]


def test_http_boot_reaches_the_loader_by_http(live):
    m1 = live.boot(1)
    live.happen([*m1.dhcp(Program.HTTP), *m1.get(WebKind.LOADER, MB)])
    assert live[m1].stage is Stage.LOADER


def test_disk_first_machine_counts_as_installed_when_its_system_asks_for_an_address(live):
    m1 = live.boot(1)
    live.happen(m1.live())
    live.wait(30)
    live.happen(m1.dhcp(Program.OS))
    assert live[m1].stage is Stage.BOOTED
    assert live[m1].order is Order.LOCAL


@pytest.mark.parametrize("cluster", [LEGACY, LIVE], ids=["legacy", "live"])
def test_finished_host_has_no_boot_file_waiting_before_it_comes_back(tmp_path, cluster):
    fleet = Fleet(tmp_path, cluster)
    m1 = fleet.boot(1)
    fleet.happen(m1.live() if cluster is LIVE else m1.legacy())
    fleet.wait(9.0)
    assert (fleet[m1].order, fleet[m1].stage) == (Order.LOCAL, Stage.IGNITION)
    fleet.journal.close()


@pytest.mark.parametrize("cluster", [LEGACY, LIVE], ids=["legacy", "live"])
def test_host_that_comes_back_before_its_disk_can_be_written_installs_again(tmp_path, cluster):
    fleet = Fleet(tmp_path, cluster)
    m1 = fleet.boot(1)
    fleet.happen(m1.live() if cluster is LIVE else m1.legacy())
    token = fleet[m1].token
    fleet.wait(7.0)
    fleet.happen([*m1.dhcp(Program.PXE), *m1.loader()], 0.1)
    fleet.wait(60.0)
    again = fleet[m1]
    assert (again.stage, again.order, again.number, again.token) == (Stage.LOADER, Order.INSTALL, 2, token)
    fleet.journal.close()


def test_second_early_return_is_believed(live):
    m1 = live.boot(1)
    live.happen(m1.live())
    live.happen(m1.live())
    assert (live[m1].number, live[m1].order) == (2, Order.LOCAL)
    live.happen(m1.dhcp(Program.PXE))
    assert live[m1].stage is Stage.INSTALLED


@pytest.mark.parametrize("number", [0, 1, 2])
def test_clock_settles_the_installation_that_it_was_set_for_alone(live, number):
    m1 = live.boot(1)
    live.happen([*m1.live(), InstallSettled(m1.host, number)])
    assert live[m1].is_settled == (number == 1)


def test_clock_settles_nothing_that_lacks_something(live):
    m1 = live.boot(1)
    live.happen([*m1.to_initramfs(), InstallSettled(m1.host, 1)])
    assert not live[m1].is_settled


def test_small_image_needs_no_waiting(live):
    m1 = live.boot(1)
    live.happen(m1.live(rootfs=20 * MB))
    live.happen(m1.dhcp(Program.PXE))
    assert live[m1].stage is Stage.INSTALLED


@pytest.mark.parametrize(
    "events",
    [
        lambda m1: m1.legacy()[:-1],  # the image's last byte is missing
        lambda m1: [*m1.legacy()[:-1], m1.broken(WebKind.METAL, 5, 900 * MB)],
        lambda m1: [*m1.to_initramfs(), *m1.get(WebKind.METAL)],  # no Ignition
        lambda m1: [*m1.to_initramfs(), *m1.get(WebKind.IGNITION)],  # no image
    ],
    ids=["image cut", "image broken", "no Ignition", "no image"],
)
def test_legacy_host_that_lacks_something_installs_again(legacy, events):
    m1 = legacy.boot(1)
    legacy.happen(events(m1))
    legacy.wait(3600)
    legacy.happen(m1.dhcp(Program.PXE))
    assert (legacy[m1].order, legacy[m1].number) == (Order.INSTALL, 2)


def test_ignition_that_broke_off_is_not_delivered(live):
    m1 = live.boot(1)
    live.happen([*m1.live()[:-1], m1.broken(WebKind.IGNITION)])
    live.wait(3600)
    live.happen(m1.dhcp(Program.PXE))
    assert live[m1].order is Order.INSTALL


def test_ignition_asked_for_again_after_a_break_is_delivered(live):
    m1 = live.boot(1)
    live.happen([*m1.live()[:-1], m1.broken(WebKind.IGNITION), *m1.get(WebKind.IGNITION)])
    live.wait(3600)
    assert live[m1].order is Order.LOCAL


def test_live_host_with_an_image_of_its_own_is_ready_when_that_is_whole(live):
    m1 = live.boot(1)
    live.happen([*m1.live(), m1.started(WebKind.METAL, 900 * MB)])
    live.wait(3600)
    assert live[m1].order is Order.INSTALL
    live.happen(m1.finished(WebKind.METAL, 900 * MB))
    live.wait(9)
    assert live[m1].order is Order.LOCAL


def test_live_installers_own_lease_does_not_count_as_a_boot(live):
    m1 = live.boot(1)
    live.happen(m1.live())
    live.wait(300)
    live.happen(m1.dhcp(Program.OS)[1:])  # a renewal: no DISCOVER
    assert live[m1].stage is Stage.IGNITION


def test_installed_host_stays_installed_through_every_later_boot(live):
    m1 = live.boot(1)
    live.happen(m1.live())
    live.wait(30)
    for _ in range(5):
        live.happen([*m1.dhcp(Program.PXE), *m1.dhcp(Program.OS), m1.api_int()])
    live.happen([*m1.to_script(), *m1.get(WebKind.LOCAL)])  # localBoot: exit
    assert (live[m1].order, live[m1].stage, live[m1].number) == (Order.LOCAL, Stage.JOINING, 1)


def test_reinstall_begins_a_new_record(live):
    m1 = live.boot(1)
    live.happen(m1.live())
    live.wait(30)
    live.happen(m1.dhcp(Program.PXE))
    before = live[m1]
    live.happen(Ordered(m1.host, "reinstall"))
    after = live[m1]
    assert (after.stage, after.order, after.number) == (Stage.WAITING, Order.INSTALL, 2)
    assert after.token != before.token
    assert [record.number for record in live.journal.records(m1.host)] == [1, 2]


def test_running_system_does_not_undo_a_reinstall(live):
    m1 = live.boot(1)
    live.happen(m1.live())
    live.wait(30)
    live.happen([*m1.dhcp(Program.OS), Ordered(m1.host, "reinstall")])
    live.happen([*m1.dhcp(Program.OS), m1.api_int(), *m1.get(WebKind.METAL)])
    assert (live[m1].stage, live[m1].order) == (Stage.WAITING, Order.INSTALL)


def test_reset_in_the_middle_begins_a_new_record_with_its_boot_file(live):
    m1 = live.boot(1)
    live.happen(m1.to_initramfs())
    live.wait(GONE_SECONDS)
    live.happen([*m1.dhcp(Program.PXE), *m1.loader()])
    assert (live[m1].stage, live[m1].number, live[m1].tries) == (Stage.LOADER, 2, 1)


def test_bios_rom_that_is_an_ipxe_begins_a_new_record_with_its_script(live):
    m1 = live.boot(1)
    live.happen(m1.to_initramfs())
    live.wait(GONE_SECONDS)
    live.happen([*m1.dhcp(Program.IPXE), *m1.get(WebKind.SCRIPT)])
    assert (live[m1].stage, live[m1].number, live[m1].tries) == (Stage.SCRIPT, 2, 1)


def test_firmware_that_stops_long_after_a_broken_try_begins_a_new_record(live):
    """Its operator is to see at which step it stops."""
    m1 = live.boot(1)
    live.happen(m1.to_initramfs())
    live.wait(ABANDONED_SECONDS)
    live.happen(m1.dhcp(Program.PXE))
    assert (live[m1].stage, live[m1].number, live[m1].tries) == (Stage.FIRMWARE, 2, 1)


@pytest.mark.parametrize("program", Program)
@pytest.mark.parametrize("steps", ["to_script", "to_initramfs", "live"])
def test_dhcp_message_alone_ends_no_try(live, program, steps):
    m1 = live.boot(1)
    live.happen(getattr(m1, steps)())
    before = live[m1]
    live.happen(m1.dhcp(program) * 5, 0.1)
    after = live[m1]
    assert (after.number, after.stage, after.token) == (1, before.stage, before.token)


def test_dhcp_message_while_the_disk_is_written_arms_nothing(live):
    m1 = live.boot(1)
    live.happen([*m1.live(), *m1.dhcp(Program.PXE)])
    live.wait(9)
    assert live[m1].order is Order.LOCAL
    live.happen(m1.dhcp(Program.PXE))
    assert (live[m1].number, live[m1].stage) == (1, Stage.INSTALLED)


@pytest.mark.parametrize("files", [lambda m1: m1.loader(), lambda m1: m1.get(WebKind.SCRIPT)], ids=["loader", "script"])
def test_installer_that_takes_bytes_was_not_reset_whoever_fetches_the_files_before_it(live, files):
    m1 = live.boot(1)
    live.happen([*m1.to_initramfs(), m1.started(WebKind.ROOTFS, 900 * MB)])
    for position in range(100):
        live.happen(m1.progress(WebKind.ROOTFS, position * MB, 900 * MB))
    live.happen([*m1.dhcp(Program.PXE), *files(m1)])
    assert (live[m1].number, live[m1].stage) == (1, Stage.IMAGE)


def test_message_before_the_next_stage_is_forgotten_with_it(live):
    m1 = live.boot(1)
    live.happen([*m1.to_initramfs(), *m1.dhcp(Program.PXE)])
    assert live[m1].returned_at is not None
    live.happen(m1.started(WebKind.ROOTFS, 900 * MB))
    assert live[m1].returned_at is None


def test_machine_that_is_back_at_once_installs_in_the_same_record(live):
    m1 = live.boot(1)
    live.happen(m1.to_initramfs())
    live.happen(m1.live(), 0.1)
    live.wait(30)
    live.happen(m1.dhcp(Program.PXE))
    assert (live[m1].number, live[m1].stage) == (1, Stage.INSTALLED)


@pytest.mark.parametrize("wait", ["wait", "file"])
def test_machine_that_is_back_before_its_disk_can_be_written_and_has_to_wait_installs_again(live, wait):
    """A ROM that is an iPXE fetches no boot file, so the script that it gets is what shows the reset."""
    m1 = live.boot(1)
    live.happen(m1.live())
    told = m1.get(WebKind.WAIT) if wait == "wait" else [FileUnservable(m1.host, "/srv/images/rootfs", "not found")]
    live.happen([*m1.dhcp(Program.IPXE), *told])
    live.wait(30)
    assert (live[m1].number, live[m1].stage, live[m1].order) == (2, Stage.BOOTLOADER, Order.INSTALL)


def test_dhcp_message_does_not_end_a_try_that_waits(live):
    m1 = live.boot(1)
    live.happen([*m1.to_script(), *m1.get(WebKind.WAIT)])
    live.wait(3600)
    live.happen(m1.dhcp(Program.PXE))
    assert (live[m1].number, live[m1].stage) == (1, Stage.SCRIPT)


def test_firmware_that_repeats_itself_begins_no_new_record(live):
    m1 = live.boot(1)
    live.happen([*m1.dhcp(Program.PXE), *m1.dhcp(Program.PXE), *m1.loader(), *m1.dhcp(Program.PXE)])
    assert (live[m1].stage, live[m1].number) == (Stage.LOADER, 1)


def test_held_host_is_held_until_it_is_released(live):
    m1 = live.boot(1)
    live.happen([Ordered(m1.host, "hold"), *m1.dhcp(Program.PXE), *m1.loader(), *m1.dhcp(Program.IPXE)])
    live.happen([event for _ in range(50) for event in m1.get(WebKind.WAIT)])
    assert (live[m1].order, live[m1].condition) == (Order.HOLD, None)
    live.happen(Ordered(m1.host, "release"))
    assert live[m1].order is Order.INSTALL


def test_held_host_that_is_installed_boots_its_disk_after_the_release(live):
    m1 = live.boot(1)
    live.happen(m1.live())
    live.wait(30)
    live.happen([Ordered(m1.host, "hold"), *m1.dhcp(Program.PXE)])
    assert live[m1].order is Order.HOLD
    live.happen(Ordered(m1.host, "release"))
    assert live[m1].order is Order.LOCAL


def with_install(cluster, install):
    return replace(cluster, hosts=tuple(replace(host, install=install) for host in cluster.hosts))


def test_host_that_always_installs_is_armed_again_by_its_next_boot(tmp_path):
    fleet = Fleet(tmp_path, with_install(LIVE, Install.ALWAYS))
    m1 = fleet.boot(1)
    fleet.happen(m1.live())
    fleet.wait(30)
    fleet.happen([*m1.dhcp(Program.OS), *m1.dhcp(Program.PXE)])
    assert (fleet[m1].order, fleet[m1].number, fleet[m1].stage) == (Order.INSTALL, 2, Stage.FIRMWARE)
    fleet.journal.close()


def test_host_that_always_installs_does_so_where_others_give_addresses(tmp_path):
    """With dhcp.mode off, the request for its script is the first that the appliance gets from a host."""
    fleet = Fleet(tmp_path, with_install(LIVE, Install.ALWAYS))
    m1 = fleet.boot(1)
    files = (WebKind.MENU, WebKind.SCRIPT, WebKind.KERNEL, WebKind.INITRAMFS, WebKind.ROOTFS, WebKind.IGNITION)
    for number in (1, 2, 3):
        fleet.happen([event for what in files for event in m1.get(what)])
        fleet.wait(3600)
        assert (fleet[m1].number, fleet[m1].stage) == (number, Stage.IGNITION)
        fleet.happen(m1.api_int())
        assert fleet[m1].stage is Stage.JOINING
    fleet.journal.close()


def test_host_that_begins_again_with_its_script_has_its_ignition_yet_to_come(legacy):
    m1 = legacy.boot(1)
    scripts = [*m1.get(WebKind.MENU), *m1.get(WebKind.SCRIPT)]
    legacy.happen([*scripts, *m1.get(WebKind.KERNEL), *m1.get(WebKind.INITRAMFS), *m1.get(WebKind.IGNITION)])
    legacy.happen([m1.started(WebKind.METAL, 900 * MB), m1.broken(WebKind.METAL, MB, 900 * MB)])
    token = legacy[m1].token
    legacy.wait(1200)
    legacy.happen(scripts)
    assert (legacy[m1].number, legacy[m1].tries, legacy[m1].delivered_at, legacy[m1].token) == (2, 1, None, token)


def test_host_beside_another_dhcp_server_is_installed_and_booted(live):
    """In proxy mode, systems and the firmware of installed hosts get their addresses from another server."""
    m1 = live.boot(1)
    live.happen(m1.live())
    live.wait(60)
    live.happen(DhcpPassed(m1.host, m1.mac, m1.address, Program.PXE, "x64-uefi"))
    assert live[m1].stage is Stage.INSTALLED
    live.happen(DhcpPassed(m1.host, m1.mac, m1.address, Program.OS))
    assert live[m1].stage is Stage.BOOTED


def test_host_that_never_installs_boots_its_disk(tmp_path):
    fleet = Fleet(tmp_path, with_install(LIVE, Install.NEVER))
    m1 = fleet.boot(1)
    assert fleet[m1].order is Order.LOCAL
    fleet.happen([*m1.dhcp(Program.PXE), *m1.dhcp(Program.OS)])
    assert (fleet[m1].order, fleet[m1].stage) == (Order.LOCAL, Stage.BOOTED)
    fleet.journal.close()


def test_other_names_prove_nothing(live):
    m1 = live.boot(1)
    live.happen(replace(m1.api_int(), name="quay.io"))
    assert live[m1].stage is Stage.WAITING


def test_running_node_that_looks_at_a_kernel_installs_nothing(live):
    m1 = live.boot(1)
    live.happen([*m1.get(WebKind.KERNEL), *m1.get(WebKind.IGNITION)])
    assert live[m1].stage is Stage.WAITING


def test_size_probe_of_uefi_is_not_a_loader(live):
    m1 = live.boot(1)
    live.happen([*m1.dhcp(Program.PXE), m1.loader()[0]])
    assert live[m1].stage is Stage.FIRMWARE


def test_put_off_ignition_keeps_the_window_open(live):
    m1 = live.boot(1)
    live.happen(m1.live()[:-2])
    live.clock.now += 80_000
    live.happen(WebRefused(m1.host, m1.address, "/ignition/…", WebKind.IGNITION, 503, "expired"))
    assert live[m1].window_opened_at == live.clock.now
    assert live[m1].condition is not None
    live.happen(m1.get(WebKind.IGNITION))
    assert live[m1].condition is None


def test_ignition_put_off_because_it_is_too_late_opens_no_window(live):
    m1 = live.boot(1)
    live.happen(m1.live()[:-2])
    before = live[m1].window_opened_at
    live.clock.now += 100_000
    live.happen(WebRefused(m1.host, m1.address, "/ignition/…", WebKind.IGNITION, 503, "too late"))
    assert live[m1].window_opened_at == before


def test_refusal_to_somebody_else_opens_no_window(live):
    m1 = live.boot(1)
    live.happen(m1.live()[:-2])
    before = live[m1].window_opened_at
    live.happen(WebRefused(m1.host, m1.address, "/ignition/…", WebKind.IGNITION, 403, "wrong role"))
    assert live[m1].window_opened_at == before


def test_offer_of_a_system_changes_nothing_before_the_installation(live):
    m1 = live.boot(1)
    before = live[m1]
    live.happen(DhcpOffered(m1.host, m1.mac, m1.address, Program.OS))
    assert live[m1] is before


# shim and GRUB


def test_secure_boot_goes_through_every_stage(live):
    m1 = live.boot(1)
    live.happen(m1.dhcp(Program.PXE))
    live.happen(m1.tftp("shim/x64/shimx64.efi"))
    assert live[m1].stage is Stage.LOADER
    live.happen(m1.tftp("shim/x64/grubx64.efi"))
    assert live[m1].stage is Stage.BOOTLOADER
    for what in (WebKind.GRUB, WebKind.SCRIPT, WebKind.KERNEL, WebKind.INITRAMFS):
        live.happen(m1.get(what))
    assert stages(live) == ["firmware", "loader", "bootloader", "script", "kernel", "initramfs"]


def test_grub_without_http_goes_through_every_stage_by_tftp(live):
    m1 = live.boot(1)
    live.happen([*m1.dhcp(Program.PXE), *m1.tftp("shim/x64/shimx64.efi")])
    live.happen(m1.tftp("grub/grub.cfg", WebKind.GRUB))
    for what in (WebKind.SCRIPT, WebKind.KERNEL, WebKind.INITRAMFS):
        live.happen(m1.tftp(what.value, what))
    assert stages(live) == ["firmware", "loader", "bootloader", "script", "kernel", "initramfs"]


def test_legacy_initramfs_by_tftp_is_fetched_before_ignition(legacy):
    m1 = legacy.boot(1)
    legacy.happen([*m1.dhcp(Program.PXE), *m1.tftp("k", WebKind.KERNEL), *m1.tftp("i", WebKind.INITRAMFS)])
    assert (legacy[m1].stage, legacy[m1].has_fetched) == (Stage.INITRAMFS, True)


def test_grub_by_http_boot_is_told_from_shim(live):
    m1 = live.boot(1)
    live.happen([*m1.dhcp(Program.HTTP), *m1.get(WebKind.LOADER, MB, "/shim/x64/shimx64.efi")])
    assert live[m1].stage is Stage.LOADER
    live.happen(m1.get(WebKind.LOADER, MB, "/shim/x64//grubx64.efi"))
    assert live[m1].stage is Stage.BOOTLOADER


@pytest.mark.parametrize("what", [WebKind.GRUB, WebKind.SCRIPT, WebKind.KERNEL, WebKind.INITRAMFS])
def test_request_by_tftp_alone_moves_nothing(what, live):
    """It is one datagram, which anyone could have sent."""
    m1 = live.boot(1)
    live.happen(m1.dhcp(Program.PXE))
    live.happen(m1.tftp("x", what)[:1])
    assert live[m1].stage is Stage.FIRMWARE


def test_configuration_of_grub_on_a_machine_that_was_not_seen_to_boot_moves_nothing(live):
    m1 = live.boot(1)
    live.happen(m1.get(WebKind.GRUB))
    assert live[m1].stage is Stage.WAITING


def test_machine_that_was_reset_and_loads_grub_again_begins_a_new_record(live):
    m1 = live.boot(1)
    live.happen(m1.live())
    live.happen([*m1.dhcp(Program.PXE), *m1.get(WebKind.GRUB)])
    assert (live[m1].number, live[m1].stage) == (2, Stage.BOOTLOADER)
