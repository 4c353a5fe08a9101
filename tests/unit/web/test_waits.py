"""What the web server remembers about waiting hosts."""

import pytest

from appliance.events import FileUnservable, WebKind
from appliance.install.installation import Installation, Order
from appliance.web.answers import SendScript
from appliance.web.waits import Polls, Waits

HOST = "w1.ocp45.example"
FIRST, SECOND = {HOST: Installation(HOST, 1)}, {HOST: Installation(HOST, 2)}


def test_wait_begins_at_the_first_request() -> None:
    assert Waits().seconds(HOST, FIRST, answers=False, now=1000.0) == 0.0


@pytest.mark.parametrize("installations", [FIRST, {}])
def test_wait_lasts_from_the_first_request_on(installations: dict[str, Installation]) -> None:
    waits = Waits()
    waits.seconds(HOST, installations, answers=False, now=1000.0)
    waits.seconds(HOST, installations, answers=False, now=1010.0)
    assert waits.seconds(HOST, installations, answers=False, now=1025.0) == 25.0


def test_new_installation_waits_anew() -> None:
    waits = Waits()
    waits.seconds(HOST, FIRST, answers=False, now=1000.0)
    assert waits.seconds(HOST, SECOND, answers=False, now=1010.0) == 0.0
    assert waits.seconds(HOST, SECOND, answers=False, now=1013.0) == 3.0


def test_answer_of_the_machine_config_server_ends_the_wait() -> None:
    waits = Waits()
    waits.seconds(HOST, FIRST, answers=False, now=1000.0)
    assert waits.seconds(HOST, FIRST, answers=True, now=1010.0) == 0.0
    assert waits.seconds(HOST, FIRST, answers=False, now=1020.0) == 0.0


def test_wait_of_one_host_is_not_anothers() -> None:
    waits = Waits()
    waits.seconds("w2.ocp45.example", FIRST, answers=False, now=1000.0)
    assert waits.seconds(HOST, FIRST, answers=False, now=1010.0) == 0.0


def told(kind: WebKind = WebKind.WAIT, lacks: str = "") -> SendScript:
    """Return a script of *kind*, for a host that waits for the file *lacks*."""
    return SendScript(b"", kind, 0, FileUnservable(HOST, lacks, "not found") if lacks else None)


def test_second_poll_is_a_repeat() -> None:
    polls = Polls()
    assert [polls.is_repeat(HOST, told(), FIRST) for _ in range(3)] == [False, True, True]


@pytest.mark.parametrize("kind", [WebKind.SCRIPT, WebKind.MENU, WebKind.LOCAL, WebKind.OTHER])
def test_poll_after_another_script_is_none(kind: WebKind) -> None:
    polls = Polls()
    assert [polls.is_repeat(HOST, told(each), FIRST) for each in (WebKind.WAIT, kind, WebKind.WAIT)] == [False] * 3


@pytest.mark.parametrize("after", [{HOST: Installation(HOST, 1, order=Order.HOLD)}, SECOND])
def test_poll_for_another_reason_is_none(after: dict[str, Installation]) -> None:
    polls = Polls()
    polls.is_repeat(HOST, told(), FIRST)
    assert not polls.is_repeat(HOST, told(), after)


def test_poll_for_another_file_is_none() -> None:
    polls = Polls()
    scripts = (told(), told(lacks="/kernel"), told(lacks="/kernel"), told(lacks="/rootfs"), told())
    assert [polls.is_repeat(HOST, script, FIRST) for script in scripts] == [False, False, True, False, False]
