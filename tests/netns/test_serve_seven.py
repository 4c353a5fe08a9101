"""The whole reference cluster at once: seven machines on seven cables, also while the appliance is killed."""

import asyncio
import json
import re
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from appliance.install.installation import Installation, Stage
from appliance.simulate.namespace import ip
from appliance.state.encoding import decoded
from tests.browser_page import chromium_in, opened
from tests.serve_lab import PROGRAM, Site, site, until
from tests.simulate_segment import REFERENCE, ROOT

pytestmark = [pytest.mark.netns, pytest.mark.timeout(180)]

NAMES = ("bs", "m1", "m2", "m3", "w1", "w2", "w3")
M1 = "172.16.0.21"
DASHBOARD = "http://127.0.0.1:8080/"


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    # With the original holdUntil: the workers wait until a master answers.
    with site(tmp_path, REFERENCE.read_text()) as made:
        yield made


@contextmanager
def powered_on(here: Site, directory: Path) -> Iterator[dict[str, "subprocess.Popen[bytes]"]]:
    """Power on all seven machines, each in its own namespace and at its own port of the bridge."""
    with ExitStack() as stack:
        machines = {}
        for name in NAMES:
            output = stack.enter_context((directory / f"{name}.log").open("wb"))
            with here.place:
                machines[name] = subprocess.Popen(
                    [*PROGRAM, "simulate", "--config", str(here.config), name],
                    stdout=output,
                    stderr=output,
                    cwd=ROOT,
                )
            stack.callback(machines[name].wait)
            stack.callback(machines[name].kill)
        yield machines


@contextmanager
def control_plane(here: Site) -> Iterator[None]:
    """Accept connections on port 22623 at the address of m1, which has to be off, during the block."""
    ip(f"addr add {M1}/32 dev br0", place=here.place)
    with here.place, socket.create_server((M1, 22623)):
        yield


def stages_of(events: list[dict[str, Any]], name: str) -> list[Stage]:
    """Return the stages of the host *name* in *events*, in their order."""
    return [
        Stage[event["facts"]["stage"].upper()]
        for event in events
        if event["kind"] == "install.stage" and event["host"].startswith(f"{name}.")
    ]


def on_disk(here: Site) -> dict[str, Installation]:
    """Return the latest installation of every host in the state on disk, by short name."""
    with closing(sqlite3.connect(f"file:{here.data_dir}/state.db?mode=ro", uri=True)) as state:
        rows = state.execute("SELECT host, max(number), state FROM installations GROUP BY host").fetchall()
    kept = {host.partition(".")[0]: decoded(text) for host, _, text in rows}
    return {name: Installation(name) for name in NAMES} | kept


def told(directory: Path) -> str:
    return "".join(f"{path.name}: {path.read_text()}" for path in sorted(directory.glob("*.log")))


async def test_seven_machines_install_at_once_and_every_picture_agrees_with_the_journal(
    here: Site, tmp_path: Path
) -> None:
    """Meanwhile the dashboard is open in Chromium, and `status --watch` is running."""
    async with AsyncExitStack() as stack:
        appliance = stack.enter_context(here.serve())
        pictures = stack.enter_context((tmp_path / "pictures").open("w+"))
        watching = subprocess.Popen(
            [*PROGRAM, "status", "--watch", "-o", "json", "--data-dir", str(here.data_dir)],
            stdout=pictures,
            cwd=ROOT,
        )
        stack.callback(watching.wait)
        stack.callback(watching.kill)
        page = await stack.enter_async_context(opened(DASHBOARD, executable=chromium_in(here.place, tmp_path)))
        with powered_on(here, tmp_path) as machines:
            for name, machine in machines.items():
                if name == "w1":
                    stack.enter_context(control_plane(here))
                assert await asyncio.to_thread(machine.wait, 120) == 0, f"{name}: {told(tmp_path)}"
        rows, events = appliance.rows(), appliance.events()
        last = len((tmp_path / "pictures").read_text().splitlines())
        until(lambda: len((tmp_path / "pictures").read_text().splitlines()) > last + 1, "one more picture")
        await page.wait_for_text("#installed", "7 of 7")
        for row in rows.values():
            await page.page.wait_for_selector(f"[data-host='{row['host']}'][data-stage={row['stage']}]")
        seen = await page.page.evaluate("window.seen")
        assert page.complaints == []

    for name in NAMES:
        reached = stages_of(events, name)
        # Each stage once, in order; the row shows the last of them.
        assert reached == sorted(set(reached)), name
        assert {Stage.SCRIPT, Stage.KERNEL, Stage.INITRAMFS, Stage.IGNITION, Stage.INSTALLED} <= set(reached), name
        assert Stage[rows[name]["stage"].upper()] is reached[-1] >= Stage.BOOTED, name
        on_cards = [Stage[stage.upper()] for stage in seen[rows[name]["host"]]["stages"]]
        assert on_cards == sorted(on_cards), name
        assert {*on_cards} <= {Stage.WAITING, *reached}, name
    shown = [json.loads(line)["hosts"] for line in (tmp_path / "pictures").read_text().splitlines()]
    for name in NAMES:
        steps = [row["step"] for picture in shown for row in picture if row["name"] == name]
        assert all(before <= after for before, after in pairwise(steps)), (name, steps)
        assert steps[-1] == rows[name]["step"]


def test_a_kill_in_the_middle_loses_no_stage_and_the_machines_go_on(here: Site, tmp_path: Path) -> None:
    with ExitStack() as stack:
        with here.serve(name="first") as appliance:
            machines = stack.enter_context(powered_on(here, tmp_path))

            def two_have_a_kernel() -> bool:
                return sum(row["step"] >= Stage.KERNEL for row in appliance.rows().values()) >= 2

            # The workers wait in iPXE by then; the others may be at any stage.
            until(two_have_a_kernel, "two hosts have a kernel", 60)
            shown = appliance.rows()
            appliance.process.kill()
            appliance.process.wait()
        before = on_disk(here)
        for name, row in shown.items():
            assert (before[name].number, before[name].stage) >= (row["number"], row["step"])
        with here.serve(name="second") as appliance:
            rows, after = appliance.rows(), on_disk(here)
            for name, row in rows.items():
                assert (row["number"], row["step"]) >= (before[name].number, before[name].stage)
                # The machines continue meanwhile: a host that has everything it needs will boot from its disk.
                is_done = after[name].is_settled or after[name].stage >= Stage.INSTALLED
                assert row["order"] == before[name].order or (row["order"] == "local" and is_done)
            for name, machine in machines.items():
                if name == "w1":
                    stack.enter_context(control_plane(here))
                machine.wait(120)
                # A machine whose download was broken by the kill stops, as a real one may. Power it on again.
                if machine.returncode:
                    again = here.simulate(name)
                    assert again.returncode == 0, again.stdout + again.stderr
            assert all(Stage[row["stage"].upper()] >= Stage.INSTALLED for row in appliance.rows().values())


def test_installed_machines_stay_installed_through_a_kill(here: Site, tmp_path: Path) -> None:
    with here.serve(name="first") as appliance:
        assert here.simulate("m1").returncode == 0
        appliance.process.kill()
        appliance.process.wait()
    with here.serve(name="second") as appliance:
        assert appliance.rows()["m1"]["order"] == "local"
        done = here.simulate("m1")
        assert re.search(r"m1\.ocp45\.example\.localdomain: booted from its disk", done.stdout), done.stdout
