"""Events are restored from the facts in the journal, also from those of other versions."""

import json

import pytest

from appliance.events import DhcpOffered, Event, Program, StageReached, TftpFinished, WebKind, WebStarted
from appliance.state.encoding import event_of
from tests.events import CLASSES, example


def kept(event):
    """Return the facts of *event* as stored in the journal."""
    facts = event.facts()
    facts.pop("host", None)
    return json.loads(json.dumps(facts))


def test_the_closed_type_has_every_class_of_events():
    found, waiting = set(), [Event]
    while waiting:
        below = [kind for kind in waiting.pop().__subclasses__() if kind.__module__ == "appliance.events"]
        found.update(below)
        waiting += below
    # dataclass(slots=True) makes a second class; the first, without slots, still exists under the same name.
    assert {kind.__name__ for kind in found} == {kind.__name__ for kind in CLASSES}


@pytest.mark.parametrize("event_type", CLASSES, ids=lambda event_type: event_type.kind)
def test_event_comes_back_from_its_facts(event_type):
    event = example(event_type)
    assert event_of(event.kind, event.host, kept(event)) == event


def test_empty_facts_come_back_though_they_are_not_kept():
    event = DhcpOffered("m1", "", "192.0.2.21", Program.OS)
    assert event_of(event.kind, "m1", kept(event)) == event


def test_kind_of_another_version_is_no_event():
    assert event_of("dhcp.inform", "m1", {"mac": "x"}) is None


def test_fact_that_an_older_version_lacks_has_its_default():
    event = event_of("tftp.done", "m1", {"path": "efi/ipxe.efi", "total": 1})
    assert event == TftpFinished("m1", "", "efi/ipxe.efi", 1, 0.0, 0)


def test_fact_of_another_version_is_dropped():
    event = event_of("web.start", "m1", {"path": "/k", "what": "kernel", "total": 1, "vlan": 7})
    assert event == WebStarted("m1", "", "/k", WebKind.KERNEL, 0, 1)


@pytest.mark.parametrize(
    "facts",
    [{"client": "coreboot"}, {"client": ["pxe"]}, {}, {"program": "pxe", "mac": 7}, {"program": "pxe", "mac": None}],
)
def test_facts_of_another_type_are_no_event(facts):
    assert event_of("dhcp.offer", "m1", facts) is None


@pytest.mark.parametrize("seconds", [2, 2.0])
def test_whole_number_of_seconds_is_a_time(seconds):
    event = event_of("tftp.done", "m1", {"seconds": seconds})
    assert isinstance(event, TftpFinished)
    assert type(event.seconds) is float


@pytest.mark.parametrize("total", [True, 1.5, "1", None])
def test_event_with_a_wrong_number_of_bytes_is_none(total):
    assert event_of("web.start", "m1", {"what": "kernel", "total": total}) is None


def test_event_that_an_older_version_kept_has_its_program():
    facts = {"mac": "52:54:00:12:34:56", "address": "192.0.2.1", "client": "pxe"}
    event = event_of("dhcp.offer", "m1.example", facts)
    assert isinstance(event, DhcpOffered)
    assert event.program is Program.PXE


def test_stage_that_an_older_version_kept_has_todays_name():
    assert event_of("install.stage", "m1", {"number": 2, "stage": "ipxe"}) == StageReached("m1", 2, "bootloader")
