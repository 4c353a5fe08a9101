"""Seven simulated machines are installed while Chromium shows the dashboard, and the page agrees with the journal."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from appliance.config import load
from appliance.model import Cluster
from appliance.share import share
from appliance.simulate.child import Appliance
from appliance.simulate.fabric import Fabric
from appliance.simulate.loopback import moved_to_loopback
from appliance.simulate.rehearsal import Rehearsal
from appliance.simulate.run import Result
from appliance.simulate.standins import make_standins
from tests.browser_page import Opened, opened

STAGES = (
    *("waiting", "firmware", "loader", "bootloader", "script", "kernel", "initramfs"),
    *("image", "ignition", "installed", "booted", "joining"),
)

pytestmark = pytest.mark.timeout(120)


@dataclass
class Site:
    """The reference cluster on loopback, with simulated machines and the real appliance."""

    directory: Path
    file: Path
    cluster: Cluster
    rehearsal: Rehearsal
    fabric: Fabric
    appliance: Appliance
    page: Opened

    @property
    def url(self) -> str:
        return url_of(self.cluster)

    async def power_on_all(self, time: int = 1) -> None:
        """Power on every machine; return when all are up."""
        await self.rehearsal._power_on_all(time)
        assert [entry.error for entry in self.rehearsal.entries if entry.error] == []

    async def events(self) -> list[dict[str, Any]]:
        """Return the events in the output of `ocp-appliance events`."""
        command = [sys.executable, "-m", "appliance", "events", "-o", "json", "--data-dir", str(self.directory)]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, env={**os.environ, "COLUMNS": "200"}
        )
        output, _ = await process.communicate()
        assert process.returncode == 0
        return [json.loads(line) for line in output.splitlines()]


def url_of(cluster: Cluster) -> str:
    (endpoint,) = cluster.listen.dashboard
    return f"http://{endpoint.address}:{endpoint.port}"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    file = tmp_path / "cluster.yaml"
    moved_to_loopback(share("data") / "ocp45" / "cluster.yaml", file)
    (cluster,) = load([file], tmp_path)
    rehearsal = Rehearsal(cluster, file, tmp_path, make_standins(cluster, tmp_path, 0), in_lab=False)
    with Fabric(cluster, in_lab=False) as fabric:
        async with Appliance(file, tmp_path) as appliance, opened(url_of(cluster)) as page:
            rehearsal._assemble(fabric)
            yield Site(tmp_path, file, cluster, rehearsal, fabric, appliance, page)
            await rehearsal._switch_off()


async def test_a_whole_installation_is_seen_live_and_agrees_with_status_and_journal(site: Site) -> None:
    names = [host.name for host in site.cluster.hosts]
    assert await site.page.stages() == dict.fromkeys(names, "waiting")
    await site.power_on_all()
    await site.page.wait_for_text("#installed", "7 of 7")
    for name in names:
        await site.page.page.wait_for_selector(f"[data-host='{name}'][data-stage=joining]")
    # The waterfall is drawn after the cards, once for several changes.
    await site.page.page.wait_for_function(
        "count => document.querySelectorAll('#lanes .bar.stage-joining').length === count", arg=len(names)
    )

    seen = await site.page.page.evaluate("window.seen")
    for name in names:  # each only moved forward, and none jumped from the first stage to the last
        steps = [STAGES.index(stage) for stage in seen[name]["stages"]]
        assert steps == sorted(steps)
    assert sum(len(card["stages"]) for card in seen.values()) > 3 * len(names)

    async with aiohttp.ClientSession() as session, session.get(f"{site.url}/status") as answer:
        rows = {row["host"]: row for row in (await answer.json())["hosts"]}
    assert {name: row["stage"] for name, row in rows.items()} == await site.page.stages()

    told: dict[str, dict[str, float]] = {name: {} for name in names}
    ignition_at: dict[str, float] = {}
    for event in await site.events():
        if event["kind"] == "install.stage":
            told[event["host"]][event["facts"]["stage"]] = event["at"]
        if event["kind"] == "web.start" and event["facts"]["what"] == "ignition":
            ignition_at.setdefault(event["host"], event["at"])
    shown = "lanes => lanes.map((lane) => [...lane.querySelectorAll('.bar')].map((bar) => bar.className.split('-')[1]))"
    lanes = await site.page.page.eval_on_selector_all("#lanes li", shown)
    assert [sorted(lane) for lane in lanes] == [sorted(told[name]) for name in names]
    for name, stages in told.items():
        reached = rows[name]["reached"]
        assert sorted(reached, key=STAGES.index) == list(stages)
        # This release downloads Ignition before the image, but the stage is reached when the image is complete.
        assert reached["ignition"] == ignition_at[name]
        # Every other stage is published when it is reached, and so before the next one.
        times = [at for stage in stages if stage != "ignition" for at in (reached[stage], stages[stage])]
        assert times == sorted(times), name
    await site.page.keep("installed-light")
    assert site.page.complaints == []


async def test_a_restart_of_the_appliance_loses_nothing_on_the_page(site: Site) -> None:
    await site.power_on_all()
    await site.page.wait_for_text("#installed", "7 of 7")
    await site.appliance.stop()
    await site.page.page.wait_for_selector("body.lost")
    (site.directory / "notify.sock").unlink()
    site.fabric.__exit__(None, None, None)  # the relay of this link uses the appliance's port
    async with Appliance(site.file, site.directory):
        await site.page.wait_for_text("#link", "live")
        assert await site.page.text("#installed") == "7 of 7"
        with Fabric(site.cluster, in_lab=False) as fabric:
            for name, link in fabric.plug_all(site.cluster.hosts).items():
                machine, _, node = site.rehearsal._machines[name]
                site.rehearsal._machines[name] = (machine, link, node)
            await site.power_on_all(2)
        assert {entry.second and entry.second.result for entry in site.rehearsal.entries} == {Result.BOOTED}
        assert await site.page.text("#installed") == "7 of 7"
    # Only about the connections that were refused while the appliance was down.
    assert all("ERR_" in complaint for complaint in site.page.complaints), site.page.complaints
