"""Drives HAProxy: writes its configuration, applies what changed, and follows what it says of the members.

Every second HAProxy is asked what it has loaded and how its members are. What differs
from what is wanted is then put right, whatever the reason: a member that has to leave
by a command, a configuration by a reload. HAProxy's text names itself, so that one
that was started with an older text, or with somebody else's, is noticed as well.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from appliance.balancer import files, runtime
from appliance.balancer.bootstrapping import Bootstrapping
from appliance.balancer.compile import MACHINE_CONFIG, all_front_ends
from appliance.balancer.configured import ConfigFile, Wanted
from appliance.balancer.files import Place
from appliance.balancer.membership import Standing, Standings, standings
from appliance.balancer.news import MemberNews
from appliance.balancer.process import Child
from appliance.balancer.reloading import Reloader
from appliance.balancer.reports import Reports, Totals, answers, reports_of
from appliance.balancer.runtime import UnheardError
from appliance.balancer.troubles import Kind, Troubles
from appliance.balancer.trusted import Authorities
from appliance.events import (
    BalancerConfigured,
    BalancerOrdered,
    BootstrapCompleted,
    Event,
    Ordered,
    Reloaded,
    StageReached,
    Stamped,
)
from appliance.install.installation import Installation
from appliance.model import Cluster, FrontEnd

POLL_SECONDS = 1.0
# Events come in bursts, and each step asks HAProxy three times.
LEAST_SECONDS = 0.1
# A reload replaces the worker, which does not answer for a moment.
UNHEARD_SECONDS = 1.5
# A service manager starts HAProxy once its configuration is there; a machine that boots takes its time.
FIRST_UNHEARD_SECONDS = 15.0
COMMANDS_AT_ONCE = 50  # HAProxy reads 16 KiB of them
# Events after which members may have to enter or leave at once.
_WAKING = (BalancerOrdered, BootstrapCompleted, Ordered, Reloaded, StageReached)
_READY = Standing()

Server = tuple[str, str]  # the names of a front end and of a server in it


@dataclass(frozen=True, slots=True)
class _Heard:
    """One round of HAProxy's answers."""

    mark: str  # of the configuration that it has loaded
    reports: Reports
    admins: Mapping[Server, str]
    state: str  # the answer to `show servers state`


class Balancer:
    """The HAProxy of all clusters with engine haproxy. Nothing that happens to it ends the appliance."""

    def __init__(
        self,
        clusters: Callable[[], Sequence[Cluster]],
        installations: Mapping[str, Installation],
        place: Place,
        publish: Callable[[Event], None],
        now: Callable[[], float],
    ) -> None:
        """*now* returns seconds UTC. Raises ListenError or UnknownVersionError where HAProxy cannot be run."""
        self._compiled = clusters()
        self.front_ends: tuple[FrontEnd, ...] = all_front_ends(self._compiled)
        self.standings: Standings = {}
        self.reports: Reports = {}
        program = files.find_program()
        self._clusters = clusters
        self._installations = installations
        self._place = place
        self._publish = publish
        self._now = now
        self._config = ConfigFile(program, place)
        # -S makes the socket; a version without one is told by a signal.
        has_socket = self._config.version.has_master_socket
        socket_words = ["-S", f"{place.master},mode,660"] if has_socket else []
        command: list[str | Path] = [program, "-W", *socket_words, "-f", place.config]
        self._child = None if place.is_service else Child(command, self._tell_end)
        self._troubles = Troubles(publish, now)
        self._reloader = Reloader(place, self._config, self._child)
        self._news = MemberNews()
        self._bootstrapping = Bootstrapping(installations)
        self._authorities = Authorities(place.state, installations)
        self._ca_files: Mapping[str, str] = {}  # by front end
        self._totals = Totals()
        self._woken = asyncio.Event()
        self._heard_at = 0.0  # loop clock
        self._patience = FIRST_UNHEARD_SECONDS
        self._master = 0  # PID
        self._told_mark: str | None = None  # of the configuration of which the operator has read
        self._tried: frozenset[tuple[Server, str]] = frozenset()  # the last commands
        self._saved: object = None

    @property
    def trouble(self) -> str | None:
        """Why HAProxy does not do what cluster.yaml says, and what to do; None while it does."""
        return self._troubles.text

    def has_master(self, cluster: str) -> bool | None:
        """Whether a master's machine config server of *cluster* passes its check; None if HAProxy says nothing of them.

        *cluster* is its domain. HAProxy may not be heard, and that cluster's load balancer
        may be somebody else's. A master that is to be reinstalled still serves the cluster
        before.
        """
        masters = [
            (front_end.name, member.host)
            for front_end in self.front_ends
            if (front_end.cluster, front_end.service) == (cluster, MACHINE_CONFIG)
            for member in front_end.members
            if not member.is_backup
        ]
        found = {key: report for key in masters if (report := self.reports.get(key)) is not None}
        if not found:
            return None
        records = self._installations
        return any(
            answers(report) and not (host in records and records[host].is_reinstalling)
            for (_, host), report in found.items()
        )

    def listen(self, stamped: Stamped) -> None:
        """Look at once whether *stamped* moves a member."""
        if isinstance(stamped.event, _WAKING):
            self._woken.set()

    async def run(self) -> None:
        """Drive HAProxy until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            if self._child is not None:
                tasks.create_task(self._child.run(), name="haproxy")
            tasks.create_task(self._follow(), name="balancer")

    async def _follow(self) -> None:
        self._heard_at = asyncio.get_running_loop().time()
        while True:
            await self._step()
            self._troubles.tell()
            await asyncio.sleep(LEAST_SECONDS)
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS - LEAST_SECONDS):
                    await self._woken.wait()
            self._woken.clear()

    async def _step(self) -> None:
        """Ask HAProxy how it is, decide how it should be, and put the difference right."""
        if (clusters := self._clusters()) is not self._compiled:
            self._compiled, self.front_ends = clusters, all_front_ends(clusters)
            self._reloader.hurry()
        # First: whom it needs may depend on who answers, and a restart of the appliance must change nothing.
        if (heard := await self._hear()) is not None:
            self._take(heard)
        self.standings = standings(self.front_ends, self._installations, self.reports)
        self._troubles.set(Kind.REFUSED, await self._configure())
        if self._child is not None and self._config.mark:
            self._child.may_start.set()
        if heard is None:
            self._told_mark = self._told_mark or ""
            return
        is_stuck = await self._move(heard.admins)
        if heard.mark != self._config.mark or is_stuck:
            trouble = await self._reloader.reload(_ports(self.front_ends))
            self._troubles.set(Kind.UNLOADED, trouble)
            if trouble is None and not is_stuck:
                self._woken.set()
        else:
            self._reloader.settle()
            self._troubles.set(Kind.UNLOADED, None)
            self._tell_loaded(heard.mark)

    async def _configure(self) -> str | None:
        """Have what is wanted on disk; return what prevents that."""
        try:
            self._ca_files = await asyncio.to_thread(
                self._authorities.find, self._compiled, self.front_ends, self.reports, self._now()
            )
        except OSError as error:
            return f"cannot write the authorities of the API to {self._place.state}: {error.strerror}"
        return await self._config.replace(Wanted(self.front_ends, self.standings, self._ca_files))

    def _tell_loaded(self, mark: str) -> None:
        before, self._told_mark = self._told_mark, mark
        # The one that was in use when the appliance was started is no news.
        if before not in {None, mark}:
            self._publish(BalancerConfigured("", by="reload" if before else "start", front_ends=len(self.front_ends)))

    # What HAProxy says

    async def _hear(self) -> _Heard | None:
        """Return what HAProxy says; None if it does not answer."""
        try:
            info = runtime.info(await runtime.ask(self._place.stats, "show info"))
            stats = await runtime.ask(self._place.stats, "show stat")
            state = await runtime.ask(self._place.stats, "show servers state")
        except UnheardError as error:
            self._miss(error)
            return None
        self._heard_at, self._patience = asyncio.get_running_loop().time(), UNHEARD_SECONDS
        old = await self._old_connections()
        self._troubles.set(Kind.UNHEARD, None)

        def parsed() -> _Heard:
            found, admins = self._totals.over_workers(info.pid, runtime.server_stats(stats), old), runtime.admins(state)
            reports = reports_of(self.front_ends, found, admins, self.reports, self._now(), self._ca_files)
            return _Heard(info.description, reports, admins, state)

        return parsed() if len(stats) < runtime.LARGE_ANSWER_CHARACTERS else await asyncio.to_thread(parsed)

    async def _old_connections(self) -> Mapping[Server, int]:
        """Return the connections of workers that were replaced, and tell if HAProxy itself was.

        A restart cuts all connections, even if it takes too short a time to be missed.
        """
        try:
            found = runtime.processes(await runtime.ask(self._place.master, "show proc", is_master=True))
            connections = await runtime.connections_of(self._place.master, found.old_workers)
        except UnheardError:  # a version without this socket, or the moment after a reload
            return {}
        # The end of a child is told by itself.
        if self._master not in {0, found.master} and self._child is None and not self._troubles.has(Kind.UNHEARD):
            self._troubles.set(Kind.UNHEARD, "HAProxy was started again, which cut all connections through it")
            self._troubles.tell()
        self._master = found.master
        return connections

    def _tell_end(self, why: str) -> None:
        """Tell that the child has ended, which the next step may no longer see."""
        self.reports = {}
        self._troubles.set(Kind.UNHEARD, why)
        self._troubles.tell()

    def _miss(self, error: UnheardError) -> None:
        """Note that HAProxy did not answer."""
        if asyncio.get_running_loop().time() - self._heard_at < self._patience:
            return
        self.reports = {}
        # Without a configuration it cannot run; what prevents that is the trouble.
        if self._config.mark and (self._child is None or self._child.pid is not None):
            where = "" if self._child is not None else "; see `systemctl status ocp-appliance-haproxy`"
            self._troubles.set(Kind.UNHEARD, f"HAProxy does not answer: {error}{where}")

    def _take(self, heard: _Heard) -> None:
        """Take over what HAProxy says of the members, and publish what is news."""
        self.reports = heard.reports
        # A HAProxy that is started alone begins with what it was when this changed.
        known = {key: (report.is_up, report.admin) for key, report in self.reports.items()}
        if known != self._saved:
            unsaved = self._save(heard.state)
            self._troubles.set(Kind.UNSAVED, unsaved)
            self._saved = known if unsaved is None else None
        for event in self._news.of(self.reports, self.standings, was_running=self._told_mark is None):
            self._publish(event)
        for completed in self._bootstrapping.observe(self.front_ends, self.reports, self._heard_at):
            self._publish(completed)

    def _save(self, state: str) -> str | None:
        """Keep the answer *state* to `show servers state`; return why that is not possible."""
        try:
            files.write_whole(self._place.server_state, runtime.state_of_ports(state, _ports(self.front_ends)))
        except OSError as error:
            return f"cannot write {self._place.server_state}: {(error.strerror or str(error)).lower()}"
        return None

    # What it is told

    async def _move(self, admins: Mapping[Server, str]) -> bool:
        """Have every member as it is wanted; return whether commands could not bring that about."""
        moves = frozenset(self._moves(admins))
        stuck, self._tried = moves & self._tried, moves
        if stuck:
            (front_end, name), wanted = min(stuck)
            text = f"HAProxy was told that {name} in {front_end} is {wanted}, and does not say so; it is reloaded"
            self._troubles.set(Kind.UNMOVED, text)
        else:
            self._troubles.set(Kind.UNMOVED, None)
        commands = [command for move in sorted(moves) for command in runtime.state_commands(*move, admins)]
        for start in range(0, len(commands), COMMANDS_AT_ONCE):
            with suppress(UnheardError):  # which the next step finds out
                await runtime.ask(self._place.stats, ";".join(commands[start : start + COMMANDS_AT_ONCE]))
        if moves - stuck:
            self._woken.set()
        return bool(stuck)

    def _moves(self, admins: Mapping[Server, str]) -> list[tuple[Server, str]]:
        """Return the servers that HAProxy has otherwise than they are wanted, and how they are wanted."""
        found = []
        for front_end in self.front_ends:
            for member in front_end.members:
                server = (front_end.name, member.name)
                wanted = self.standings.get((front_end.name, member.host), _READY).admin.value
                # One that HAProxy does not know yet comes with a reload.
                if admins.get(server, wanted) != wanted:
                    found.append((server, wanted))
        return found


def _ports(front_ends: Iterable[FrontEnd]) -> dict[Server, tuple[int, int]]:
    """Return the ports at which each server gets connections and is checked, as `runtime.state_of_ports` wants them."""
    return {
        (front_end.name, member.name): (front_end.port, front_end.check.port or 0)
        for front_end in front_ends
        for member in front_end.members
    }
