"""The load through a load balancer that other tests rely on: it finds what is lost, and only that."""

import gc
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from appliance.simulate.namespace import ip
from tests.balancer_load import Load, Loads, loading
from tests.balancer_nodes import API, API_INT, ROUTER, Certificates, Node, standin_nodes
from tests.haproxy import MISSING
from tests.serve_lab import Site, site, until

pytestmark = [pytest.mark.netns, pytest.mark.skipif(bool(MISSING), reason=MISSING)]

VIP = "172.16.0.110"
CONFIGURATION = """\
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen api
    bind 172.16.0.110:6443
    option redispatch
    server m1 172.16.0.21:6443
    server m2 172.16.0.22:6443
"""


class Lab:
    """Two masters behind an HAProxy that nobody drives, and a load of new connections and of watches."""

    def __init__(self, nodes: dict[str, Node], loads: Loads, balancer: "subprocess.Popen[bytes]") -> None:
        self.nodes, self.loads, self.balancer = nodes, loads, balancer


@contextmanager
def balancing(on: Site, directory: Path) -> Iterator["subprocess.Popen[bytes]"]:
    configuration = directory / "haproxy.cfg"
    configuration.write_text(CONFIGURATION)
    with on.place:
        process = subprocess.Popen(["haproxy", "-db", "-f", configuration])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with site(tmp_path) as here:
        ip(f"addr add {VIP}/24 dev br0", place=here.place)
        certificates = Certificates(tmp_path / "certificates")
        with (
            standin_nodes(here, certificates) as add,
            here.neighbour("172.16.0.200") as client,
            loading(client, tmp_path / "outcomes") as loads,
            balancing(here, tmp_path) as balancer,
        ):
            m1 = add("m1", "172.16.0.21", "00:50:56:96:37:c8")
            m2 = add("m2", "172.16.0.22", "00:50:56:96:ec:a7")
            m1.start(API)
            m2.start(API)
            load = Load("api", VIP, API, 20, 4, tls_name=API_INT, authority=str(certificates.signer_file))
            time.sleep(0.5)  # HAProxy has no other way to say that it listens
            loads.start(load)
            until(lambda: len(loads.watched("api")) == 4, "watches")
            until(lambda: loads.members("api", 0) == {"m1", "m2"}, "answers from both")
            yield Lab({"m1": m1, "m2": m2}, loads, balancer)


def test_nothing_is_lost_while_nothing_happens(lab: Lab) -> None:
    began = time.time()
    until(lambda: len(lab.loads.outcomes(began)) > 40, "40 connections")
    assert lab.loads.lost() == []


def test_a_balancer_that_is_killed_loses_new_connections_and_watches(lab: Lab) -> None:
    lab.balancer.send_signal(signal.SIGKILL)
    until(lambda: {lost.kind for lost in lab.loads.lost()} == {"new", "broke"}, "losses")
    assert len([lost for lost in lab.loads.lost() if lost.kind == "broke" and lost.member]) == 4


def test_the_watches_of_a_member_that_ends_break_and_no_others(lab: Lab) -> None:
    watches = lab.loads.watched("api").count("m2")
    lab.nodes["m2"].end(API)
    until(lambda: len([lost for lost in lab.loads.lost() if lost.kind == "broke"]) == watches, "broken watches")
    assert {lost.member for lost in lab.loads.lost() if lost.kind == "broke"} == {"m2"}


def test_a_node_that_ends_closes_the_connections_that_it_has_just_accepted(lab: Lab) -> None:
    m1 = lab.nodes["m1"]
    for _ in range(20):
        m1.start(ROUTER)
        with lab.nodes["m2"].machine, ExitStack() as clients:
            for _ in range(20):
                clients.enter_context(socket.create_connection((m1.address, ROUTER)))
            m1.end(ROUTER)
    gc.collect()  # a socket that nobody has closed warns of that, which is an error
