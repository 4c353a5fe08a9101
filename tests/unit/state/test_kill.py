"""`kill -9` at any moment loses nothing that a reply could depend on."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from appliance.install.installation import Installation, Stage
from appliance.state.encoding import decoded
from tests.boots import LEGACY, LIVE, Fleet
from tests.scripts import run

KILLED = """
    import os, signal, sys
    from pathlib import Path
    from appliance.events import Program, StageReached
    from appliance.state.encoding import encoded
    from tests.boots import LEGACY, LIVE, Fleet

    cluster = LIVE if sys.argv[2] == "live" else LEGACY

    def events(fleet):
        boots = [fleet.boot(index) for index in range(7)]
        ways = []
        for boot in boots:
            way = boot.live(1000) if cluster is LIVE else boot.legacy(1000)
            ways.append([*way, *boot.dhcp(Program.PXE), *boot.dhcp(Program.OS), boot.api_int()])
        return [event for exchange in zip(*ways, strict=True) for event in exchange]

    rehearsal = Fleet(Path(sys.argv[1]) / "rehearsal", cluster)
    boundaries = []
    for index, event in enumerate(events(rehearsal)):
        told = len(rehearsal.told)
        rehearsal.happen(event, 0.01)
        if any(isinstance(event, StageReached) for event in rehearsal.told[told:]):
            boundaries.append(index)
    rehearsal.journal.close()

    for boundary in boundaries:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            fleet = Fleet(Path(sys.argv[1]) / str(boundary), cluster)
            for event in events(fleet)[: boundary + 1]:
                fleet.happen(event, 0.01)
            for one in fleet.registry.installations.values():
                print(boundary, encoded(one))
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
"""


@pytest.mark.parametrize("cluster", [LEGACY, LIVE], ids=["legacy", "live"])
def test_kill_at_each_stage_boundary_of_seven_nodes_changes_nothing(quick_path, cluster):
    said: dict[str, dict[str, Installation]] = {}
    for line in run(KILLED, str(quick_path), "live" if cluster is LIVE else "legacy").splitlines():
        boundary, _, state = line.partition(" ")
        installation = decoded(state)
        said.setdefault(boundary, {})[installation.host] = installation
    assert len(said) == 7 * (len(Stage) - 1)
    for boundary, before in said.items():
        fleet = Fleet(quick_path / boundary, cluster)
        assert fleet.registry.installations == before
        fleet.journal.close()


ENDLESS = """
    import sys
    from pathlib import Path
    from appliance.events import Program
    from tests.boots import LIVE, Fleet

    fleet = Fleet(Path(sys.argv[1]), LIVE)
    boots = [fleet.boot(index) for index in range(7)]
    while True:
        for boot in boots:
            for event in [*boot.live(1000), *boot.dhcp(Program.PXE), *boot.dhcp(Program.OS)]:
                fleet.happen(event, 0.01)
                print(boot.host, fleet[boot].number, int(fleet[boot].stage), flush=True)
            fleet.registry.order(fleet.registry.hosts[boot.host], "reinstall")
"""


@pytest.mark.parametrize("lines", [1, 100, 1000])
def test_kill_in_the_middle_of_writing_loses_nothing_that_was_acknowledged(tmp_path, lines):
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(ENDLESS), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    ) as writer:
        assert writer.stdout is not None
        said = [writer.stdout.readline() for _ in range(lines)]
        writer.kill()
        said += writer.stdout.readlines()
    fleet = Fleet(tmp_path, LIVE)
    for line in said[:-1]:  # the last line may be incomplete
        host, number, stage = line.split()
        installation = fleet.registry.installations[host]
        assert (installation.number, installation.stage) >= (int(number), int(stage))
    fleet.journal.close()
