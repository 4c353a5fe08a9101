"""The clock that does not jump, and what it knows of one that was set."""

import time

import pytest

from appliance.clock import Clock, ClockSetting
from tests.machine_clock import MachineClock

YEAR = 365 * 86400.0


@pytest.fixture
def machine():
    return MachineClock()


def test_time_passes_as_on_the_wall_clock(machine):
    clock = machine.clock()
    machine.wait(5)
    assert clock.now() == machine.wall


@pytest.mark.parametrize("step", [YEAR, -YEAR, 2.0, -2.0])
def test_wall_clock_that_is_set_does_not_change_the_time(machine, step):
    clock = machine.clock()
    before = clock.now()
    machine.set(step)
    assert clock.now() == before


@pytest.mark.parametrize("step", [YEAR, -YEAR, 2.0, -2.0])
def test_following_gives_the_step_once(machine, step):
    clock = machine.clock()
    machine.set(step)
    machine.wait(3)
    assert (clock.follow(), clock.follow(), clock.now()) == (step, 0.0, machine.wall)


def test_slewed_clock_is_not_followed(machine):
    clock = machine.clock()
    machine.set(0.9)
    assert clock.follow() == 0.0


def test_small_steps_are_followed_once_they_add_up(machine):
    clock = machine.clock()
    steps = []
    for _ in range(3):
        machine.set(0.6)
        steps.append(clock.follow())
    assert steps == [0.0, pytest.approx(1.2), 0.0]


def test_next_process_of_the_same_boot_knows_the_step(machine):
    kept = machine.clock().setting
    machine.wait(60)
    machine.set(-YEAR)
    assert machine.clock().step_since(kept) == -YEAR


def test_next_process_knows_that_nothing_was_set(machine):
    kept = machine.clock().setting
    machine.wait(60)
    assert machine.clock().step_since(kept) == 0.0


def test_step_over_a_reboot_is_not_known(machine):
    kept = machine.clock().setting
    machine.reboot()
    assert machine.clock().step_since(kept) is None


@pytest.mark.parametrize("kept", [None, ClockSetting("", 0.0)])
def test_step_since_nothing_is_not_known(machine, kept):
    assert machine.clock().step_since(kept) is None


def test_boots_that_the_kernel_does_not_name_are_not_taken_for_the_same(machine):
    clock = Clock(lambda: machine.wall, lambda: machine.up, "")
    assert clock.step_since(clock.setting) is None


def test_process_that_is_stopped_between_two_readings_sees_no_step(machine):
    pauses = iter([0.0, 0.0, 5.0, 0.0, 0.0])

    def wall():
        found = machine.wall
        machine.wait(next(pauses))
        return found

    clock = Clock(wall, lambda: machine.up, "boot")
    assert [clock.follow(), clock.follow()] == [0.0, 0.0]


def test_this_machine_has_such_clocks():
    clock = Clock()
    assert clock.now() == pytest.approx(time.time(), abs=1)
    assert clock.setting.boot
