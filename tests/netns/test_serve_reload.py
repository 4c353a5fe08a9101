"""SIGHUP: new hosts are served at once, a bad file changes nothing, and no client has to wait."""

import re
import select
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import dns.message
import pytest

from tests.serve_lab import APPLIANCE, REFERENCE_TEXT, Serving, Site, site, with_host

pytestmark = pytest.mark.netns

NEW_HOST = "i1.ocp45.example.localdomain"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as made:
        yield made


@pytest.fixture
def serving(here: Site) -> Iterator[Serving]:
    with here.serve() as appliance:
        yield appliance


def serial(here: Site) -> int:
    (rrset,) = here.ask("example.localdomain", "SOA").answer
    return int(rrset[0].to_text().split()[2])


def test_a_new_host_is_served_by_every_service_after_a_reload(here: Site, serving: Serving) -> None:
    assert here.addresses(NEW_HOST) == []
    here.config.write_text(with_host(REFERENCE_TEXT))
    serving.reload()
    # From DISCOVER to Ignition, by TFTP and its own script; at the end it checks its name and PTR record.
    done = here.simulate("i1")
    assert f"{NEW_HOST}: installed" in done.stdout, done.stdout + done.stderr + serving.text


def test_a_reload_raises_the_serial_when_the_zone_changed_and_only_then(here: Site, serving: Serving) -> None:
    before = serial(here)
    serving.reload()
    assert serial(here) == before
    here.config.write_text(with_host(REFERENCE_TEXT))
    serving.reload()
    assert serial(here) == before + 1


def test_a_host_that_was_taken_out_is_silent_after_a_reload(here: Site, serving: Serving) -> None:
    entry = re.search(r"  - hostname: w3\n(?:    .*\n)*", REFERENCE_TEXT)
    assert entry
    here.config.write_text(REFERENCE_TEXT.replace(entry[0], ""))
    serving.reload()
    assert here.addresses("w3.ocp45.example.localdomain") == []
    assert "w3" not in serving.rows()


def test_a_bad_reload_keeps_the_old_answers_and_reports_every_problem(here: Site, serving: Serving) -> None:
    here.config.write_text(
        with_host(REFERENCE_TEXT).replace("role: bootstrap", "role: boss").replace("172.16.0.22", "172.16.0.21")
    )
    serving.reload()
    line = serving.said("config.refuse")
    assert "error: config.refuse version=" in line
    assert re.search(rf"error: {here.config}:\d+: hosts\[1\]\.role: .*boss", serving.text)
    assert re.search(rf"error: {here.config}:\d+: hosts\[3\]\.address: .*172\.16\.0\.21", serving.text)
    assert here.addresses(NEW_HOST) == []
    assert here.addresses("m2.ocp45.example.localdomain") == ["172.16.0.22"]
    here.config.write_text(REFERENCE_TEXT)  # simulate checks each answer against its own reading of the file
    assert here.simulate("m1").returncode == 0


def test_the_manager_is_told_the_version_that_is_served(here: Site, serving: Serving) -> None:
    here.config.write_text(with_host(REFERENCE_TEXT))
    serving.process.send_signal(signal.SIGHUP)
    assert re.search(r"MONOTONIC_USEC=\d+", serving.notified("RELOADING=1"))
    assert "STATUS=serving 8 hosts, version " in serving.notified("READY=1")
    here.config.write_text("hosts: [")
    serving.process.send_signal(signal.SIGHUP)
    assert "STATUS=serving 8 hosts, version " in serving.notified("READY=1")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("listen: {http: 172.16.0.101:8000}", "listen changed; restart to move a socket"),
        ("listen: {dhcp: [br0]}", "listen changed; restart to move a socket"),
        ("dhcp: {mode: 'off'}", "dhcp.mode changed to or from off; restart to open or close the DHCP sockets"),
    ],
)
def test_what_needs_a_restart_is_refused_and_says_so(here: Site, serving: Serving, change: str, why: str) -> None:
    here.config.write_text(with_host(REFERENCE_TEXT) + change + "\n")
    serving.reload()
    assert f"why={why!r}" in serving.said("config.refuse")
    assert here.addresses(NEW_HOST) == []


def test_no_query_is_lost_while_the_files_are_read(here: Site, serving: Serving) -> None:
    """Queries are sent one after the other, without retries, during ten reloads."""
    asked = 0
    with here.place, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.connect((APPLIANCE, 53))
        for _ in range(10):
            serving.process.send_signal(signal.SIGHUP)
            serving.notified("RELOADING=1")
            while not select.select([serving.notify], [], [], 0)[0]:
                client.send(query := dns.message.make_query("m1.ocp45.example.localdomain", "A").to_wire())
                assert client.recv(512)[:2] == query[:2]
                asked += 1
            serving.notified("READY=1")
    assert asked > 100
