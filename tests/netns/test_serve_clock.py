"""The wall clock of the appliance's machine is set while a machine installs.

The wall clock of a network namespace is that of this machine, which no test may set.
So the appliance runs in a Python whose `time.time` is ahead by what a file says.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.serve_lab import APPLIANCE, REFERENCE_TEXT, Site, run, site, status_of, until

pytestmark = pytest.mark.netns

YEAR = 365 * 86400
M1 = ("172.16.0.21", "00:50:56:96:37:c8")
IMAGES = ("/rhcos-4.5.6-x86_64-installer-kernel-x86_64", "/rhcos-4.5.6-x86_64-installer-initramfs.x86_64.img")
SITE_CUSTOMIZE = """\
import time

wall = time.time
time.time = lambda: wall() + float(open({ahead!r}).read())
"""


class Ahead:
    """By how many seconds the wall clock of the appliance is ahead."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "ahead"
        self.set(0)
        (directory / "sitecustomize.py").write_text(SITE_CUSTOMIZE.format(ahead=str(self._file)))
        self.environment: Mapping[str, str] = {"PYTHONPATH": str(directory)}

    def set(self, seconds: float) -> None:
        # Renamed, so that the appliance never reads half of it.
        new = self._file.with_suffix(".new")
        new.write_text(str(seconds))
        new.rename(self._file)


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Site]:
    # Another server gives the addresses, so that a request for its script is the first that is seen of a machine.
    with site(tmp_path, f"{REFERENCE_TEXT}\ndhcp: {{mode: 'off'}}\n") as made:
        yield made


@pytest.fixture
def ahead(tmp_path: Path) -> Ahead:
    directory = tmp_path / "python"
    directory.mkdir()
    return Ahead(directory)


@pytest.mark.parametrize("is_running", [True, False], ids=["while it serves", "while it is stopped"])
@pytest.mark.parametrize("seconds", [YEAR, -YEAR])
def test_clock_that_is_set_closes_no_window(at: Site, ahead: Ahead, seconds: int, is_running: bool) -> None:
    with at.neighbour(*M1) as m1:
        with at.serve("--verbose", environment=ahead.environment) as serving:
            script = run("curl", "-sf", f"http://{APPLIANCE}/ipxe/{M1[1].replace(':', '-')}.ipxe", place=m1).stdout
            (path,) = re.findall(r"/ignition/[0-9a-f]{16,}/\w+\.ign", script)
            for image in IMAGES:
                assert status_of(m1, image) == "200"
            if is_running:
                ahead.set(seconds)
                said = until(lambda: re.search(r"clock\.set seconds=(\S+)", serving.text), "clock.set in the log")
                assert float(said[1]) == pytest.approx(seconds, abs=1)
                assert status_of(m1, path) == "200"
            else:
                assert serving.end() == 0
        if not is_running:
            ahead.set(seconds)
            with at.serve(environment=ahead.environment):
                assert status_of(m1, path) == "200"
