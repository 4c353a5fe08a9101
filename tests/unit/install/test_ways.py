"""Hosts that an agent installs, that install in place, and that are not installed at all."""

from dataclasses import replace
from pathlib import Path

import pytest

from appliance.errors import ControlError
from appliance.events import Program, Transport, WebKind
from appliance.install.conditions import LIVE_SILENCE_SECONDS
from appliance.install.guard import Client, ignition_verdict
from appliance.install.installation import Installation, Order, Stage
from appliance.model import IN_PLACE_IGNITION, Arch, Boot, Cluster, Host, Install, Role
from tests.boots import LIVE, MB, Fleet
from tests.boots import Boot as Booting
from tests.clusters import LIVE_IMAGES

M1 = 1
LIVE_SYSTEMS = (Boot.AGENT, Boot.NODE_IMAGE, Boot.IN_PLACE)
FASTEST = {Boot.AGENT: 180, Boot.NODE_IMAGE: 180, Boot.IN_PLACE: 300}


def cluster_of(boot: Boot, **changes: object) -> Cluster:
    """Return the reference cluster with *boot* for every host but the bootstrap machine."""
    hosts = tuple(replace(host, boot=boot) for host in LIVE.hosts if host.role is not Role.BOOTSTRAP)
    artifacts = {(kind, Arch.X86_64): LIVE_IMAGES for kind in (Boot.AGENT, Boot.NODE_IMAGE)}
    return replace(LIVE, hosts=hosts, artifacts=artifacts, rendezvous=hosts[0].address, **changes)


@pytest.fixture
def fleet_of(tmp_path: Path):
    fleets: list[Fleet] = []

    def make(boot: Boot, **changes: object) -> Fleet:
        fleets.append(Fleet(tmp_path / str(len(fleets)), cluster_of(boot, **changes)))
        return fleets[-1]

    yield make
    for fleet in fleets:
        fleet.journal.close()


def rest(m1: Booting, boot: Boot, rootfs: int = 900 * MB):
    """Return what a live system fetches once its initramfs runs."""
    ignition = m1.get(WebKind.IGNITION) if boot is Boot.IN_PLACE else []
    return [*m1.dhcp(Program.OS), *ignition, *m1.get(WebKind.ROOTFS, rootfs)]


def installing(fleet: Fleet, boot: Boot, index: int = M1) -> Booting:
    """Boot a host until its live system has everything."""
    m1 = fleet.boot(index)
    fleet.happen([*m1.to_initramfs(), *rest(m1, boot)])
    return m1


def client_of(host: Host) -> Client:
    return Client(frozenset(), None, needs_dhcp=False)


def verdict(installation: Installation, host: Host, now: float):
    return ignition_verdict(
        host,
        installation,
        host.ignition,
        installation.token,
        client_of(host),
        expires_at=None,
        now=now,
        serve_expired=False,
    )


@pytest.mark.parametrize("boot", LIVE_SYSTEMS)
def test_live_system_has_everything_once_its_rootfs_was_sent(fleet_of, boot):
    fleet = fleet_of(boot)
    m1 = installing(fleet, boot)
    assert (fleet[m1].stage, fleet[m1].is_settled, fleet[m1].order) == (Stage.IGNITION, False, Order.INSTALL)


@pytest.mark.parametrize("boot", LIVE_SYSTEMS)
def test_machine_that_is_back_sooner_than_any_installation_was_reset(fleet_of, boot):
    fleet = fleet_of(boot)
    m1 = installing(fleet, boot)
    fleet.wait(FASTEST[boot] - 10)
    fleet.happen(m1.to_script())
    assert (fleet[m1].number, fleet[m1].stage, fleet[m1].order) == (2, Stage.SCRIPT, Order.INSTALL)


@pytest.mark.parametrize("boot", LIVE_SYSTEMS)
def test_machine_that_is_back_later_boots_its_disk(fleet_of, boot):
    fleet = fleet_of(boot)
    m1 = installing(fleet, boot)
    fleet.wait(FASTEST[boot])
    fleet.happen(m1.dhcp(Program.PXE))
    assert (fleet[m1].number, fleet[m1].stage, fleet[m1].order) == (1, Stage.INSTALLED, Order.LOCAL)


@pytest.mark.parametrize("boot", LIVE_SYSTEMS)
def test_machine_that_keeps_coming_back_too_soon_is_never_believed(fleet_of, boot):
    fleet = fleet_of(boot)
    for _ in range(4):
        m1 = installing(fleet, boot)
        fleet.wait(60)
    assert fleet[m1].order is Order.INSTALL
    assert fleet[m1].condition.name == "boot-loop"
    assert "restarts before it can have installed" in fleet[m1].condition.hint


@pytest.mark.parametrize("boot", LIVE_SYSTEMS)
def test_placeholder_needs_no_waiting(fleet_of, boot):
    fleet = fleet_of(boot)
    m1 = fleet.boot(M1)
    fleet.happen([*m1.to_initramfs(), *rest(m1, boot, rootfs=8 * MB)])
    assert fleet[m1].order is Order.LOCAL


@pytest.mark.parametrize("boot", LIVE_SYSTEMS)
def test_live_system_may_be_silent_for_long(fleet_of, boot):
    fleet = fleet_of(boot)
    m1 = installing(fleet, boot)
    fleet.wait(LIVE_SILENCE_SECONDS - 60)
    assert fleet.registry.condition(fleet[m1], fleet.clock.now) is None
    fleet.wait(120)
    assert fleet.registry.condition(fleet[m1], fleet.clock.now).name == "silent"


def test_rootfs_that_broke_off_is_no_installation(fleet_of):
    fleet = fleet_of(Boot.AGENT)
    m1 = fleet.boot(M1)
    fleet.happen([*m1.to_initramfs(), m1.started(WebKind.ROOTFS, 900 * MB), m1.broken(WebKind.ROOTFS)])
    fleet.wait(3600)
    assert (fleet[m1].stage, fleet[m1].order) == (Stage.IMAGE, Order.INSTALL)


def test_same_files_fetched_again_do_not_start_the_clock_again(fleet_of):
    fleet = fleet_of(Boot.AGENT)
    m1 = installing(fleet, Boot.AGENT)
    ready_at = fleet[m1].ready_at
    fleet.happen(m1.get(WebKind.ROOTFS, 900 * MB), seconds=20)
    assert fleet[m1].ready_at == ready_at


@pytest.mark.parametrize("boot", [Boot.AGENT, Boot.IN_PLACE])
def test_connection_of_the_control_plane_in_a_live_system_is_no_nodes(fleet_of, boot):
    fleet = fleet_of(boot)
    m1 = installing(fleet, boot, index=0)
    fleet.wait(FASTEST[boot])
    fleet.happen(m1.reached(6443))
    assert fleet[m1].stage is Stage.IGNITION


@pytest.mark.parametrize("transport", Transport)
@pytest.mark.parametrize("boot", [Boot.AGENT, Boot.IN_PLACE])
def test_control_plane_in_a_live_system_is_no_node(fleet_of, boot, transport):
    """The rendezvous host, and a node in place, ask for api-int long before they write their disk."""
    fleet = fleet_of(boot)
    m1 = installing(fleet, boot, index=0)
    fleet.wait(FASTEST[boot])
    fleet.happen(m1.api_int(transport))
    assert fleet[m1].stage is Stage.IGNITION


@pytest.mark.parametrize("transport", Transport)
def test_host_that_does_not_lead_asks_for_api_int_from_its_disk_only(fleet_of, transport):
    fleet = fleet_of(Boot.AGENT)
    m2 = installing(fleet, Boot.AGENT, index=1)
    fleet.wait(FASTEST[Boot.AGENT])
    fleet.happen(m2.api_int(transport))
    assert fleet[m2].stage is Stage.JOINING


def test_node_in_place_joins_after_it_was_back_at_its_firmware(fleet_of):
    fleet = fleet_of(Boot.IN_PLACE)
    m1 = installing(fleet, Boot.IN_PLACE)
    fleet.wait(1800)
    fleet.happen([*m1.dhcp(Program.PXE), *m1.dhcp(Program.OS), m1.api_int()])
    assert (fleet[m1].stage, fleet[m1].order) == (Stage.JOINING, Order.LOCAL)


@pytest.mark.parametrize("boot", LIVE_SYSTEMS)
def test_file_that_breaks_off_later_arms_no_host_that_may_be_installed(fleet_of, boot):
    fleet = fleet_of(boot)
    m1 = installing(fleet, boot)
    fleet.wait(FASTEST[boot])
    fleet.happen([m1.started(WebKind.IGNITION), m1.broken(WebKind.IGNITION)])
    assert fleet[m1].order is Order.LOCAL


@pytest.mark.parametrize("order", [("ignition", "rootfs"), ("rootfs", "ignition")])
def test_node_in_place_may_fetch_ignition_and_rootfs_in_any_order(fleet_of, order):
    fleet = fleet_of(Boot.IN_PLACE)
    m1 = fleet.boot(M1)
    parts = {"ignition": m1.get(WebKind.IGNITION), "rootfs": m1.get(WebKind.ROOTFS, 900 * MB)}
    fleet.happen([*m1.to_initramfs(), *parts[order[0]]])
    assert fleet[m1].stage < Stage.IGNITION
    fleet.happen(parts[order[1]])
    assert fleet[m1].stage is Stage.IGNITION


def test_node_in_place_gets_its_ignition_from_its_initramfs_on(fleet_of):
    fleet = fleet_of(Boot.IN_PLACE)
    m1, host = fleet.boot(M1), fleet.cluster.hosts[M1]
    fleet.happen([*m1.to_script(), *m1.get(WebKind.KERNEL), m1.started(WebKind.INITRAMFS, 80 * MB)])
    assert verdict(fleet[m1], host, fleet.clock.now).status == 503
    fleet.happen(m1.finished(WebKind.INITRAMFS, 80 * MB))
    assert verdict(fleet[m1], host, fleet.clock.now).status == 200


def test_ignition_file_of_another_way_is_refused(fleet_of):
    fleet = fleet_of(Boot.IN_PLACE)
    m1, host = fleet.boot(M1), fleet.cluster.hosts[M1]
    found = ignition_verdict(
        host, fleet[m1], "master.ign", fleet[m1].token, None, expires_at=None, now=0.0, serve_expired=False
    )
    assert (found.status, found.why) == (
        403,
        f"{host.name} is installed in place; its Ignition file is {IN_PLACE_IGNITION}",
    )


@pytest.mark.parametrize("boot", [Boot.AGENT, Boot.NODE_IMAGE, Boot.NOTHING])
def test_host_that_fetches_no_ignition_gets_none(fleet_of, boot):
    fleet = fleet_of(boot)
    host = fleet.cluster.hosts[M1]
    found = ignition_verdict(
        host, fleet[fleet.boot(M1)], "master.ign", "", None, expires_at=None, now=0.0, serve_expired=False
    )
    assert (found.status, found.why) == (403, f"{host.name} fetches no Ignition file")


@pytest.mark.parametrize("stage", ["waiting", "bootloader"])
def test_reload_before_the_script_changes_what_a_host_boots(fleet_of, stage):
    fleet = fleet_of(Boot.INSTALLER)
    m1 = fleet.boot(M1)
    fleet.happen([*m1.dhcp(Program.PXE), *m1.dhcp(Program.IPXE)] if stage == "bootloader" else [])
    fleet.registry.update([cluster_of(Boot.AGENT)])
    assert (fleet[m1].boot, fleet[m1].lacks_image) == (Boot.AGENT, False)


@pytest.mark.parametrize("stage", ["script", "initramfs"])
def test_reload_after_the_script_leaves_what_the_machine_runs(fleet_of, stage):
    fleet = fleet_of(Boot.INSTALLER)
    m1 = fleet.boot(M1)
    fleet.happen(m1.to_script() if stage == "script" else m1.to_initramfs())
    fleet.registry.update([cluster_of(Boot.AGENT)])
    assert fleet[m1].boot is Boot.INSTALLER


@pytest.mark.parametrize("dhcp", ["ours", "of another server"])
@pytest.mark.parametrize("boot", LIVE_SYSTEMS)
def test_machine_that_is_sent_another_script_after_a_reload_is_installed_once(fleet_of, boot, dhcp):
    """Whoever installs from the same record as before would wipe the disk at the end."""
    fleet = fleet_of(Boot.INSTALLER)
    m1 = fleet.boot(M1)
    fleet.happen([*m1.to_initramfs(), m1.started(WebKind.ROOTFS, 900 * MB)])
    fleet.registry.update([cluster_of(boot)])
    if dhcp == "ours":  # a virtual machine is back before the installer counts as gone
        fleet.happen(m1.to_initramfs(), 0.2)
    else:
        scripts = [*m1.get(WebKind.MENU), *m1.get(WebKind.SCRIPT)]
        fleet.happen([*scripts, *m1.get(WebKind.KERNEL), *m1.get(WebKind.INITRAMFS, 80 * MB)])
    fleet.happen(rest(m1, boot))
    assert (fleet[m1].boot, fleet[m1].stage) == (boot, Stage.IGNITION)
    fleet.wait(1800)
    fleet.happen(m1.dhcp(Program.PXE))
    assert (fleet[m1].stage, fleet[m1].order) == (Stage.INSTALLED, Order.LOCAL)


def other(fleet_of) -> Fleet:
    fleet = fleet_of(Boot.INSTALLER)
    balancer = replace(fleet.cluster.hosts[M1], role=Role.OTHER, boot=Boot.NOTHING, install=Install.NEVER)
    fleet.registry.update([replace(fleet.cluster, hosts=(fleet.cluster.hosts[0], balancer, *fleet.cluster.hosts[2:]))])
    return fleet


def test_machine_that_is_no_node_has_no_stage_whatever_it_does(fleet_of):
    fleet = other(fleet_of)
    m1 = fleet.boot(M1)
    before = fleet[m1]
    fleet.happen([*m1.dhcp(Program.PXE) * 9, *m1.dhcp(Program.OS), m1.api_int(Transport.TCP), m1.answered()])
    assert fleet[m1] is before
    assert (before.stage, before.order) == (Stage.WAITING, Order.LOCAL)


def test_machine_that_is_no_node_has_no_conditions(fleet_of):
    fleet = other(fleet_of)
    m1 = fleet.boot(M1)
    for _ in range(9):
        fleet.happen(m1.dhcp(Program.PXE))
        fleet.wait(300)
    assert fleet.registry.condition(fleet[m1], fleet.clock.now) is None


@pytest.mark.parametrize("trouble", ["not-booting", "may-be-running", "silent"])
def test_machine_that_becomes_no_node_has_no_conditions_any_more(fleet_of, trouble):
    """No order would end them, and a silence at its boot file would be published without end."""
    fleet = fleet_of(Boot.INSTALLER)
    m1 = fleet.boot(M1)
    if trouble == "not-booting":
        fleet.happen(m1.live())
        fleet.wait(60)
        fleet.happen(m1.dhcp(Program.PXE) * 9, 60)
    else:
        fleet.happen(m1.api_int() if trouble == "may-be-running" else [*m1.dhcp(Program.PXE), *m1.loader()])
        fleet.wait(600)
    assert fleet.registry.condition(fleet[m1], fleet.clock.now).name == trouble
    balancer = replace(fleet.cluster.hosts[M1], role=Role.OTHER, boot=Boot.NOTHING, install=Install.NEVER)
    fleet.registry.update([replace(fleet.cluster, hosts=(fleet.cluster.hosts[0], balancer, *fleet.cluster.hosts[2:]))])
    told = len(fleet.told)
    fleet.registry.tell_silences(fleet.clock.now)
    assert fleet.registry.condition(fleet[m1], fleet.clock.now) is None
    assert len(fleet.told) == told


@pytest.mark.parametrize("what", ["reinstall", "adopt", "hold", "release"])
def test_machine_that_is_no_node_takes_no_orders(fleet_of, what):
    fleet = other(fleet_of)
    with pytest.raises(ControlError, match="role: other"):
        fleet.registry.order(fleet.registry.hosts[fleet.boot(M1).host], what)


def test_forged_message_between_script_and_kernel_leaves_what_the_machine_runs(fleet_of):
    """It was taken for a try that was given up, and the next one began as the file says since a reload."""
    fleet = fleet_of(Boot.AGENT)
    m1 = fleet.boot(M1)
    scripts = [*m1.get(WebKind.MENU), *m1.get(WebKind.SCRIPT)]
    fleet.happen([*scripts, *m1.get(WebKind.KERNEL)])
    fleet.wait(700)
    fleet.happen(scripts)
    fleet.registry.update([cluster_of(Boot.INSTALLER)])
    fleet.happen(m1.dhcp(Program.PXE)[:1])
    fleet.happen([*m1.get(WebKind.KERNEL), *m1.get(WebKind.INITRAMFS), *rest(m1, Boot.AGENT)])
    assert (fleet[m1].boot, fleet[m1].stage) == (Boot.AGENT, Stage.IGNITION)
