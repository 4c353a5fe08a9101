"""What an operator is shown of a load balancer and can order, with a real HAProxy: the appliance's or another's."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from appliance.balancer.compile import front_ends
from appliance.balancer.haproxy import Settings, configuration
from appliance.config import check
from tests.balancer_life import INNER, OUTER, TEXT, Lab, lab, rows, wait_for_file
from tests.balancer_nodes import CONTROL_PLANE, INGRESS
from tests.haproxy import MISSING
from tests.serve_lab import Serving, run, until

pytestmark = [pytest.mark.netns, pytest.mark.skipif(bool(MISSING), reason=MISSING)]
API, MACHINE_CONFIG = "api-6443", "machine-config-22623"


@pytest.fixture
def on(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path) as made:
        made.switch_on("m1")
        made.open(["m1"], CONTROL_PLANE)
        yield made


@pytest.fixture
def others(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path, TEXT.replace("engine: haproxy", "engine: external")) as made:
        yield made


@contextmanager
def served(on: Lab) -> Iterator[Serving]:
    """Serve, with HAProxy's service."""
    with on.serve() as appliance:
        wait_for_file(on.service.place.config)
        on.service.start()
        yield appliance


@contextmanager
def other_haproxy(on: Lab, directory: Path) -> Iterator[None]:
    """Run an HAProxy that is none of the appliance's, for the same front ends."""
    (cluster,) = check([on.site.config], on.site.data_dir).clusters
    path = directory / "other.cfg"
    settings = Settings(runtime_socket=str(directory / "other.sock"), log="127.0.0.1:514", connections=200)
    path.write_text(configuration(front_ends(cluster), {}, settings))
    with on.site.place:
        process = subprocess.Popen(["haproxy", "-db", "-n", "1000", "-f", path], stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def wait_for(appliance: Serving, name: str, state: str, front_end: str = API) -> dict[str, Any]:
    """Return the row of the member *name* once it has that *state*."""

    def found() -> dict[str, Any] | None:
        row = rows(appliance, front_end)[name]
        return row if row["state"] == state else None

    return until(found, f"{name} is {state}", 60)


def test_balancer_says_who_answers_and_why_another_does_not(on: Lab) -> None:
    with served(on) as appliance:
        wait_for(appliance, "m1", "up")
        wait_for(appliance, "m2", "down")
        lines = appliance.command("balancer").splitlines()
    (up,) = (line for line in lines if re.match(r"api-6443 +m1 ", line))
    (down,) = (line for line in lines if re.match(r"api-6443 +m2 ", line))
    assert re.search(r" up +\d+ s +\d+ +\d+ +passed: ", up), up
    assert re.search(r" down .* failed: ", down), down


def test_order_moves_a_member_of_haproxy_and_back(on: Lab) -> None:
    with served(on) as appliance:
        wait_for(appliance, "m1", "up")
        appliance.command("balancer", "drain", "m1", "--frontend", API)
        assert wait_for(appliance, "m1", "drain")["why"] == "ordered by the operator"
        assert rows(appliance, MACHINE_CONFIG)["m1"]["state"] != "drain"
        appliance.command("balancer", "ready", "m1", "--frontend", API)
        wait_for(appliance, "m1", "up")


def test_drained_bootstrap_is_told_by_status(on: Lab) -> None:
    with served(on) as appliance:
        appliance.command("balancer", "drain", "bs")
        wait_for(appliance, "bs", "maint")
        assert "bootstrapping has been complete for" in appliance.command("status")


def test_dashboard_has_the_members(on: Lab) -> None:
    with served(on) as appliance:
        wait_for(appliance, "m1", "up")
        done = run("curl", "-s", "http://127.0.0.1:8080/status", place=on.site.place)
    states = {(row["front_end"], row["name"]): row["state"] for row in json.loads(done.stdout)["balancer"]["rows"]}
    assert states[API, "m1"] == "up"


def test_somebody_elses_haproxy_is_tried(others: Lab, tmp_path: Path) -> None:
    others.switch_on("m1", "w1")
    others.open(["m1"], CONTROL_PLANE)
    others.open(["w1"], INGRESS)
    with others.site.serve() as appliance, other_haproxy(others, tmp_path):
        until(lambda: all(row["is_well"] for row in trials(appliance)), "answers from every front end", 60)
        found = {row["address"]: row["words"] for row in trials(appliance)}
        others.end(["m1"], CONTROL_PLANE)
        hint = "the load balancer has no member that works; the bootstrap machine or a master must answer on port 6443"
        until(lambda: any(hint in row["hint"] for row in trials(appliance)), "a hint", 60)
    assert found[f"{INNER}:6443"] == "answers: HTTP 200"
    assert found[f"{OUTER}:80"] == "answers: accepts connections"
    assert found[f"{OUTER}:22623"] == "cannot be used, as it should be: connection refused"


def trials(appliance: Serving) -> list[dict[str, Any]]:
    """Return what came of trying each address."""
    return list(json.loads(appliance.command("balancer", "-o", "json"))["trials"])
