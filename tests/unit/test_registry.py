"""The registry: what a reload keeps, what its clock does, and which events it publishes."""

import asyncio
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address

import pytest

from appliance.bus import Bus
from appliance.errors import ControlError, StoreError
from appliance.events import (
    CertificatesDying,
    DhcpUnknown,
    FileUnservable,
    IgnitionLoaded,
    IgnitionRefused,
    InstallSettled,
    Ordered,
    Program,
    RogueDhcp,
    StateTrouble,
    WebKind,
    WebProgress,
    WebRefused,
)
from appliance.install.installation import Order, Stage
from appliance.model import Install, MacAddress
from appliance.registry import SAVE_TRIES, Registry
from appliance.state.encoding import decoded
from appliance.state.fallback import FallbackStore
from appliance.state.journal import Journal
from appliance.state.sqlite import SqliteStore
from appliance.state.store import Change
from tests.boots import LIVE, MB, NOW, Boot, Fleet, refuse_writes


def with_host(cluster, index, **changes):
    hosts = list(cluster.hosts)
    hosts[index] = replace(hosts[index], **changes)
    return replace(cluster, hosts=tuple(hosts))


def installed(fleet, index=1):
    boot = fleet.boot(index)
    fleet.happen(boot.live())
    fleet.wait(30)
    fleet.happen(boot.dhcp(Program.OS))
    return boot


def test_every_host_has_an_installation_with_a_token_of_its_own(live):
    tokens = {installation.token for installation in live.registry.installations.values()}
    assert len(tokens) == 7
    assert min(map(len, tokens)) == 32


def test_tokens_of_two_appliances_differ(tmp_path):
    tokens = set()
    for name in "ab":
        fleet = Fleet(tmp_path / name)
        tokens.add(next(iter(fleet.registry.installations.values())).token)
        fleet.journal.close()
    assert len(tokens) == 2


def test_reload_keeps_the_mapping_and_every_state(live):
    boot = installed(live)
    mapping, before = live.registry.installations, live[boot]
    live.registry.update([LIVE])
    assert live.registry.installations is mapping
    assert live[boot] == before


def test_renamed_host_stays_installed(live):
    boot = installed(live)
    live.registry.update([with_host(LIVE, 1, name="control-1.ocp45.example.localdomain")])
    assert boot.host not in live.registry.installations
    assert live.registry.installations["control-1.ocp45.example.localdomain"].order is Order.LOCAL


M1, M2, M9 = (f"{name}.ocp45.example.localdomain" for name in ("m1", "m2", "m9"))
NEW_MACHINE = (MacAddress.parse("52:54:00:00:00:09"),)


def with_macs_exchanged():
    first, second = LIVE.hosts[1], LIVE.hosts[2]
    return with_host(with_host(LIVE, 1, macs=second.macs), 2, macs=first.macs)


def again(fleet):
    """Return the registry after a restart with the same files."""
    return Registry(fleet.journal, fleet.registry.clusters, lambda _: None)


def test_machines_whose_names_were_exchanged_stay_what_they_are(live):
    installed(live)
    live.registry.update([with_macs_exchanged()])
    for registry in (live.registry, again(live)):
        assert (registry.installations[M2].stage, registry.installations[M2].order) == (Stage.BOOTED, Order.LOCAL)
        assert (registry.installations[M1].stage, registry.installations[M1].order) == (Stage.WAITING, Order.INSTALL)


def test_machines_whose_names_are_exchanged_back_are_what_they_were(live):
    boot = installed(live)
    live.registry.order(live.registry.hosts[M1], "hold")
    live.registry.update([with_macs_exchanged()])
    live.registry.update([LIVE])
    assert (live[boot].stage, live[boot].order) == (Stage.BOOTED, Order.HOLD)
    assert live.registry.installations[M2].order is Order.INSTALL


def test_what_a_machine_did_under_another_name_goes_back_with_it(live):
    live.happen(live.boot(1).to_script())
    live.registry.update([with_host(LIVE, 1, name=M9)])
    boot = Boot(live.registry.hosts[M9])
    live.happen(boot.live())
    live.wait(30)
    live.happen(boot.dhcp(Program.OS))
    live.registry.update([LIVE])
    for registry in (live.registry, again(live)):
        assert registry.installations[M1].order is Order.LOCAL


def test_a_new_machine_under_the_old_name_of_a_renamed_one_is_armed(live):
    installed(live)
    renamed = with_host(LIVE, 1, name=M9)
    live.registry.update([renamed])
    newcomer = replace(LIVE.hosts[1], macs=NEW_MACHINE, addresses=(IPv4Address("172.16.0.99"),))
    live.registry.update([replace(renamed, hosts=(*renamed.hosts, newcomer))])
    for registry in (live.registry, again(live)):
        assert registry.installations[M9].order is Order.LOCAL
        assert registry.installations[M1].order is Order.INSTALL


def test_a_card_that_is_replaced_does_not_arm_an_installed_machine(live):
    installed(live)
    live.registry.update([with_host(LIVE, 1, macs=NEW_MACHINE)])
    assert live.registry.installations[M1].order is Order.LOCAL


@pytest.mark.parametrize("name", [1, 2])
def test_second_card_that_was_a_host_of_its_own_does_not_arm_an_installed_machine(live, name):
    """Firmware tried its second card later, and the operator then wrote that it is the same machine."""
    installed(live)
    live.happen(live.boot(2).dhcp(Program.PXE))
    both = (*LIVE.hosts[1].macs, *LIVE.hosts[2].macs)
    one = with_host(LIVE, name, macs=both)
    live.registry.update([replace(one, hosts=tuple(host for host in one.hosts if host.name != (M2, M1)[name - 1]))])
    for registry in (live.registry, again(live)):
        assert registry.installations[(M1, M2)[name - 1]].order is Order.LOCAL


def test_a_name_that_goes_to_another_machine_keeps_counting(live):
    installed(live)
    before = live.registry.installations[M1].number
    live.registry.update([with_macs_exchanged()])
    assert live.registry.installations[M1].number > before


def test_a_host_that_a_reload_removes_while_it_writes_its_disk_is_no_trouble(live):
    live.happen(live.boot(1).live())
    live.registry.update([replace(LIVE, hosts=LIVE.hosts[2:])])
    live.wait(100)
    live.registry.update([LIVE])
    live.wait(100)
    assert live.registry.installations[M1].is_settled


def test_host_that_comes_back_to_the_file_stays_installed(live):
    boot = installed(live)
    live.registry.update([replace(LIVE, hosts=LIVE.hosts[2:])])
    assert boot.host not in live.registry.installations
    live.registry.update([LIVE])
    assert live[boot].stage is Stage.BOOTED


def test_new_machine_under_a_new_name_is_armed(live):
    installed(live)
    live.registry.update(
        [with_host(LIVE, 1, name="m9.ocp45.example.localdomain", macs=(MacAddress.parse("52:54:00:00:00:09"),))]
    )
    assert live.registry.installations["m9.ocp45.example.localdomain"].order is Order.INSTALL


@pytest.mark.parametrize(("install", "order"), [(Install.ALWAYS, Order.INSTALL), (Install.NEVER, Order.LOCAL)])
def test_reload_applies_a_new_policy_at_once(live, install, order):
    live.registry.update([with_host(LIVE, 2, install=install)])
    assert live[live.boot(2)].order is order


def test_never_host_cannot_be_armed(live):
    live.registry.update([with_host(LIVE, 1, install=Install.NEVER)])
    with pytest.raises(ControlError, match="install: never"):
        live.registry.order(live.registry.hosts[live.boot(1).host], "reinstall")


def test_names_are_full_or_short_and_in_any_case(live):
    (full,), (short,) = live.registry.named(["M1.ocp45.example.localdomain."]), live.registry.named(["m1"])
    assert full is short


def test_name_of_no_host_is_an_error(live):
    with pytest.raises(ControlError, match="host 'm9' not found"):
        live.registry.named(["m9"])


def test_short_name_of_two_clusters_hosts_is_refused(live):
    other = replace(
        LIVE, name="ocp46", hosts=tuple(replace(host, name=host.name.replace("45", "46")) for host in LIVE.hosts)
    )
    live.registry.update([LIVE, other])
    with pytest.raises(ControlError, match="use the full name"):
        live.registry.named(["m1"])


def test_progress_is_followed_and_not_written(live):
    m1 = live.boot(1)
    live.happen([*m1.to_initramfs(), m1.started(WebKind.ROOTFS, 900 * MB)])
    live.happen([m1.progress(WebKind.ROOTFS, sent * MB, 900 * MB) for sent in range(100, 900, 100)])
    activity = live.registry.activity[m1.host]
    assert (activity.what, activity.sent, activity.total, activity.is_under_way) == ("rootfs", 800 * MB, 900 * MB, True)
    assert "web.progress" not in {row.kind for row in live.journal.events()}


def test_progress_of_strangers_is_not_written_either(live):
    live.happen(WebProgress("", "172.16.0.200", "/rootfs", WebKind.ROOTFS, MB, 900 * MB))
    assert live.journal.events() == []


def test_bytes_are_counted_by_host_and_kind(live):
    m1 = live.boot(1)
    live.happen([*m1.live(), m1.broken(WebKind.ROOTFS, sent=5)])
    assert live.registry.bytes[m1.host, "rootfs"] == 900 * MB + 5
    assert live.registry.bytes[m1.host, "loader"] == MB


def on_disk(fleet, boot):
    with closing(sqlite3.connect(fleet.journal.store.path)) as db:
        (state,) = db.execute("SELECT state FROM installations WHERE host = ?", (boot.host,)).fetchone()
    return decoded(state)


def test_what_a_host_repeats_is_written_by_the_next_tick(live):
    m1 = live.boot(1)
    live.happen([*m1.to_script(), *m1.get(WebKind.SCRIPT)], seconds=0.01)
    assert on_disk(live, m1).repeats == {"script": 1}
    live.registry._write_behind()
    assert on_disk(live, m1) == live[m1]
    assert live[m1].repeats == {"script": 3}  # the menu once, and its own script twice


def test_window_that_opens_again_late_is_written_at_once(live):
    m1 = live.boot(1)
    live.happen(m1.to_script())
    live.wait(3600)
    live.happen(m1.get(WebKind.SCRIPT))
    assert on_disk(live, m1) == live[m1]
    assert live[m1].window_opened_at > NOW + 3600


def test_unknown_machine_is_kept_over_a_restart(tmp_path):
    fleet = Fleet(tmp_path)
    fleet.happen(DhcpUnknown("", "52:54:00:00:00:09", Program.PXE, "x64-uefi", "PXEClient", "192.0.2.1", "eth0"))
    fleet.happen(DhcpUnknown("", "52:54:00:00:00:09", Program.OS))
    fleet.registry._write_behind()
    before = fleet.registry.strangers.latest()
    fleet.journal.close()
    again = Fleet(tmp_path)
    assert again.registry.strangers.latest() == before
    assert (before[0].times, before[0].arch, before[0].program) == (2, "x64-uefi", "os")
    again.journal.close()


def test_unknown_machine_that_an_older_version_kept_is_known(tmp_path):
    fleet = Fleet(tmp_path)
    fleet.happen(DhcpUnknown("", "52:54:00:00:00:09", Program.PXE))
    ((mac, last_at, facts),) = fleet.registry.strangers.rows()
    older = {"client" if fact == "program" else fact: value for fact, value in facts.items()}
    fleet.journal.store.save_strangers([(mac, last_at, older)])
    fleet.journal.close()
    again = Fleet(tmp_path)
    assert [stranger.program for stranger in again.registry.strangers.latest()] == ["pxe"]
    again.journal.close()


def test_unknown_machine_that_becomes_a_host_is_forgotten(live):
    live.happen(DhcpUnknown("", "52:54:00:00:00:09", Program.PXE))
    live.registry.update([with_host(LIVE, 1, macs=(MacAddress.parse("52:54:00:00:00:09"),))])
    assert not live.registry.strangers.latest()


def test_flood_of_invented_machines_does_not_flood_the_history(live):
    for number in range(5000):
        live.happen(DhcpUnknown("", number.to_bytes(6).hex(":"), Program.PXE))
    assert len(live.journal.events(limit=10_000)) == 1024


def test_refusal_of_a_stranger_is_kept_too(live):
    live.happen(WebRefused("", "192.0.2.9", "/bootstrap.ign", WebKind.IGNITION, 403, "no host's address"))
    assert [event.client for _, event in live.registry.refusals] == ["192.0.2.9"]


def test_event_without_a_host_is_in_the_history(live):
    live.happen(RogueDhcp("", "192.0.2.9", "eth0", "192.0.2.10"))
    assert [row.kind for row in live.journal.events()] == ["dhcp.rogue"]


def test_subscribers_get_the_number_of_the_installation(live):
    told = []
    live.bus.subscribers.append(told.append)
    m1 = live.boot(1)
    live.happen([*m1.live(), Ordered(m1.host, "reinstall"), RogueDhcp("", "192.0.2.9", "eth0", "192.0.2.10")])
    numbers = {stamped.event.kind: stamped.number for stamped in told}
    assert (numbers["web.done"], numbers["operator.order"], numbers["dhcp.rogue"]) == (1, 2, 0)


# Other writers of the same store


class Pair:
    """Two appliances with the same store, neither of which is notified of the other's changes."""

    def __init__(self):
        self.store = SqliteStore.in_memory()
        self.buses = [Bus(lambda: NOW), Bus(lambda: NOW)]
        self.registries = []
        for bus in self.buses:
            registry = Registry(Journal(self.store), [LIVE], bus.publish)
            bus.first = registry.listen
            self.registries.append(registry)

    def happen(self, index, *happened):
        for event in happened:
            self.buses[index].publish(event)
        assert not self.buses[index].failures


@pytest.fixture
def pair():
    pair = Pair()
    yield pair
    pair.store.close()


def test_event_in_conflict_is_advanced_again_on_what_is_current(pair):
    m1 = Boot(LIVE.hosts[1])
    pair.happen(0, *m1.live())
    told = []
    pair.buses[1].subscribers.append(told.append)
    script = m1.started(WebKind.SCRIPT)
    pair.happen(1, script)  # this appliance takes the machine for new, but it has been restarted
    after = pair.registries[1].installations[m1.host]
    assert (after.number, after.stage, after.tries) == (2, Stage.SCRIPT, 1)
    assert pair.store.load()[m1.host].installation == after
    assert [stamped.number for stamped in told] == [2, 2]
    pair.registries[1].journal.flush()
    assert [row.number for row in pair.store.events(m1.host) if row.kind == "web.start"][-1] == 2


def test_event_that_changes_nothing_current_takes_that_over(pair):
    m1 = Boot(LIVE.hosts[1])
    hold = Ordered(m1.host, "hold")
    pair.happen(0, hold)
    revision = pair.store.load()[m1.host].revision
    pair.happen(1, hold)
    assert pair.registries[1].installations[m1.host] == pair.registries[0].installations[m1.host]
    assert pair.store.load()[m1.host].revision == revision


def test_reload_that_renames_starts_from_what_is_current(pair):
    pair.happen(0, *Boot(LIVE.hosts[1]).to_script())
    pair.happen(1, *Boot(LIVE.hosts[1]).dhcp(Program.PXE))
    pair.registries[1].journal.flush()
    current = pair.registries[1].installations[M1]
    pair.registries[0].update([with_host(LIVE, 1, name=M9)])
    assert pair.registries[0].installations[M9] == replace(current, host=M9)
    assert M1 not in pair.store.load()


class BusyStore(SqliteStore):
    """A store in which another writer saves first, `rivals` times."""

    rivals = 0

    def save(self, changes, rows=(), clock=None):
        for change in changes[:1]:
            kept = self.load().get(change.host)
            if self.rivals and kept is not None:
                self.rivals -= 1
                other = replace(kept.installation, image_bytes=kept.installation.image_bytes + 1)
                super().save([Change(change.host, kept.revision, other)])
        return super().save(changes, rows, clock)


@pytest.mark.parametrize(("rivals", "failures"), [(1, 0), (SAVE_TRIES, 0), (SAVE_TRIES + 5, 1)])
def test_tries_to_save_are_bounded(rivals, failures):
    store, bus, told = BusyStore.in_memory(), Bus(lambda: NOW), []
    registry = Registry(Journal(store), [LIVE], bus.publish)
    bus.first = registry.listen
    bus.subscribers.append(told.append)
    bus.publish(Ordered(M1, "hold"))
    store.rivals = rivals
    bus.publish(Ordered(M1, "release"))
    assert bus.failures.total() == failures
    assert len(told) == 2
    assert registry.installations[M1] == store.load()[M1].installation
    assert registry.installations[M1].is_held == bool(failures)
    store.close()


class LateStore(SqliteStore):
    """A store whose changes become durable after `save` has returned."""

    def save(self, changes, rows=(), clock=None):
        outcome = super().save(changes, rows, clock)
        self.durable = asyncio.get_running_loop().create_future()
        return outcome._replace(written=self.durable)


async def test_written_waits_until_the_change_is_durable():
    store, bus = LateStore.in_memory(), Bus(lambda: NOW)
    registry = Registry(Journal(store), [LIVE], bus.publish)
    bus.first = registry.listen
    bus.publish(Ordered(M1, "hold"))
    waiting = asyncio.create_task(registry.written(M1))
    await asyncio.sleep(0)
    await registry.written(M2)  # has no change
    assert not waiting.done()
    store.durable.set_result(None)
    await waiting
    store.close()


async def test_written_raises_when_the_change_will_not_be_durable():
    store, bus = LateStore.in_memory(), Bus(lambda: NOW)
    registry = Registry(Journal(store), [LIVE], bus.publish)
    bus.first = registry.listen
    bus.publish(Ordered(M1, "hold"))
    store.durable.set_exception(StoreError("no majority"))
    with pytest.raises(StoreError, match="no majority"):
        await registry.written(M1)
    store.close()


async def test_written_does_not_wait_for_sqlite(live):
    live.happen(live.boot(1).to_script())
    waiting = live.registry.written(M1)
    with pytest.raises(StopIteration):  # at its first step, which means without a turn of the loop
        waiting.send(None)


# Certificates

HOUR = 3600.0


def loaded(path, seconds_left):
    return IgnitionLoaded("", str(path), "3.2.0", datetime.fromtimestamp(NOW + seconds_left, UTC).isoformat())


@pytest.fixture
def bootstrap_ign(live, tmp_path):
    live.registry.update([replace(LIVE, data_dir=tmp_path)])
    path = tmp_path / "ignition" / "bootstrap.ign"
    path.parent.mkdir()
    path.write_text("{}")
    return path


def with_bootstrap(install, data_dir):
    return replace(with_host(LIVE, 0, install=install), data_dir=data_dir)


@pytest.mark.parametrize(("hours", "times"), [(13, 0), (11, 1), (-1, 1)])
def test_owner_is_warned_twelve_hours_before_certificates_die(live, bootstrap_ign, hours, times):
    live.happen(loaded(bootstrap_ign, hours * HOUR))
    assert len(live.registry.certificates.warnings(NOW)) == times


def test_each_warning_comes_once_before_the_end_and_once_at_it(live, bootstrap_ign):
    live.happen(loaded(bootstrap_ign, 24 * HOUR))
    warnings = [warning for hour in range(30) for warning in live.registry.certificates.warnings(NOW + hour * HOUR)]
    assert [warning.seconds_left > 0 for warning in warnings] == [True, False]
    assert all(isinstance(warning, CertificatesDying) for warning in warnings)


def test_a_file_that_was_taken_away_warns_of_nothing(live, bootstrap_ign):
    live.happen(loaded(bootstrap_ign, HOUR))
    bootstrap_ign.unlink()
    assert not live.registry.certificates.warnings(NOW)


def test_a_file_that_cannot_be_read_shows_why(live, bootstrap_ign):
    live.happen(FileUnservable("", str(bootstrap_ign), "it may not be read"))
    live.happen(FileUnservable("", str(bootstrap_ign.with_suffix(".gz")), "an image is nothing of this clock"))
    assert [state.problem for state in live.registry.certificates.states()] == ["it may not be read"]


def test_file_that_is_kept_from_a_host_has_no_problem_itself(live, bootstrap_ign):
    live.happen([loaded(bootstrap_ign, -HOUR), FileUnservable("m1", str(bootstrap_ign), "expired")])
    assert [state.problem for state in live.registry.certificates.states()] == [""]


def test_new_file_begins_a_new_clock(live, bootstrap_ign):
    live.happen(loaded(bootstrap_ign, -HOUR))
    live.registry.certificates.warnings(NOW)
    live.happen(loaded(bootstrap_ign, HOUR))
    assert live.registry.certificates.warnings(NOW)


def test_bad_file_keeps_the_clock_of_the_one_that_is_served(live, bootstrap_ign):
    live.happen([loaded(bootstrap_ign, HOUR), IgnitionRefused("", str(bootstrap_ign), "is not JSON")])
    (state,) = live.registry.certificates.states()
    assert (state.expires_at, state.problem) == (NOW + HOUR, "is not JSON")


def test_file_whose_hosts_are_all_installed_is_neither_shown_nor_warned_of(live, bootstrap_ign):
    live.happen(loaded(bootstrap_ign, -HOUR))
    installed(live, 0)
    assert live.registry.certificates.states() == []
    assert live.registry.certificates.warnings(NOW) == []


def test_file_that_one_of_its_hosts_still_needs_is_shown(live, bootstrap_ign):
    master_ign = bootstrap_ign.with_name("master.ign")
    master_ign.write_text("{}")
    live.happen(loaded(master_ign, HOUR))
    installed(live, 1)
    installed(live, 2)
    assert [state.path for state in live.registry.certificates.states()] == [str(master_ign)]


def test_file_that_is_needed_again_is_warned_of_again(live, bootstrap_ign):
    live.happen(loaded(bootstrap_ign, -HOUR))
    certificates = live.registry.certificates
    times = [len(certificates.warnings(NOW))]
    installed(live, 0)
    times.append(len(certificates.warnings(NOW)))
    live.happen(Ordered(LIVE.hosts[0].name, "reinstall"))
    times.append(len(certificates.warnings(NOW)))
    assert times == [1, 0, 1]


@pytest.mark.parametrize(("install", "is_shown"), [(Install.NEVER, False), (Install.ALWAYS, True)])
def test_file_is_shown_by_what_cluster_yaml_says_of_its_hosts(live, bootstrap_ign, install, is_shown):
    installed(live, 0)
    live.registry.update([with_bootstrap(install, bootstrap_ign.parent.parent)])
    live.happen(loaded(bootstrap_ign, HOUR))
    assert bool(live.registry.certificates.states()) == is_shown


def test_file_of_a_cluster_that_was_removed_is_not_shown(live, bootstrap_ign):
    live.happen(loaded(bootstrap_ign, HOUR))
    live.registry.update([LIVE])
    assert live.registry.certificates.states() == []


def test_file_that_is_gone_is_not_shown(live, bootstrap_ign):
    live.happen(loaded(bootstrap_ign, HOUR))
    bootstrap_ign.unlink()
    assert live.registry.certificates.states() == []


# The clock


class RunningFleet(Fleet):
    """A fleet whose registry runs its periodic work in real time."""

    async def __aenter__(self):
        self.task = asyncio.create_task(self.registry.run())
        return self

    async def __aexit__(self, *_):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self.journal.close()


async def until(claim, seconds=10.0):
    async with asyncio.timeout(seconds):
        while not claim():
            await asyncio.sleep(0.01)


async def test_host_settles_by_the_clock_when_its_disk_can_be_written(tmp_path):
    async with RunningFleet(tmp_path, LIVE, now=time.time()) as fleet:
        m1 = fleet.boot(1)
        fleet.happen(m1.live(rootfs=120 * MB), 0.0)
        assert fleet[m1].order is Order.INSTALL
        await until(lambda: fleet[m1].order is Order.LOCAL)
        # By the clock of the fleet, which has stopped when the machine had everything: 120 MB at 100 MB/s.
        assert time.time() >= fleet.clock.now + 1.2
        assert list(fleet.of(InstallSettled))


async def test_host_that_was_due_while_the_appliance_was_down_settles_at_the_start(tmp_path):
    first = Fleet(tmp_path, LIVE, now=time.time() - 3600)
    m1 = first.boot(1)
    first.happen(m1.live(), 0.0)
    first.journal.close()
    async with RunningFleet(tmp_path, LIVE, now=time.time()) as fleet:
        assert fleet[m1].order is Order.INSTALL
        await asyncio.sleep(0)
        assert fleet[m1].order is Order.LOCAL


async def test_trouble_is_reported_once_and_ends_when_the_disk_comes_back(tmp_path, monkeypatch):
    monkeypatch.setattr("appliance.registry.TICK_SECONDS", 0.01)
    monkeypatch.setattr("appliance.registry.RETRY_SECONDS", 0.01)
    async with RunningFleet(tmp_path, LIVE) as fleet:
        refuse_writes(fleet.journal)
        fleet.happen(fleet.boot(1).dhcp(Program.PXE))
        await until(lambda: fleet.journal.trouble is None)
        assert len(list(fleet.of(StateTrouble))) <= 1
    again = Fleet(tmp_path, LIVE)
    assert again[again.boot(1)].stage is Stage.FIRMWARE
    again.journal.close()


def test_subscriber_may_publish_and_all_hear_it_in_order(tmp_path):
    bus, heard = Bus(), []
    journal = Journal(FallbackStore(tmp_path))
    registry = Registry(journal, [LIVE], bus.publish)
    bus.first = registry.listen
    bus.subscribers.append(lambda stamped: heard.append(stamped.event.kind))
    for event in Boot(LIVE.hosts[1]).dhcp(Program.PXE):
        bus.publish(event)
    assert heard == ["dhcp.offer", "install.stage", "dhcp.ack"]
    journal.close()
