"""For any events in any order: stages only rise, and a restart changes nothing."""

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance import model
from appliance.events import (
    ClientUnproven,
    DhcpDeclined,
    DhcpReleased,
    DhcpUnknown,
    InstallSettled,
    Ordered,
    Program,
    Stamped,
    TftpFailed,
    WebKind,
    WebRefused,
)
from appliance.install.evidence import finding_of
from appliance.install.installation import Order, Rules, Stage, begin
from appliance.install.lifecycle import TABLES, advance, state_of
from appliance.install.strangers import MAX_STRANGERS, Strangers
from appliance.model import Install
from tests.boots import LEGACY, LIVE, MB, NOW, Boot, Fleet

M1 = Boot(LEGACY.hosts[1])

EVENTS = [
    *[event for program in Program for event in M1.dhcp(program)],
    *M1.loader(),
    *[M1.started(what, 900 * MB) for what in WebKind],
    *[M1.finished(what, 900 * MB) for what in WebKind],
    *[M1.broken(what) for what in WebKind],
    *[
        WebRefused(M1.host, M1.address, f"/{what}", what, status, "because")
        for what in (WebKind.IGNITION, WebKind.KERNEL)
        for status in (403, 404, 503)
    ],
    *[
        ClientUnproven(M1.host, M1.address, "/x", cause, "because")
        for cause in ("address-conflict", "no-dhcp", "unresolved")
    ],
    TftpFailed(M1.host, M1.address, "efi/ipxe.efi", "silence"),
    DhcpDeclined(M1.host, M1.mac, M1.address),
    DhcpReleased(M1.host, M1.mac, M1.address),
    M1.api_int(),
    M1.reached(),
    *[Ordered(M1.host, what) for what in ("reinstall", "hold", "release", "adopt")],
]
# Longer than any disk takes to be written, so that random walks also reach INSTALLED.
WAIT = None
WALKS = st.lists(
    st.sampled_from([*EVENTS, WAIT])
    | st.sampled_from([WAIT, tuple(M1.live()), tuple(M1.legacy()), tuple(M1.to_script())]),
    max_size=30,
)


# Each way to install, and the legacy installer.
WAYS = st.sampled_from([(False, model.Boot.INSTALLER), *((True, boot) for boot in model.Boot)])


def rules(install: Install, way: tuple[bool, model.Boot], leads: bool = True) -> Rules:
    boots_live, boot = way
    return Rules(install, boots_live, lambda host, number: f"{host}-{number}", boot=boot, leads=leads)


def walked(walk, ruled: Rules):
    """Yield the installation before and after each event of *walk*."""
    before = begin(M1.host, ruled)
    at = NOW
    for step in walk:
        for event in step if isinstance(step, tuple) else (step or InstallSettled(M1.host, before.number),):
            at += 1
            after = advance(before, Stamped(at, event), ruled)
            yield before, event, after
            before = after


@given(WALKS, st.sampled_from(Install), WAYS)
def test_stage_never_falls_within_one_installation(walk, install, way):
    for before, _, after in walked(walk, rules(install, way)):
        if after.number == before.number:
            assert after.stage >= before.stage
            assert all(after.reached.get(stage) == at for stage, at in before.reached.items())
        else:
            assert after.number == before.number + 1


@given(WALKS, st.sampled_from(Install), WAYS)
def test_order_follows_the_file_and_the_operator(walk, install, way):
    for _, _, after in walked(walk, rules(install, way)):
        if after.is_held or (after.doubt is not None and install is not Install.NEVER):
            assert after.order is Order.HOLD
        elif install is Install.NEVER:
            assert after.order is Order.LOCAL
        elif install is Install.ALWAYS:
            assert after.order is Order.INSTALL
        else:
            assert (after.order is Order.LOCAL) == (after.is_settled or after.stage >= Stage.INSTALLED)


@given(WALKS, st.sampled_from(Install), WAYS)
def test_stage_after_an_event_is_the_one_before_or_what_the_table_names(walk, install, way):
    for before, event, after in walked(walk, rules(install, way)):
        finding = finding_of(event)
        rows = TABLES[install][finding.evidence] if finding else ()
        found = [row for row in rows if row.first <= state_of(before) <= row.last and row.effect]
        assert after.stage == before.stage or after.stage in {row.to for row in found}
        assert after is before or found or after == replace(before, has_dhcp=True)


@given(WALKS, WAYS)
def test_installed_host_is_armed_by_the_operator_alone(walk, way):
    for before, event, after in walked(walk, rules(Install.ONCE, way)):
        if before.stage >= Stage.INSTALLED and after.number != before.number:
            assert isinstance(event, Ordered)
            assert event.order == "reinstall"


@given(WALKS, WAYS)
def test_host_that_may_be_installed_is_armed_by_the_operator_alone(walk, way):
    """From the moment at which its disk may be written, whatever comes, and however often."""
    for before, event, after in walked(walk, rules(Install.ONCE, way)):
        if before.is_done and not after.is_done and way[1] is not model.Boot.INSTALLER:
            assert isinstance(event, Ordered)


@given(WALKS, WAYS)
def test_machine_that_is_no_node_has_one_record(walk, way):
    if way[1] is model.Boot.NOTHING:
        first = begin(M1.host, rules(Install.NEVER, way))
        assert all(after == first for _, _, after in walked(walk, rules(Install.NEVER, way)))


@given(WALKS, WAYS)
def test_host_is_settled_only_with_ignition_and_image_whole(walk, way):
    for _, _, after in walked(walk, rules(Install.ONCE, way)):
        if after.is_settled:
            assert after.delivered_at is not None
            assert not after.lacks_image
            assert after.ready_at is not None


@given(WALKS, st.sampled_from(Install), WAYS)
def test_reducer_is_a_function(walk, install, way):
    first = [after for _, _, after in walked(walk, rules(install, way))]
    assert first == [after for _, _, after in walked(walk, rules(install, way))]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, len(EVENTS) - 1)), max_size=40), st.data(), st.booleans())
def test_state_after_a_restart_is_the_state_before_at_any_cut(walk, data, has_ticked):
    """Copies of the files, which are what a kill leaves, are opened again.

    Repetitions of the last second may be lost: their counts, and that the window opened again a little later.
    """
    cut = data.draw(st.integers(0, len(walk)))
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        fleet = Fleet(Path(name, "first"), LIVE)
        for index, number in walk[:cut]:
            boot = fleet.boot(index)
            like = EVENTS[number]
            facts = {field: getattr(like, field) for field in like.__slots__} | {"host": boot.host}
            if "mac" in facts:
                facts["mac"] = boot.mac
            fleet.happen(type(like)(**facts))
        if has_ticked:
            fleet.journal.flush()
        before = dict(fleet.registry.installations)
        Path(name, "second").mkdir()
        for path in Path(name, "first").iterdir():
            shutil.copy(path, Path(name, "second"))
        fleet.journal.close()
        again = Fleet(Path(name, "second"), LIVE)
        after = again.registry.installations
        again.journal.close()
        if has_ticked:
            assert after == before
        for host, found in after.items():
            repeated = {"repeats": before[host].repeats, "window_opened_at": before[host].window_opened_at}
            assert replace(found, **repeated) == before[host]
            assert (found.window_opened_at is None) == (before[host].window_opened_at is None)
            assert all(times <= before[host].repeats[name] for name, times in found.repeats.items())


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 3000), max_size=500))
def test_unknown_machines_are_bounded(numbers):
    strangers = Strangers()
    for at, number in enumerate([*range(1000), *numbers]):
        mac = number.to_bytes(6).hex(":")
        strangers.see(DhcpUnknown("", mac, Program.PXE), float(at))
    assert strangers.latest()[0].mac == mac
    assert len(strangers) <= MAX_STRANGERS
