"""Forged datagrams, and resets at any time, among the events of a machine that installs: it ends installed."""

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance import events
from appliance.events import DoubtLapsed, Event, InstallSettled, Program, Stamped, TftpFailed, TftpStarted, WebKind
from appliance.install.activity import Activity
from appliance.install.effects import ABANDONED_SECONDS
from appliance.install.guard import Client, ignition_verdict, macs_of
from appliance.install.installation import LAPSE_SECONDS, Order, Rules, Stage, begin
from appliance.install.lifecycle import advance
from appliance.model import Install
from tests.boots import LEGACY, LIVE, MB, NOW, Boot

HOSTS = {False: LEGACY.hosts[1], True: LIVE.hosts[1]}
MOST_FORGED = 12
# All of them together last less than the silence after which a try counts as abandoned.
LONGEST_GAP = ABANDONED_SECONDS / (2 * MOST_FORGED)


def forged(boot: Boot) -> list[Event]:
    """Return what one datagram with the host's MAC address and address makes of it."""
    return [
        *[event for program in Program for event in boot.dhcp(program)],
        boot.api_int(),
        TftpStarted(boot.host, boot.address, "efi/ipxe.efi", MB),
        TftpFailed(boot.host, boot.address, "efi/ipxe.efi", "silence", is_answered=False),
        TftpFailed(boot.host, boot.address, "efi/own.efi", "not-found"),
    ]


NUMBER_OF_FORGED = len(forged(Boot(LIVE.hosts[1])))
ATTACKS = st.lists(
    st.tuples(st.integers(0, 25), st.integers(0, NUMBER_OF_FORGED - 1), st.floats(0.0, LONGEST_GAP)),
    max_size=MOST_FORGED,
)


class Machine:
    """A host, its record, and the token that its script had."""

    def __init__(self, boots_live: bool) -> None:
        self.host = HOSTS[boots_live]
        self.boot = Boot(self.host)
        self.rules = Rules(Install.ONCE, boots_live, lambda host, number: f"{host}-{number}")
        self.record = begin(self.host.name, self.rules)
        self.activity = Activity()
        self.at = NOW
        self.token = ""
        self.was_done = False

    def happen(self, event: Event, seconds: float) -> None:
        self._tick(seconds)
        if isinstance(event, events.WebStarted):
            self._ask(event.what)
        self._advance(event)
        if isinstance(event, events.DnsAsked):
            self._advance(self.boot.unanswered())  # what we see when we look

    def _advance(self, event: Event) -> None:
        self.activity.hear(event, self.at)
        self.record = advance(self.record, Stamped(self.at, event), self.rules, self.activity.installing_at)
        assert not (self.was_done and self.record.order is Order.INSTALL), "an installed host was armed"
        self.was_done |= self.record.order is Order.LOCAL

    def _tick(self, seconds: float) -> None:
        self.at += seconds
        record = self.record
        if record.ready_at is not None and self.at >= record.ready_at + record.write_seconds:
            self._advance(InstallSettled(record.host, record.number))

    def _ask(self, what: WebKind) -> None:
        if what in (WebKind.MENU, WebKind.SCRIPT):
            if self.record.order is Order.HOLD:
                self._tick(LAPSE_SECONDS)
                self._advance(DoubtLapsed(self.host.name, self.record.number))
            assert self.record.order is Order.INSTALL, "the machine does not get its script"
            self.token = self.record.token
        if what is WebKind.IGNITION:
            verdict = ignition_verdict(
                self.host,
                self.record,
                self.host.role.ignition,
                self.token,
                Client(macs_of(self.host), self.host.macs[0].octets, needs_dhcp=True),
                expires_at=None,
                now=self.at,
                serve_expired=False,
            )
            assert verdict.status == 200, verdict.why

    def install(self, attack: list[tuple[int, int, float]]) -> None:
        """Go from power-on to the running system, while *attack* happens: (before which step, what, seconds)."""
        boot = self.boot
        steps = boot.live() if self.rules.boots_live else boot.legacy()
        self._run(steps, attack)
        self._tick(max(60.0, self.record.write_seconds))
        self._run(
            [*boot.dhcp(Program.PXE), *boot.dhcp(Program.OS)], [(step - len(steps), *rest) for step, *rest in attack]
        )

    def _run(self, steps: list[Event], attack: list[tuple[int, int, float]]) -> None:
        for step, event in enumerate(steps):
            for _, number, seconds in (one for one in attack if one[0] == step):
                self.happen(forged(self.boot)[number], seconds)
            self.happen(event, 0.5)


@settings(max_examples=300, deadline=None)
@given(ATTACKS, st.booleans())
def test_machine_installs_once_among_forged_datagrams(attack, boots_live):
    machine = Machine(boots_live)
    machine.install(attack)
    assert machine.record.stage >= Stage.INSTALLED
    assert machine.record.order is Order.LOCAL


@settings(max_examples=300, deadline=None)
@given(ATTACKS, st.booleans(), st.integers(0, 18), st.floats(1.0, 3600.0), ATTACKS)
def test_machine_that_is_reset_before_it_has_everything_installs_afterwards(attack, boots_live, cut, seconds, second):
    machine = Machine(boots_live)
    steps = machine.boot.live() if boots_live else machine.boot.legacy()
    machine._run(steps[: min(cut, len(steps) - 3)], attack)
    machine._tick(seconds)
    machine.install(second)
    assert machine.record.stage >= Stage.INSTALLED
    assert machine.record.order is Order.LOCAL
