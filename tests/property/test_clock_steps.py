"""However clocks are set, and however often the appliance restarts: no written disk is installed over, no window closes
early, and no disk counts as written before it can be.
"""

import os
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from appliance.events import Program
from appliance.install.guard import REPEAT_SECONDS, WINDOW_SECONDS
from appliance.install.installation import Order
from tests.boots import LIVE, MB, Boot
from tests.machine_clock import SettableAppliance

M1 = Boot(LIVE.hosts[1])
IMAGE_BYTES = 2_000 * MB
WRITE_SECONDS = 20.0
WHOLE = M1.live(IMAGE_BYTES)
WITHOUT_IGNITION = WHOLE[:-2]
FUZZ_SECONDS = float(os.environ.get("FUZZ_SECONDS", "0"))
EXAMPLES = 60 + int(FUZZ_SECONDS * 4)

# On a busy machine an example takes a tenth of a second.
pytestmark = pytest.mark.timeout(120 + 4 * FUZZ_SECONDS)


STEP = st.one_of(
    st.sampled_from([1.5, -1.5, 10.0, -10.0, 30.0, -30.0, 3600.0, -3600.0, 3.2e7, -3.2e7, 1.6e9, -1.6e9]),
    st.floats(-1e6, 1e6),
)
WAIT = st.sampled_from([0.2, 1.0, 5.0, 15.0, 60.0, 1000.0, 50_000.0])
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), WAIT),
        st.tuples(st.just("set"), STEP),
        st.tuples(st.just("restart"), WAIT, STEP),
        st.tuples(st.just("reboot"), WAIT, WAIT, STEP),
    ),
    max_size=12,
)


def acted(appliance: SettableAppliance, actions):
    """Carry out *actions*, and yield after each."""
    machine = appliance.machine
    for action in actions:
        match action:
            case "wait", seconds:
                machine.wait(seconds)
            case "set", seconds:
                machine.set(seconds)
            case "restart", seconds, step:
                appliance.journal.close()
                machine.wait(seconds)
                machine.set(step)
                appliance.start()
            case "reboot", down, up, step:
                appliance.journal.close()
                machine.reboot(down, up, step)
                appliance.start()
        # What runs every second has not run yet when the first request comes after the clock was set.
        if action[0] != "set":
            appliance.tick()
        yield action[0]


def walk(actions, events):
    """Return an appliance after *events* of m1, in a directory that is gone with it."""
    memory = Path("/dev/shm")
    directory = tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)
    appliance = SettableAppliance(Path(directory.name))
    appliance.happen(events)
    return directory, appliance


@settings(max_examples=EXAMPLES, deadline=None)
@given(ACTIONS)
def test_written_disk_is_not_installed_over(actions):
    directory, appliance = walk(actions, WHOLE)
    with directory:
        began_at = appliance.machine.true
        for _ in acted(appliance, actions):
            pass
        appliance.happen(M1.dhcp(Program.PXE))
        if appliance.machine.true - began_at >= WRITE_SECONDS:
            assert appliance[M1].order is not Order.INSTALL
        appliance.journal.close()


@settings(max_examples=EXAMPLES, deadline=None)
@given(ACTIONS)
def test_disk_that_cannot_be_written_yet_does_not_count_as_written(actions):
    directory, appliance = walk(actions, WHOLE)
    with directory:
        began_at = appliance.machine.true
        for _ in acted(appliance, actions):
            if appliance.machine.true - began_at < WRITE_SECONDS - 0.01:
                assert appliance[M1].order is not Order.LOCAL
        appliance.journal.close()


@settings(max_examples=EXAMPLES, deadline=None)
@given(ACTIONS)
def test_window_for_ignition_does_not_close_early(actions):
    directory, appliance = walk(actions, WITHOUT_IGNITION)
    with directory:
        began_at = appliance.machine.true
        for _ in acted(appliance, actions):
            verdict = appliance.verdict(M1)
            assert verdict.status in (200, 503)
            if appliance.machine.true - began_at < WINDOW_SECONDS - 1:
                assert verdict.status == 200
        appliance.journal.close()


@settings(max_examples=EXAMPLES, deadline=None)
@given(ACTIONS)
def test_delivered_ignition_is_not_refused_early(actions):
    directory, appliance = walk(actions, WHOLE)
    with directory:
        began_at = appliance.machine.true
        for _ in acted(appliance, actions):
            verdict = appliance.verdict(M1)
            assert verdict.status in (200, 503)
            if appliance.machine.true - began_at < REPEAT_SECONDS - 1 and appliance[M1].doubt is None:
                assert verdict.status == 200
        appliance.journal.close()


@settings(max_examples=EXAMPLES, deadline=None)
@given(ACTIONS)
def test_steps_within_a_boot_change_no_decision(actions):
    """A twin whose clock nobody sets decides the same."""
    unset = [("wait", action[1]) if action[0] == "restart" else action for action in actions if action[0] != "set"]
    within = [action for action in actions if action[0] != "reboot"]
    directories, twins = zip(*(walk(which, WHOLE) for which in (within, unset)), strict=True)
    with directories[0], directories[1]:
        for appliance, which in zip(twins, (within, [a for a in unset if a[0] != "reboot"]), strict=True):
            for _ in acted(appliance, which):
                pass
            appliance.happen(M1.dhcp(Program.PXE))
            appliance.journal.close()
        first, second = (appliance[M1] for appliance in twins)
        assert (first.order, first.stage, first.number) == (second.order, second.stage, second.number)
