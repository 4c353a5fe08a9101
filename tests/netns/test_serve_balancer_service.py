"""HAProxy as a service of its own: what ends it, what does not, and who may connect."""

import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from appliance.balancer.files import find_program
from tests.balancer_life import INNER, OUTER, TEXT, Lab, lab, rows, state_of, stranger, wait_for_file
from tests.balancer_nodes import API, API_INT, CONTROL_PLANE, MACHINE_CONFIG, Authority, server_context
from tests.haproxy import MISSING
from tests.serve_lab import Serving, until, with_host

pytestmark = [pytest.mark.netns, pytest.mark.skipif(bool(MISSING), reason=MISSING)]

MASTERS = ("m1", "m2", "m3")


class Running:
    """A lab whose masters answer, with the appliance and a load."""

    def __init__(self, here: Lab, appliance: Serving) -> None:
        self.here, self.appliance = here, appliance


@contextmanager
def running_in(directory: Path, program: str = "") -> Iterator[Running]:
    with lab(directory) as here, here.serve() as appliance:
        here.switch_on(*MASTERS)
        here.open(MASTERS, CONTROL_PLANE)
        wait_for_file(here.service.place.config)
        here.service.start(program)
        for front_end in ("api-6443", "machine-config-22623"):
            until(lambda found=front_end: state_of(appliance, "m1", found) == "up", "m1 is in")
        here.put_load("inner", INNER, API, 20, watches=6)
        here.answered_by("inner", set(MASTERS), since=0)
        yield Running(here, appliance)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with running_in(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running_in(tmp_path_factory.mktemp("undisturbed")) as made:
        yield made


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


def test_an_upgraded_haproxy_takes_over_at_a_reload_without_a_loss(tmp_path: Path) -> None:
    program = tmp_path / "haproxy"
    shutil.copy(find_program(), program)
    with running_in(tmp_path, str(program)) as running:
        here = running.here
        shutil.copy(program, tmp_path / "newer")
        (tmp_path / "newer").replace(program)  # as a package does it
        here.service.reload()
        until(lambda: program.stat().st_ino in here.service.programs(), "a worker that runs the new program")
        time.sleep(2)
        assert here.lost() == []
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


def test_an_appliance_that_hangs_holds_nothing_up(running: Running) -> None:
    # Its socket for HAProxy's log is full after a few connections.
    running.appliance.process.send_signal(signal.SIGSTOP)
    began = time.time()
    until(lambda: len(running.here.loads.outcomes(began)) > 60, "60 connections")
    assert running.here.lost() == []
    running.appliance.process.send_signal(signal.SIGCONT)


def test_haproxy_restarted_alone_is_as_it_was(running: Running) -> None:
    # A restart of its own service closes what it listens on: what is lost ends with it.
    here, loads = running.here, running.here.loads
    running.appliance.command("balancer", "drain", "m2")
    until(lambda: state_of(running.appliance, "m2") == "drain", "m2 drains")
    running.appliance.end(signal.SIGKILL)
    assert here.lost() == []
    here.service.stop()
    here.service.start()
    began = time.time()
    until(lambda: loads.members("inner", began), "an answer", 5)
    assert loads.lost(), "so that systemctl reload is what an operator needs"
    began = time.time() + 0.5
    time.sleep(6)
    assert loads.members("inner", began) == {"m1", "m3"}, "what was decided is in its configuration"
    assert loads.lost(began) == []


def test_an_api_server_that_hangs_is_out_within_30_seconds(running: Running) -> None:
    # OpenShift's limit. It is the slowest way to fail: each check waits for its timeout.
    running.here.nodes["m2"].is_hung, began = True, time.time()
    until(lambda: state_of(running.appliance, "m2") == "down", "m2 is out", 35)
    last = max(found.at for found in running.here.loads.outcomes() if (found.kind, found.member) == ("new", "m2"))
    print(f"a hanging API server is out after {last - began:.1f} s")
    assert last - began < 30


def test_a_member_that_is_out_stays_out_over_a_reload(running: Running) -> None:
    # A new worker would otherwise begin with every member up.
    here = running.here
    here.nodes["m2"].is_api_ready = False
    until(lambda: state_of(running.appliance, "m2") == "down", "m2 is out")
    before = here.service.workers()
    here.site.config.write_text(with_host(TEXT))
    running.appliance.reload()
    began = time.time()
    until(lambda: here.service.workers()[-1] not in before, "a new worker")
    until(lambda: len(here.loads.outcomes(began)) > 60, "60 connections")
    assert here.loads.members("inner", began) == {"m1", "m3"}
    assert here.lost() == []


def test_many_reloads_in_a_row_lose_nothing_and_end_with_the_last_file(running: Running) -> None:
    here = running.here
    for text in (with_host(TEXT), TEXT) * 3 + (with_host(TEXT),):
        here.site.config.write_text(text)
        running.appliance.reload()
    until(lambda: "i1" in rows(running.appliance, "ingress-443"), "the new host is a member")
    until(lambda: "server i1 " in here.service.place.config.read_text(), "and HAProxy's")
    time.sleep(2)
    assert here.lost() == []
    assert len(here.loads.watched("inner")) == 6
    assert "balancer.trouble" not in running.appliance.text


def test_a_master_that_is_switched_off_loses_no_new_connection(running: Running) -> None:
    here, began = running.here, time.time()
    here.nodes["m3"].switch_off()
    until(lambda: state_of(running.appliance, "m3") == "down", "m3 is out")
    time.sleep(1)
    assert [lost for lost in here.loads.lost(began) if lost.kind == "new"] == []


def test_a_broken_configuration_on_disk_changes_nothing_and_is_replaced(running: Running) -> None:
    here = running.here
    good, workers = here.service.place.config.read_text(), here.service.workers()
    running.appliance.end()
    here.service.place.config.write_text(good + "nonsense\n")
    with pytest.raises(subprocess.CalledProcessError):
        here.service.reload()
    with here.serve():
        until(lambda: here.service.place.config.read_text() == good, "the former text")
        time.sleep(1)
    assert here.service.workers() == workers
    assert here.lost() == []


def test_a_stranger_cannot_connect_to_the_machine_config_server(undisturbed: Running) -> None:
    with stranger(undisturbed.here.site) as place:
        assert refusal(place, INNER, MACHINE_CONFIG) == "closed"
        assert refusal(place, INNER, API) == "", "but to the API"


def test_a_node_can_connect_to_the_machine_config_server(undisturbed: Running) -> None:
    assert refusal(undisturbed.here.nodes["m1"].machine, INNER, MACHINE_CONFIG) == ""


def test_the_machine_config_server_is_not_on_the_outer_address(undisturbed: Running) -> None:
    assert refusal(undisturbed.here.nodes["m1"].machine, OUTER, MACHINE_CONFIG) == "refused"


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


def test_a_cluster_that_replaced_its_authority_keeps_its_api(running: Running, tmp_path: Path) -> None:
    here = running.here
    running.appliance.command("balancer", "drain", "bs")
    here.end(MASTERS, [API])
    newer = Authority("kube-apiserver-lb-signer").issue(tmp_path / "newer.pem", API_INT)
    for name in MASTERS:
        here.nodes[name].start(API, context=server_context(newer))
    running.appliance.said("balancer.unverified")
    for name in MASTERS:
        until(lambda name=name: state_of(running.appliance, name) == "up", f"{name} is in")
