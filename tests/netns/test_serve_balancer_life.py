"""The life of a cluster behind the load balancer, under a constant load of which nothing may be lost."""

import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.balancer_life import INNER, OUTER, TEXT, Lab, lab, rows, state_of, wait_for_file
from tests.balancer_nodes import API, CONTROL_PLANE, HTTP, HTTPS, INGRESS, MACHINE_CONFIG
from tests.haproxy import MISSING
from tests.serve_lab import I1, Serving, until, with_host

pytestmark = [
    pytest.mark.netns,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(MISSING), reason=MISSING),
]

MASTERS, WORKERS, INFRA = ("m1", "m2", "m3"), ("w1", "w2", "w3"), ("i1", "i2")
# OpenShift's limits for a load balancer.
OUT_SECONDS, IN_SECONDS = 30.0, 20.0
I2 = I1.replace("i1", "i2").replace(".41", ".42").replace("41:01", "42:01")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path) as made:
        yield made


def bootstrap_alone(here: Lab, appliance: Serving) -> None:
    here.switch_on("bs")
    here.open(["bs"], CONTROL_PLANE)
    wait_for_file(here.service.place.config)
    here.service.start()
    until(lambda: state_of(appliance, "bs") == "up", here.service.log.read_text())
    here.put_load("inner", INNER, API, watches=3)
    here.put_load("outer", OUTER, API, watches=2)
    here.put_load("config", INNER, MACHINE_CONFIG)
    assert here.loads.members("inner", 0) == {"bs"}


def masters_come(here: Lab) -> None:
    here.switch_on(*MASTERS)
    began = here.open(MASTERS, CONTROL_PLANE)
    here.answered_by("inner", set(MASTERS), since=began)
    here.figures["masters are in after"] = f"{time.time() - began:.1f} s"
    here.answered_by("config", set(MASTERS), since=began)
    began = time.time()
    time.sleep(3)
    assert "bs" not in here.loads.members("inner", began), "the bootstrap is a backup"
    here.put_load("watches", INNER, API, per_second=1, watches=6)
    assert here.lost() == []


def an_api_server_dies_and_returns(here: Lab, appliance: Serving) -> float:
    m2 = here.nodes["m2"]
    m2.is_api_ready, began = False, time.time()
    until(lambda: state_of(appliance, "m2") == "down", "m2 is out", OUT_SECONDS)
    time.sleep(2)
    last = max(found.at for found in here.loads.outcomes() if found.kind == "new" and found.member == "m2")
    here.figures["a dying API server is out after"] = f"{last - began:.1f} s"
    assert last - began < OUT_SECONDS
    assert here.lost() == [], "it serves what it has"
    here.end(["m2"], [API])
    time.sleep(1)
    m2.is_api_ready, began = True, time.time()
    here.open(["m2"], [API])
    until(lambda: "m2" in here.loads.members("inner", began), "m2 is in", IN_SECONDS)
    here.figures["a new API server is in after"] = f"{time.time() - began:.1f} s"
    assert here.lost() == []
    return time.time()


def routers_come(here: Lab, appliance: Serving) -> None:
    here.switch_on(*WORKERS)
    began = here.open(WORKERS, INGRESS)
    for name in WORKERS:
        until(lambda name=name: state_of(appliance, name, "ingress-80") == "up", f"{name}'s router is in")
    here.put_load("http", OUTER, HTTP, 16, watches=4)
    here.put_load("https", OUTER, HTTPS, watches=4)
    here.answered_by("http", set(WORKERS), since=began)
    assert here.lost() == []


def bootstrapping_is_complete(here: Lab, appliance: Serving, held_since: float) -> None:
    watches = here.loads.watched("inner").count("bs")
    assert watches == 3, "opened when nobody else answered"
    until(lambda: state_of(appliance, "bs") == "maint", "bs has left", 120)
    here.figures["the bootstrap is out after"] = f"{time.time() - held_since:.1f} s"
    assert time.time() - held_since > 60
    assert "bootstrap.complete" in {event["kind"] for event in appliance.events()}
    assert here.loads.watched("inner").count("bs") == watches, "it keeps its connections"
    here.end(["bs"], CONTROL_PLANE)
    time.sleep(2)
    assert here.lost() == []


def infra_comes_and_workers_routers_go(here: Lab, appliance: Serving) -> None:
    here.site.config.write_text(with_host(with_host(TEXT), I2))
    appliance.reload()
    here.switch_on(*INFRA)
    here.open(INFRA, INGRESS)
    for name in INFRA:
        until(lambda name=name: state_of(appliance, name, "ingress-80") == "up", f"{name}'s router is in")
    for name in WORKERS:
        here.nodes[name].is_router_ready = False
    for name in WORKERS:
        until(lambda name=name: state_of(appliance, name, "ingress-443") == "down", f"{name}'s router is out")
        until(lambda name=name: state_of(appliance, name, "ingress-80") == "down", f"{name}'s router is out")
    time.sleep(1)
    began = time.time()
    time.sleep(2)
    assert here.loads.members("http", began) <= set(INFRA)
    here.end(WORKERS, INGRESS)
    time.sleep(1)
    assert here.lost() == []


def hosts_are_taken_out(here: Lab, appliance: Serving) -> None:
    text = here.site.config.read_text()
    for name in WORKERS:
        text = re.sub(rf"  - hostname: {name}\n(?:    .*\n)*", "", text)
    here.site.config.write_text(text)
    appliance.reload()
    until(lambda: "w1" not in rows(appliance, "ingress-80"), "w1 is no member any more")
    time.sleep(2)
    assert here.lost() == []


def a_master_is_reinstalled(here: Lab, appliance: Serving) -> None:
    m3 = here.nodes["m3"]
    until(lambda: "m3" in here.loads.watched("watches"), "a watch through m3")
    appliance.command("reinstall", "--yes", "m3")
    until(lambda: state_of(appliance, "m3") == "drain", "m3 drains")
    time.sleep(0.5)
    asked, began = m3.asked.total(), time.time()
    time.sleep(3)
    assert m3.asked.total() == asked, "no new connections"
    assert "m3" not in here.loads.members("inner", began)
    assert "m3" in here.loads.watched("watches"), "it keeps those that it has"
    here.end(["m3"], CONTROL_PLANE)
    m3.switch_off()
    done = here.site.simulate("m3")
    assert "m3.ocp45.example.localdomain: installed" in done.stdout, done.stdout + done.stderr
    m3.switch_on()
    began = here.open(["m3"], CONTROL_PLANE)
    here.answered_by("inner", {"m3"}, since=began)
    assert here.lost() == []


def a_broken_file_is_reloaded(here: Lab, appliance: Serving) -> None:
    good, pid = here.site.config.read_text(), here.service.workers()
    here.site.config.write_text(good.replace("role: master", "role: mistress"))
    appliance.reload()
    appliance.said("config.refuse")
    time.sleep(2)
    here.site.config.write_text(good)
    assert here.service.workers() == pid
    assert here.lost() == []


def the_life(here: Lab) -> None:
    with here.serve() as appliance:
        bootstrap_alone(here, appliance)
        masters_come(here)
        held_since = an_api_server_dies_and_returns(here, appliance)
        routers_come(here, appliance)
        bootstrapping_is_complete(here, appliance, held_since)
        infra_comes_and_workers_routers_go(here, appliance)
        a_broken_file_is_reloaded(here, appliance)
        appliance.end(signal.SIGKILL)
        time.sleep(3)
        assert here.lost() == [], "HAProxy needs no appliance"
    with here.serve() as appliance:
        until(lambda: state_of(appliance, "bs") == "maint", "what was decided before holds")
        a_master_is_reinstalled(here, appliance)
        hosts_are_taken_out(here, appliance)
        appliance.end()
        time.sleep(2)
    assert here.lost() == []


def test_no_connection_is_lost_in_the_life_of_a_cluster(here: Lab) -> None:
    try:
        the_life(here)
    finally:
        print(*(f"{what}: {figure}" for what, figure in here.figures.items()), sep="\n")
    here.service.reload()
    time.sleep(2)
    print(len(here.loads.outcomes()), "connections,", len(here.lost()), "lost")
    assert here.lost() == []
