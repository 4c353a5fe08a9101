"""Every host's current installation: the only place that changes them, and the clock that settles them.

The registry gets each event first (`listen`), advances the host's installation, and
returns when the store has the change, so that no reply depends on anything that a
crash would lose; only counts of what a host repeated may be a second old. If a store
is written later than `listen` returns, a server awaits `written` before it sends a
reply that depends on the change. Wiring, in the loop's thread:

    journal = Journal(FallbackStore(data_dir))
    tables = compile_tables(clusters, journal.serials(clusters))      # in a thread
    clock = Clock()
    bus = Bus(clock.now)
    registry = Registry(journal, clusters, bus.publish, clock)
    bus.first = registry.listen
    bus.subscribers += [log.listen, metrics.listen]
    tasks.create_task(registry.run())                                 # its clock, and buffered writes
    registry.update(clusters)                                         # after a reload

All other parts get it as a `registry_view.RegistryView`, through which they cannot change it.
"""

import asyncio
import hmac
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from operator import attrgetter
from pathlib import Path

from appliance import events
from appliance.balancer.compile import all_front_ends
from appliance.balancer.orders import hindrance, ordered
from appliance.boot.loaders import find_loader
from appliance.clock import Clock
from appliance.errors import ControlError, StoreError
from appliance.events import Event, Stamped
from appliance.install import recipes
from appliance.install.activity import Activity, sent_by
from appliance.install.certificates import DELETE_HINT, CertificateClock, unneeded
from appliance.install.conditions import judged, silence
from appliance.install.installation import Condition, Installation, Order, Rules, Stage, begin, needs_ignition, order_of
from appliance.install.instants import after_reboot, shifted
from appliance.install.lifecycle import advance
from appliance.install.owners import assigned, doubted
from appliance.install.refusals import Refusals
from appliance.install.strangers import Strangers
from appliance.model import Boot, Cluster, Host, Install, Loader
from appliance.state.journal import Journal
from appliance.state.store import Conflict, Saved

TICK_SECONDS = 1.0  # a crash loses buffered writes of at most this long, and a power failure the disk's cache of it
LOOK_SECONDS = 5.0  # between two searches for hosts that have fallen silent
RETRY_SECONDS = 10.0  # between two attempts to write to a disk that refused
# Each conflict means that another writer has saved its change, and the events of a host come one at a time: a handful
# of appliances cannot collide this often, and a broken store must not block the loop.
SAVE_TRIES = 8


class Registry:
    """The hosts' installations, what each host is doing, and which other machines were seen.

    `installations` has every host of the cluster.yaml files by its full name, and
    stays the same object. `bytes` counts (host, kind of file) → bytes sent.
    """

    def __init__(
        self,
        journal: Journal,
        clusters: Iterable[Cluster],
        publish: Callable[[Event], None],
        clock: Clock | None = None,
    ) -> None:
        """*clock* is the one that stamps the events; by default another one of this machine."""
        clusters = tuple(clusters)
        self.journal = journal
        self.installations: dict[str, Installation] = {}
        self.activity: dict[str, Activity] = {}
        self.hosts: dict[str, Host] = {}
        self.clusters: tuple[Cluster, ...] = ()
        self.cluster_of: dict[str, Cluster] = {}  # by the host's full name
        self.certificates = CertificateClock(self._is_needed)
        self.strangers = Strangers(journal.store.strangers())
        self.refusals = Refusals()
        self.beginnings: dict[str, Loader] = {}  # where `loader: auto` begins, by class of firmware
        self.bytes: Counter[tuple[str, ...]] = Counter()
        self._publish = publish
        self._rules: dict[str, Rules] = {}
        self._due: dict[str, float] = {}  # host → when its doubt lapses or it settles, UTC
        self._told: dict[str, str] = {}  # the condition of each host that was published last
        self._wake = asyncio.Event()
        self._clock = clock or Clock()
        self._known = journal.load()  # includes hosts that are in no cluster.yaml now
        self._take_over_instants(clusters)
        self._listens_since = self.now()
        self._published_trouble: str | None = None
        # Hosts that a later reload adds are new: only those of this start may have had a record that was lost.
        self._is_lost = journal.store.is_lost
        self.update(clusters)
        if self._is_lost:
            self._is_lost = False
            journal.store.settle_loss()

    # Hosts, from cluster.yaml

    def update(self, clusters: Iterable[Cluster]) -> None:
        """Replace the hosts by those of *clusters*; a machine keeps its installation, whatever its name is now."""
        self.clusters = tuple(clusters)
        self.hosts = {host.name: host for cluster in self.clusters for host in cluster.hosts}
        self.cluster_of = {host.name: cluster for cluster in self.clusters for host in cluster.hosts}
        self._rules = {name: self._rules_of(host, self.cluster_of[name]) for name, host in self.hosts.items()}
        self._known |= self.installations
        taken = self._assigned()
        self.installations.clear()
        self._due.clear()
        for installation in taken.values():
            self._keep(installation, is_changed=False)
        self._find_beginnings()
        self.strangers.forget(str(mac) for host in self.hosts.values() for mac in host.macs)

    def _find_beginnings(self) -> None:
        self.beginnings.clear()
        self.beginnings.update(recipes.beginnings((self._known | self.installations).values()))

    def _rules_of(self, host: Host, cluster: Cluster) -> Rules:
        is_rendezvous = host.boot is Boot.AGENT and cluster.rendezvous in host.addresses
        return Rules(
            host.install,
            cluster.release.boots_live,
            self._token,
            cluster.dhcp,
            host.boot,
            leads=host.boot is Boot.IN_PLACE or is_rendezvous,
            loader=host.loader,
            has_file=lambda path: find_loader(path, cluster.data_dir) is not None,
            beginnings=self.beginnings,
        )

    def _assigned(self) -> dict[str, Installation]:
        """Return every host's installation; those of hosts with a new name have been stored under that name."""
        for _ in range(SAVE_TRIES):
            known = self._known
            kept = assigned(known, self.hosts.values())
            taken = {name: self._taken_over(name, before, known.get(name)) for name, before in kept.items()}
            left = {before.host for name, before in kept.items() if before is not None and before.host != name}
            moved = [
                taken[name]
                for name, before in kept.items()
                if before is not known.get(name) or (before is None and taken[name].doubt is not None)
            ]
            outcome = self.journal.move(left, moved) if moved else None
            if not isinstance(outcome, Conflict):
                for name in left:
                    known.pop(name, None)
                    self.activity.pop(name, None)
                return taken
            if outcome.installation is None:
                known.pop(outcome.host, None)
            else:
                known[outcome.host] = outcome.installation
        raise _unsaved("the hosts that changed their names")

    def _taken_over(self, name: str, kept: Installation | None, named: Installation | None) -> Installation:
        """Return the installation of host *name*: *kept* is its machine's, *named* the name's previous one."""
        rules = self._rules[name]
        # Numbered after the installations of the machine that had this name before, whose events are kept under it.
        number = 1 if named is None else named.number + 1
        if kept is None:
            fresh = begin(name, rules, number)
            is_in_doubt = self._is_lost and rules.install is Install.ONCE
            return doubted(fresh, self.now()) if is_in_doubt else fresh
        if kept is not named:
            kept = replace(kept, host=name, number=max(kept.number, number))
        # From its script on, the machine runs what the file said before, until it is sent another one.
        if kept.stage < Stage.SCRIPT:
            kept = replace(kept, boots_live=rules.boots_live, boot=rules.boot)
            kept = replace(kept, lacks_image=kept.asks_early)
        if rules.boot is Boot.NOTHING:
            # It takes no orders, so nobody could take these back, and the load balancer would leave it out for good.
            kept = replace(kept, is_held=False, reinstalled_at=None)
        return replace(kept, order=order_of(kept, rules.install))

    def _is_needed(self, path: Path) -> bool:
        """Whether a host may still need the Ignition file *path*. Any thread may call it."""
        return any(
            host.ignition == path.name and self._needs_ignition(host)
            for cluster in self.clusters
            if cluster.data_dir / "ignition" == path.parent
            for host in cluster.hosts
        )

    def _needs_ignition(self, host: Host) -> bool:
        installation = self.installations.get(host.name)
        if installation is None:
            return True
        is_over = host.is_bootstrap and installation.bootstrapped_at is not None
        return not is_over and needs_ignition(installation, host.install)

    def _token(self, host: str, number: int) -> str:
        # Derived from a secret, so that a crash between making a token and saving it cannot lose it.
        return hmac.digest(self.journal.store.secret, f"{host}/{number}".encode(), "sha256")[:16].hex()

    # Events

    def listen(self, stamped: Stamped) -> int:
        """Advance the host's installation by an event, and return the installation's number; 0 for an event of no host.

        The store has the change when this returns. Raises StoreError if the store does not accept it.
        """
        at, event, _ = stamped
        before = self.installations.get(event.host)
        if before is None:
            self._listen_to_others(stamped)
            return 0
        self._follow(event, at)
        if isinstance(event, events.WebRefused):
            self.refusals.add(at, event)
        if isinstance(event, events.WebProgress):
            return before.number
        after = self._advanced(before, stamped)
        if after is before:
            self.journal.note(stamped, before.number)
            return before.number
        after = judged(after, at)
        if _is_repeat(before, after):
            # A host in a boot loop repeats itself as fast as it likes, and each commit takes some 60 µs.
            self.journal.note(stamped, before.number, after)
        else:
            outcome = self.journal.save(after, stamped)
            if isinstance(outcome, Conflict):
                before, after = self._advanced_again(before, stamped, outcome)
        self._keep(after, is_changed=True)
        if after.number != before.number:  # a new boot began, which ended any transfer
            self.activity[event.host].is_under_way = False
        self._publish_changes(before, after)
        return after.number

    def _advanced(self, before: Installation, stamped: Stamped) -> Installation:
        return advance(before, stamped, self._rules[before.host], self.activity[before.host].installing_at)

    def _advanced_again(
        self, before: Installation, stamped: Stamped, conflict: Conflict
    ) -> tuple[Installation, Installation]:
        """Return the installation before and after an event whose change was in *conflict*, once the store has it."""
        for _ in range(SAVE_TRIES):
            # A store without an installation of the host has lost it: then the one that is known here is current.
            before = conflict.installation or before
            after = self._advanced(before, stamped)
            if after is before:
                self.journal.note(stamped, before.number)
                return before, before
            after = judged(after, stamped.at)
            outcome = self.journal.save(after, stamped)
            if isinstance(outcome, Saved):
                return before, after
            conflict = outcome
        self._keep(conflict.installation or before, is_changed=True)
        raise _unsaved(before.host)

    def _listen_to_others(self, stamped: Stamped) -> None:
        """Keep an event that concerns none of our hosts."""
        event = stamped.event
        if isinstance(event, events.DhcpUnknown):
            if self.strangers.see(event, stamped.at):
                self.journal.note(stamped, 0)
            return
        if isinstance(event, events.WebRefused):
            self.refusals.add(stamped.at, event)
        self.certificates.hear(event)
        if not isinstance(event, events.WebProgress):
            self.journal.note(stamped, 0)

    async def written(self, host: str) -> None:
        """Return when every change to *host*'s installation so far would survive a crash of this process.

        Raises StoreError if a change will not be stored. With SQLite this never waits.
        """
        await self.journal.written(host)

    def _publish_changes(self, before: Installation, after: Installation) -> None:
        if (before.number, before.stage) != (after.number, after.stage):
            self._publish(events.StageReached(after.host, after.number, after.stage.name.lower()))
        if after.bootstrapped_at is not None and before.bootstrapped_at is None:
            for path in unneeded(self.clusters, self.installations):
                self._publish(events.KeysUnneeded("", str(path), DELETE_HINT))
        self._publish_recipe(before, after)
        new, old = after.condition, before.condition
        if new is None:
            if old is not None:
                self._told.pop(after.host, None)
        elif old is None or old.name != new.name:
            self._tell(after.host, new)

    def _publish_recipe(self, before: Installation, after: Installation) -> None:
        recipe = after.recipe
        if recipe is before.recipe:
            return
        if recipe.worked_on and recipe.worked_at != before.recipe.worked_at:
            self.beginnings[recipe.worked_on] = recipes.named(recipe.worked)
            # A machine may name another class at each boot; there is one for each record at most.
            if len(self.beginnings) > len(self.installations):
                self._find_beginnings()
        if why := recipes.news(before, after):
            loader = recipes.named(recipe.loader).value
            self._publish(events.RecipeChosen(after.host, after.number, loader, recipe.block_bytes, why))

    def _tell(self, host: str, condition: Condition) -> None:
        """Publish that *host* has *condition*, once while it lasts."""
        if self._told.get(host) != condition.name:
            self._told[host] = condition.name
            self._publish(events.ConditionRaised(host, condition.name, condition.hint))

    def _keep(self, installation: Installation, *, is_changed: bool) -> None:
        host, due_at = installation.host, installation.lapses_at
        self.installations[host] = installation
        if due_at is None and not installation.is_settled and installation.stage < Stage.INSTALLED:
            ready_at = installation.ready_at
            due_at = ready_at + installation.write_seconds if ready_at is not None else None
        if due_at is not None:
            self._due[host] = due_at
            if is_changed:
                self._wake.set()
        else:
            self._due.pop(host, None)

    def _follow(self, event: Event, at: float) -> None:
        """Note what a known host is doing at this moment."""
        activity = self.activity.get(event.host)
        if activity is None:
            activity = self.activity[event.host] = Activity()
        activity.hear(event, at)
        kind, sent = sent_by(event)
        if sent:
            self.bytes[event.host, kind] += sent

    # Orders of the operator

    def named(self, names: Iterable[str]) -> list[Host]:
        """Return the hosts with these full or short names; raises ControlError for an unknown or ambiguous name."""
        found = []
        for name in names:
            lowered = name.lower().rstrip(".")
            hosts = [host for host in self.hosts.values() if lowered in (host.name, host.short_name)]
            if not hosts:
                files = ", ".join(str(cluster.source) for cluster in self.clusters)
                raise ControlError(f"host {name!r} not found in {files}")
            if len(hosts) > 1:
                full_names = ", ".join(host.name for host in hosts)
                raise ControlError(f"host name {name!r} is ambiguous: {full_names}; use the full name")
            found += hosts
        return list(dict.fromkeys(found))

    def order(self, host: Host, what: str) -> Installation:
        """Carry out the operator's order *what* (one of `evidence.ORDERS`), and return the new installation.

        Raises ControlError if cluster.yaml forbids it, or if it leaves the host waiting.
        """
        if host.boot is Boot.NOTHING:
            raise ControlError(f"{host.name} has `role: other` in cluster.yaml: it is not installed")
        if what == "reinstall" and host.install is Install.NEVER:
            raise ControlError(f"{host.name} has `install: never` in cluster.yaml; change it and reload first")
        if what == "adopt" and host.install is Install.ALWAYS:
            raise ControlError(
                f"{host.name} has `install: always` in cluster.yaml, so its next network boot would install it; "
                "change that to `once` and reload first"
            )
        self._publish(events.Ordered(host.name, what))
        after = self.installations[host.name]
        if what == "release" and after.doubt is not None and after.order is Order.HOLD:
            settled_by = f"`ocp-appliance adopt {host.short_name}` or `ocp-appliance reinstall {host.short_name}`"
            raise ControlError(f"{host.name} still waits because of {after.doubt.name}; settle that with {settled_by}")
        return after

    def balance(self, host: Host, order: str, front_end: str = "") -> Installation:
        """Carry out the operator's *order* (ready, drain or maint) for *host* in the load balancer.

        *front_end* is a name in HAProxy's configuration, or "" for all of which *host* is a member. Returns the
        installation after it. Raises ControlError if there is no such order, or if it does not bring the host back.
        """
        event = ordered(all_front_ends(self.clusters), host, order, front_end)
        self._publish(event)
        after = self.installations[host.name]
        if (why := hindrance(host, after, event)) is not None:
            raise ControlError(f"{host.name} still gets no connections: {why}")
        return after

    # Time

    def now(self) -> float:
        """Return the time by which all instants are, in seconds UTC. Any thread may call it."""
        return self._clock.now()

    def _take_over_instants(self, clusters: Iterable[Cluster]) -> None:
        """Make the kept instants agree with the clock, which may have been set since they were kept."""
        step = self._clock.step_since(self.journal.store.clock())
        if step == 0.0:
            return
        now, uptime = self.now(), self._clock.uptime()
        installs = {host.name: host.install for cluster in clusters for host in cluster.hosts}
        self._move_instants(
            lambda kept: (
                after_reboot(kept, now, uptime, installs.get(kept.host, Install.ONCE))
                if step is None
                else shifted(kept, step)
            )
        )

    def follow_clock(self) -> None:
        """Follow the wall clock if it was set, and move every instant with it, in one turn of the loop."""
        step = self._clock.follow()
        if step == 0.0:
            return
        self._known |= self.installations
        self._move_instants(lambda installation: shifted(installation, step))
        for host in self.installations:
            self._keep(self._known[host], is_changed=True)
        for activity in self.activity.values():
            activity.shift(step)
        self._listens_since += step
        self.strangers.shift(step)
        self.refusals.shift(step)
        self._publish(events.ClockSet("", round(step, 3)))

    def _move_instants(self, move: Callable[[Installation], Installation]) -> None:
        """Replace every known installation by what *move* makes of it, and store that with the clock's setting."""
        known = self._known
        moved = {host: after for host, before in known.items() if (after := move(before)) is not before}
        for _ in range(SAVE_TRIES):
            outcome = self.journal.set_clock(self._clock.setting, moved.values())
            if not isinstance(outcome, Conflict):
                known |= moved
                return
            # Another writer has changed it, by its own clock.
            if outcome.installation is not None:
                moved[outcome.host] = outcome.installation
        raise _unsaved("the instants of all hosts")

    def condition(self, installation: Installation, now: float) -> Condition | None:
        """Return what keeps a host from making progress at *now*, seconds UTC. Any thread may call it."""
        rules = self._rules.get(installation.host)
        if rules is not None and rules.boot is Boot.NOTHING:  # what it was before a reload is no trouble any more
            return None
        activity = self.activity.get(installation.host)
        return (
            installation.doubt
            or installation.condition
            or silence(installation, activity.seen_at if activity else 0.0, now)
        )

    def tell_silences(self, now: float) -> None:
        """Publish the condition of every host that is silent at *now*, seconds UTC, if that was not published yet."""
        self._find_stalled(now)
        for host, installation in self.installations.items():
            found = self.condition(installation, now)
            if found is None:
                self._told.pop(host, None)
            elif installation.condition is not None and found.name == installation.condition.name:
                self._told[host] = found.name  # it was published when it arose, perhaps before a restart
            else:
                self._tell(host, found)

    def _find_stalled(self, now: float) -> None:
        """Publish each host on which a boot file did not start."""
        for host, installation in list(self.installations.items()):
            activity = self.activity.get(host)
            # What a machine sent while nobody listened cannot be missed.
            seen_at = (activity.seen_at if activity else 0.0) or self._listens_since
            is_installed_here = self._rules[host].boot is not Boot.NOTHING
            if is_installed_here and recipes.is_silent(installation, seen_at, now):
                self._publish(events.LoaderSilent(host, installation.number))

    def settle(self, now: float) -> None:
        """Publish what is due by *now*, seconds UTC: a doubt that lapses, or that a host has had the time to write."""
        for host in [host for host, due_at in self._due.items() if due_at <= now]:
            del self._due[host]
            installation = self.installations[host]
            if installation.lapses_at is not None:
                self._publish(events.DoubtLapsed(host, installation.number))
            else:
                self._publish(events.InstallSettled(host, installation.number))

    async def run(self) -> None:
        """Run the clock, and write what is buffered, until cancelled."""
        retry_at = look_at = 0.0  # loop clock
        while True:
            self.follow_clock()
            now, loop_now = self.now(), asyncio.get_running_loop().time()
            self.settle(now)
            if loop_now >= look_at:
                self.tell_silences(now)
                look_at = loop_now + LOOK_SECONDS
            for warning in self.certificates.warnings(now):
                self._publish(warning)
            self._write_behind()
            trouble = self.journal.trouble
            if trouble != self._published_trouble:
                self._published_trouble = trouble
                if trouble is not None:
                    self._publish(events.StateTrouble("", trouble))
            if trouble is None:
                await asyncio.to_thread(self.journal.store.sync)
            elif loop_now >= retry_at:
                self.journal.retry(self.installations.values())
                retry_at = loop_now + RETRY_SECONDS
            next_at = min(self._due.values(), default=now + TICK_SECONDS)
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(TICK_SECONDS, next_at - self.now()))):
                    await self._wake.wait()

    def _write_behind(self) -> None:
        self.journal.flush()
        if self.strangers.has_changed:
            self.strangers.has_changed = False
            self.journal.store.save_strangers(self.strangers.rows())


def _unsaved(what: str) -> StoreError:
    return StoreError(f"cannot save {what}: another writer changed the store {SAVE_TRIES} times in a row")


def _is_repeat(before: Installation, after: Installation) -> bool:
    """Whether *after* differs from *before* only in counts, and in a window that was opened again within a tick."""
    opened_at, again_at = before.window_opened_at, after.window_opened_at
    # After a crash the window is as it was stored, which is too short by a tick at most.
    is_same_window = again_at == opened_at or (
        opened_at is not None and again_at is not None and 0 <= again_at - opened_at <= TICK_SECONDS
    )
    return is_same_window and _all_else(before) == _all_else(after)


# Every field but the counts and the window. Comparing with a replace() of the whole record instead would take 8 of the
# 250 µs that a script takes.
_all_else = attrgetter(*(set(Installation.__match_args__) - {"repeats", "window_opened_at"}))
