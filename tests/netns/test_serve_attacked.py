"""Seven machines install while two strangers do everything at once that could deny it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.netns.test_serve_seven import NAMES, powered_on, told
from tests.serve_lab import REFERENCE_TEXT, Site, site
from tests.simulate_segment import ROOT

pytestmark = [pytest.mark.netns, pytest.mark.slow, pytest.mark.timeout(600)]

STRANGERS = {"172.16.0.200": "52:54:00:00:00:c8", "172.16.0.201": "52:54:00:00:00:c9"}
SILENT_FORWARDER = "172.16.0.250"
TIMES_AS_LONG = 2.0
# The attackers compute on the same processors; that takes them some seconds of each machine's time, however long it is.
NOISE_SECONDS = 15.0


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    text = REFERENCE_TEXT.replace("  forwarders: []", f"  forwarders: [{SILENT_FORWARDER}]")
    with site(tmp_path, text) as made:
        yield made


def seconds_of_each(here: Site, directory: Path) -> dict[str, float]:
    """Install all machines at once; return how long each took."""
    began = time.monotonic()
    with powered_on(here, directory) as machines, ThreadPoolExecutor(len(NAMES)) as threads:

        def until_it_ends(name: str) -> float:
            assert machines[name].wait(240) == 0, f"{name}: {told(directory)}"
            return time.monotonic() - began

        return dict(zip(NAMES, threads.map(until_it_ends, NAMES), strict=True))


@contextmanager
def attacks(here: Site, directory: Path) -> Iterator[None]:
    """Attack from both strangers during the block; fail if one of them could not."""
    with ExitStack() as stack:
        attackers = []
        for address, mac in STRANGERS.items():
            place = stack.enter_context(here.neighbour(address, mac))
            log = stack.enter_context((directory / f"{address}.attacks").open("w+"))
            # They would have machines of their own: what they compute must not slow the appliance.
            command = ["nice", "-n", "5", sys.executable, "-m", "tests.attackers", address]
            with place:
                attacker = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT)
            stack.callback(attacker.wait)
            stack.callback(attacker.kill)
            attackers.append((attacker, log))
        yield
        for attacker, log in attackers:
            attacker.send_signal(signal.SIGTERM)
            attacker.wait(60)
            log.seek(0)
            said = log.read()
            done = json.loads(said.splitlines()[-1])
            print(done)
            assert done["died"] == 0, said
            floods = ("forge_transfers", "invent_machines", "ask_for_silence")
            assert min(done.get(flood, 0) for flood in floods) > 100, said


def test_no_machine_fails_or_takes_twice_as_long_while_two_strangers_attack(here: Site, tmp_path: Path) -> None:
    quiet, attacked = {}, {}
    with here.serve(name="quiet"):
        quiet = seconds_of_each(here, tmp_path)
    for left in here.data_dir.glob("state.db*"):
        left.unlink()
    with here.serve(name="attacked") as appliance, attacks(here, tmp_path):
        time.sleep(5.0)  # for the attackers to take what they can get
        attacked = seconds_of_each(here, tmp_path)
        resident = int((Path("/proc") / str(appliance.process.pid) / "statm").read_text().split()[1])
        rows = appliance.rows()
        events = appliance.events()
    print("seconds, quiet and attacked:", {name: (round(quiet[name], 1), round(attacked[name], 1)) for name in NAMES})
    print(f"{resident * os.sysconf('SC_PAGE_SIZE') >> 20} MiB, {len(events)} events")
    assert {row["stage"] for row in rows.values()} <= {"installed", "booted", "joining"}
    patience = max(TIMES_AS_LONG * max(quiet.values()), max(quiet.values()) + NOISE_SECONDS)
    assert max(attacked.values()) <= patience
