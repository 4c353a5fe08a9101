"""Every host's installation as it is now: the one place that changes them, and the clock that settles them.

It hears each event first (`listen`), advances the host's installation, and
returns when the journal has the change, so that no reply depends on what a
crash would forget; only how often a host repeated itself may be a second old. Wiring, in the loop's thread:

    journal = Journal(data_dir)
    tables = compile_tables(clusters, journal.serials(clusters))      # in a thread
    registry = Registry(journal, clusters, bus.publish)
    live = Live(tables, registry.installations)
    bus.listeners += [registry.listen, log.listen]                    # the registry first
    tasks.create_task(registry.run())                                 # its clock, and the journal's
    registry.update(clusters)                                         # after a reload
"""

import asyncio
import hmac
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import replace
from operator import attrgetter

from appliance import events
from appliance.errors import ControlError
from appliance.events import Event, Stamped
from appliance.install.activity import Activity, sent_by
from appliance.install.certificates import CertificateClock
from appliance.install.conditions import judged, silence
from appliance.install.lifecycle import Condition, Installation, Rules, Stage, advance, begin, order_of
from appliance.install.owners import assigned
from appliance.install.strangers import Strangers
from appliance.model import Cluster, Host, Install
from appliance.state.journal import Journal

TICK_SECONDS = 1.0  # events that changed no stage, counts, and the disk's own cache, lose at most this much
LOOK_SECONDS = 5.0  # between two looks at who has fallen silent
RETRY_SECONDS = 10.0  # between two tries to write to a disk that refused
KEPT_REFUSALS = 200


class Registry:
    """The hosts' installations, what each does now, and who else was seen.

    `installations` holds every host of the cluster.yaml files by its full name,
    and stays the same object. `bytes` counts ("host", kind of file) → bytes sent.
    """

    def __init__(self, journal: Journal, clusters: Iterable[Cluster], publish: Callable[[Event], None]) -> None:
        self.journal = journal
        self.installations: dict[str, Installation] = {}
        self.activity: dict[str, Activity] = {}
        self.hosts: dict[str, Host] = {}
        self.clusters: tuple[Cluster, ...] = ()
        self.cluster_of: dict[str, Cluster] = {}  # by the host's full name
        self.certificates = CertificateClock()
        self.strangers = Strangers(journal.load_strangers())
        self.refusals: deque[tuple[float, events.WebRefused]] = deque(maxlen=KEPT_REFUSALS)
        self.bytes: Counter[tuple[str, ...]] = Counter()
        # Each hears of an event and its installation's number.
        self.followers: list[Callable[[Stamped, int], None]] = []
        self._publish = publish
        self._rules: dict[str, Rules] = {}
        self._due: dict[str, float] = {}  # host → when it settles, UTC
        self._silent: set[str] = set()  # hosts of which that was told
        self._wake = asyncio.Event()
        self._known = journal.load()  # also of hosts that no file names now
        self._told_trouble: str | None = None
        self.update(clusters)

    # What cluster.yaml says

    def update(self, clusters: Iterable[Cluster]) -> None:
        """Take over the hosts of *clusters*; a machine keeps its installation, under whatever name."""
        known = self._known = self._known | self.installations
        self.clusters = tuple(clusters)
        self.hosts = {host.name: host for cluster in self.clusters for host in cluster.hosts}
        self.cluster_of = {host.name: cluster for cluster in self.clusters for host in cluster.hosts}
        self._rules = {
            name: Rules(host.install, self.cluster_of[name].release.boots_live, self._token)
            for name, host in self.hosts.items()
        }
        self.installations.clear()
        self._due.clear()
        kept = assigned(known, self.hosts.values())
        taken = {name: self._taken_over(name, one, known.get(name)) for name, one in kept.items()}
        self._note_moves(
            {one.host for name, one in kept.items() if one is not None and one.host != name},
            [taken[name] for name, one in kept.items() if one is not known.get(name)],
        )
        for one in taken.values():
            self._keep(one, is_changed=False)
        self.strangers.forget(str(mac) for host in self.hosts.values() for mac in host.macs)

    def _taken_over(self, name: str, kept: Installation | None, named: Installation | None) -> Installation:
        """Return the installation of host *name*: *kept* is its machine's, *named* what the name had before."""
        rules = self._rules[name]
        number = 1 if named is None else named.number + 1  # behind that of another machine, whose events are kept
        if kept is None:
            return begin(name, rules, number)
        if kept is not named:
            kept = replace(kept, host=name, number=max(kept.number, number))
        if kept.stage is Stage.WAITING:
            kept = replace(kept, boots_live=rules.boots_live, lacks_image=not rules.boots_live)
        return replace(kept, order=order_of(kept, rules.install))

    def _note_moves(self, left: Collection[str], moved: Collection[Installation]) -> None:
        """Put on disk that the machines of the names *left* go by others, and what names have now that had another."""
        if moved:
            self.journal.move(left, moved)
        for name in left:
            self._known.pop(name, None)
            self.activity.pop(name, None)

    def _token(self, host: str, number: int) -> str:
        # From a secret, so that no crash between a token's making and its saving can lose it.
        return hmac.digest(self.journal.secret, f"{host}/{number}".encode(), "sha256")[:16].hex()

    # What happens

    def listen(self, stamped: Stamped) -> None:
        """Hear of an event; the journal has what it changed when this returns."""
        event = stamped.event
        host = event.host
        one = self.installations.get(host)
        if one is None:
            self._listen_to_others(stamped)
            return
        self._hear(event, stamped.at)
        if isinstance(event, events.WebRefused):
            self.refusals.append((stamped.at, event))
        if isinstance(event, events.WebProgress):
            self._tell_followers(stamped, one.number)
            return
        after = advance(one, stamped, self._rules[host])
        if after is not one:
            after = judged(after, stamped.at)
            if _is_repeat(one, after):
                # A host that goes round and round does so as fast as it likes, and each commit takes some 60 µs.
                self.journal.note(stamped, one.number, after)
            else:
                self.journal.save(after, stamped)
            self._keep(after, is_changed=True)
            if after.number != one.number:  # what it was fetching went with the machine's last life
                self.activity[host].is_under_way = False
            self._tell_changes(one, after)
        else:
            self.journal.note(stamped, one.number)
        self._tell_followers(stamped, after.number)

    def _listen_to_others(self, stamped: Stamped) -> None:
        event = stamped.event
        if isinstance(event, events.DhcpUnknown):
            if self.strangers.see(event, stamped.at):
                self.journal.note(stamped, 0)
        else:
            if isinstance(event, events.WebRefused):
                self.refusals.append((stamped.at, event))
            self.certificates.hear(event)
            if not isinstance(event, events.WebProgress):
                self.journal.note(stamped, 0)
        self._tell_followers(stamped, 0)

    def _tell_followers(self, stamped: Stamped, number: int) -> None:
        for follower in self.followers:
            follower(stamped, number)

    def _tell_changes(self, before: Installation, after: Installation) -> None:
        if (before.number, before.stage) != (after.number, after.stage):
            self._publish(events.StageReached(after.host, after.number, after.stage.name.lower()))
        new, old = after.condition, before.condition
        if new is not None and (old is None or old.name != new.name):
            self._publish(events.ConditionRaised(after.host, new.name, new.hint))

    def _keep(self, one: Installation, *, is_changed: bool) -> None:
        self.installations[one.host] = one
        if one.ready_at is not None and not one.is_settled and one.stage < Stage.INSTALLED:
            self._due[one.host] = one.ready_at + one.write_seconds
            if is_changed:
                self._wake.set()
        else:
            self._due.pop(one.host, None)

    def _hear(self, event: Event, at: float) -> None:
        """Follow what a host of ours does at this moment."""
        activity = self.activity.get(event.host)
        if activity is None:
            activity = self.activity[event.host] = Activity()
        activity.hear(event, at)
        kind, sent = sent_by(event)
        if sent:
            self.bytes[event.host, kind] += sent

    # What the operator says

    def named(self, names: Iterable[str]) -> list[Host]:
        """Return the hosts of these full or short names; raises ControlError for one that there is not."""
        found = []
        for name in names:
            lowered = name.lower().rstrip(".")
            hosts = [host for host in self.hosts.values() if lowered in (host.name, host.short_name)]
            if not hosts:
                raise ControlError(f"there is no host {name!r} in {', '.join(str(c.source) for c in self.clusters)}")
            if len(hosts) > 1:
                raise ControlError(f"{name!r} is {' and '.join(host.name for host in hosts)}; give the full name")
            found += hosts
        return list(dict.fromkeys(found))

    def order(self, host: Host, what: str) -> Installation:
        """Carry out the operator's order "reinstall", "hold" or "release", and return the installation after it.

        Raises ControlError when cluster.yaml forbids it.
        """
        if what == "reinstall" and host.install is Install.NEVER:
            raise ControlError(f"{host.name} has `install: never` in cluster.yaml; change that and reload first")
        self._publish(events.Ordered(host.name, what))
        return self.installations[host.name]

    # Time

    def condition(self, one: Installation, now: float) -> Condition | None:
        """Return what keeps a host from getting on at *now*, seconds UTC. Any thread may call it."""
        activity = self.activity.get(one.host)
        return one.condition or silence(one, activity.seen_at if activity else 0.0, now)

    def tell_silences(self, now: float) -> None:
        """Tell of every host that has fallen silent by *now*, seconds UTC."""
        for host, one in self.installations.items():
            found = self.condition(one, now)
            if found is None or found is one.condition:
                self._silent.discard(host)
            elif host not in self._silent:
                self._silent.add(host)
                self._publish(events.ConditionRaised(host, found.name, found.hint))

    def settle(self, now: float) -> None:
        """Tell of every host that has had the time to write its disk by *now*, seconds UTC."""
        for host in [host for host, due_at in self._due.items() if due_at <= now]:
            del self._due[host]
            self._publish(events.InstallSettled(host, self.installations[host].number))

    async def run(self) -> None:
        """Keep the clock and the journal until cancelled."""
        retry_at = look_at = 0.0
        while True:
            now = time.time()
            self.settle(now)
            if now >= look_at:
                self.tell_silences(now)
                look_at = now + LOOK_SECONDS
            for warning in self.certificates.warnings(now):
                self._publish(warning)
            self._write_behind()
            trouble = self.journal.trouble
            if trouble != self._told_trouble:
                self._told_trouble = trouble
                if trouble is not None:
                    self._publish(events.StateTrouble("", trouble))
            if trouble is None:
                await asyncio.to_thread(self.journal.sync)
            elif now >= retry_at:
                self.journal.retry(self.installations.values())
                retry_at = now + RETRY_SECONDS
            next_at = min(self._due.values(), default=now + TICK_SECONDS)
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(TICK_SECONDS, next_at - time.time()))):
                    await self._wake.wait()

    def _write_behind(self) -> None:
        self.journal.flush()
        if self.strangers.has_changed:
            self.strangers.has_changed = False
            self.journal.save_strangers(self.strangers.rows())


def _is_repeat(one: Installation, other: Installation) -> bool:
    """Whether *other* is *one* after it did the same again: counted once more, and a window that opened just now."""
    opened_at, again_at = one.window_opened_at, other.window_opened_at
    # After a crash the window is as the journal has it: by no more than a tick too short.
    is_same_window = again_at == opened_at or (
        opened_at is not None and again_at is not None and 0 <= again_at - opened_at <= TICK_SECONDS
    )
    return is_same_window and _all_else(one) == _all_else(other)


# All that is not told by counting, as a replace() and a comparison of the whole take 8 µs of a script's 250.
_all_else = attrgetter(*(set(Installation.__match_args__) - {"repeats", "window_opened_at"}))
