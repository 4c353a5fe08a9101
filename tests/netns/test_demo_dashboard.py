"""The demo's dashboard as its user sees it, from outside the lab in which the appliance runs."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from appliance.control_client import ask
from appliance.errors import ControlError

pytestmark = [pytest.mark.netns, pytest.mark.timeout(120)]

ROOT = Path(__file__).parent.parent.parent
APPLIANCE = [sys.executable, "-m", "appliance"]
W1_SCRIPT = "/ipxe/00-50-56-96-6b-da.ipxe"
AS_NOBODY = ["unshare", "--user", "--map-user=1000", "--map-group=1000"]


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:
        content: bytes = answer.read()
    return content


def wait_for(claim: Callable[[], object], seconds: float = 60.0) -> None:
    """Return when *claim* returns something true, while the appliance starts and its machines boot."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if claim():
                return
        except (OSError, ControlError):
            pass  # nothing is listening yet
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.05)


@contextmanager
def demo(directory: Path, prefix: Sequence[str] = ()) -> Iterator[str]:
    """Run a demo that stays open; yield the URL of the dashboard, which it prints first."""
    process = subprocess.Popen(
        [*prefix, *APPLIANCE, "demo", "--network", "lab", "--keep-open"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(directory), "PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        found = re.fullmatch(r"dashboard: (http://127\.0\.0\.1:\d+/)\n", process.stdout.readline())
        assert found, "the first line is not the URL of the dashboard"
        yield found[1]
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


def stages(url: str) -> Counter[str]:
    return Counter(host["stage"] for host in json.loads(get(f"{url}status"))["hosts"])


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory that the demo accepts: pytest's own may be too long for the path of a socket."""
    with tempfile.TemporaryDirectory(dir="/tmp") as path:
        yield Path(path)


@pytest.mark.parametrize("prefix", [[], AS_NOBODY], ids=["as root", "without privilege"])
def test_a_browser_outside_the_lab_sees_seven_machines_install(tmp_path: Path, prefix: Sequence[str]) -> None:
    with demo(tmp_path, prefix) as url:
        wait_for(lambda: b"<title>ocp-appliance</title>" in get(url))
        wait_for(lambda: stages(url) == {"joining": 7})


def members(url: str) -> dict[tuple[str, str], str]:
    """Return the state of each member of the load balancer, by front end and host."""
    balancer = json.loads(get(f"{url}status"))["balancer"] or {"rows": []}
    return {(row["front_end"], row["name"]): row["state"] for row in balancer["rows"]}


def test_the_dashboard_shows_that_the_bootstrap_leaves_and_the_masters_stay(short_path: Path) -> None:
    with demo(short_path) as url:
        wait_for(lambda: members(url).get(("api-6443", "bs")) in ("drain", "maint"))
        assert {members(url)["api-6443", name] for name in ("m1", "m2", "m3")} == {"up"}
        assert b'id="balancer"' in get(url)


def test_haproxys_log_tells_that_a_worker_asked_for_its_machine_config(short_path: Path) -> None:
    with demo(short_path) as url:
        wait_for(lambda: get(f"{url}status"))
        control = next(short_path.glob("ocp-appliance-demo-*/control.sock"))

        def reached() -> set[tuple[str, int]]:
            """Return the ports that w1 reached through the load balancer, with its address there."""
            events = [answer["event"] for answer in ask(control, "events", host="w1")]
            facts = [event["facts"] for event in events if event["kind"] == "balancer.reached"]
            return {(each["client"], each["port"]) for each in facts}

        wait_for(lambda: reached() == {("172.16.0.31", 22623), ("172.16.0.31", 6443)})


def test_two_demos_at_once_have_a_dashboard_each(tmp_path: Path) -> None:
    with demo(tmp_path) as first, demo(tmp_path) as second:
        assert first != second
        for url in (first, second):
            wait_for(lambda url=url: stages(url).total() == 7)


def test_a_capture_holds_a_machines_boot_by_dhcp_tftp_and_http(short_path: Path) -> None:
    with demo(short_path):

        def control() -> Path:
            return next(short_path.glob("ocp-appliance-demo-*/control.sock"), short_path / "not yet")

        def has_its_script() -> bool:
            events = [answer["event"] for answer in ask(control(), "events", host="w1")]
            return any(event["kind"] == "web.done" and event["facts"]["path"] == W1_SCRIPT for event in events)

        # A worker waits in its script until the control plane is up, and its next boot would begin a new capture.
        # Hold the masters, before their first or second boot, so that the worker keeps waiting during the test.
        wait_for(lambda: list(ask(control(), "order", what="hold", role="master")))
        wait_for(has_its_script)
        data_dir = control().parent
        file = short_path / "w1.pcapng"
        command = [*APPLIANCE, "capture", "w1", "-o", str(file), "--data-dir", str(data_dir)]
        said = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout
        command[command.index(str(file))] = str(short_path / "nowhere" / "w1.pcapng")
        failed = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert failed.returncode == 1
    assert failed.stderr.endswith("w1.pcapng': No such file or directory\n")
    assert re.fullmatch(rf"{file}: [\d,]+ bytes\n", said)
    read = ["tshark", "-n", "-r", str(file), "-T", "fields", "-e", "dhcp.option.dhcp", "-e", "tftp.source_file"]
    rows = subprocess.run([*read, "-e", "http.request.uri"], capture_output=True, text=True, check=True).stdout
    steps = [row.strip() for row in rows.splitlines() if row.strip()]
    # DISCOVER, OFFER, REQUEST and ACK of the firmware, its boot file, the same of iPXE, and the host's script.
    assert steps[:4] == ["1", "2", "3", "5"]
    assert "efi/ipxe.efi" in steps, steps
    assert steps.index("/pxeboot.ipxe") > steps.index("efi/ipxe.efi")
    assert W1_SCRIPT in steps
