"""HAProxy as a service of its own: what ends it, what does not, and who may connect."""

import os
import shutil
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.balancer_life import INNER, OUTER, Lab, lab, rows, state_of, stranger, wait_for_file
from tests.balancer_nodes import API, API_INT, CONTROL_PLANE, MACHINE_CONFIG, Authority, server_context
from tests.haproxy import MISSING
from tests.serve_lab import Serving, until

pytestmark = [pytest.mark.netns, pytest.mark.skipif(bool(MISSING), reason=MISSING)]

MASTERS = ("m1", "m2", "m3")


class Running:
    """A lab whose masters answer, with the appliance and a load."""

    def __init__(self, here: Lab, appliance: Serving) -> None:
        self.here, self.appliance = here, appliance


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with lab(tmp_path) as here, here.serve() as appliance:
        here.switch_on(*MASTERS)
        here.start(MASTERS, CONTROL_PLANE)
        wait_for_file(here.service.place.config)
        here.service.start()
        for front_end in ("api-6443", "machine-config-22623"):
            until(lambda found=front_end: state_of(appliance, "m1", found) == "up", "m1 is in")
        here.load("inner", INNER, API, 20, watches=6)
        yield Running(here, appliance)


def refusal(place: AbstractContextManager[None], address: str, port: int) -> str:
    """Connect from *place*; return how that was refused, or "" if a member answers."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with place, socket.create_connection((address, port), 5) as plain, context.wrap_socket(plain):
            return ""
    except ConnectionRefusedError:
        return "refused"
    except (ssl.SSLError, OSError):
        return "closed"


def test_an_upgraded_haproxy_takes_over_at_a_reload(running: Running, tmp_path: Path) -> None:
    # A package replaces the program, while the old one runs.
    here = running.here
    here.service.restart_with(copy := tmp_path / "haproxy")
    began = time.time()
    shutil.copy(copy, tmp_path / "newer")
    (tmp_path / "newer").replace(copy)
    here.service.reload()
    until(lambda: copy.stat().st_ino in {os.stat(f"/proc/{pid}/exe").st_ino for pid in here.service.workers()}, "newer")
    time.sleep(2)
    assert here.loads.lost(began) == []
    assert len(here.loads.watched("inner")) == 6


def test_a_restart_of_the_appliance_loses_nothing(running: Running) -> None:
    running.appliance.end()
    with running.here.serve() as again:
        until(lambda: state_of(again, "m1") == "up", "it hears HAProxy")
        assert running.here.lost() == []


def test_killing_the_appliance_loses_nothing(running: Running) -> None:
    running.appliance.end(signal.SIGKILL)
    time.sleep(3)
    assert running.here.lost() == []
    with running.here.serve() as again:
        until(lambda: state_of(again, "m1") == "up", "it hears HAProxy")
        assert running.here.lost() == []


def test_a_soft_stop_of_haproxy_refuses_new_connections_and_keeps_watches(running: Running) -> None:
    loads = running.here.loads
    running.here.service.stop(signal.SIGUSR1)
    until(loads.lost, "refused connections")
    time.sleep(1)
    running.here.service.start()
    began = time.time()
    until(lambda: loads.members("inner", began), "an answer")
    assert {(lost.kind, lost.why.split(":")[0]) for lost in loads.lost()} == {("new", "ConnectionRefusedError")}
    assert len(loads.watched("inner")) == 6


def test_a_stranger_cannot_connect_to_the_machine_config_server(running: Running) -> None:
    with stranger(running.here.site) as place:
        assert refusal(place, INNER, MACHINE_CONFIG) == "closed"
        assert refusal(place, INNER, API) == "", "but to the API"


def test_a_node_can_connect_to_the_machine_config_server(running: Running) -> None:
    assert refusal(running.here.nodes["m1"].machine, INNER, MACHINE_CONFIG) == ""


def test_the_machine_config_server_is_not_on_the_outer_address(running: Running) -> None:
    assert refusal(running.here.nodes["m1"].machine, OUTER, MACHINE_CONFIG) == "refused"


def test_an_api_server_with_a_foreign_certificate_gets_no_connections(running: Running, tmp_path: Path) -> None:
    here = running.here
    here.end(["m2"], [API])
    until(lambda: state_of(running.appliance, "m2") == "down", "m2 is out")
    began = time.time()
    foreign = Authority("kube-apiserver-lb-signer").issue(tmp_path / "foreign.pem", API_INT)
    here.nodes["m2"].start(API, context=server_context(foreign))
    until(lambda: "trust" in rows(running.appliance, "api-6443")["m2"]["check"], "its check fails")
    time.sleep(5)
    assert rows(running.appliance, "api-6443")["m2"]["state"] == "down"
    assert "m2" not in here.loads.members("inner", began)
