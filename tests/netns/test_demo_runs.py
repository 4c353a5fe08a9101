"""`ocp-appliance demo`: in a lab, with and without root, on loopback, and interrupted."""

import os
import re
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from appliance.config import load
from appliance.model import Boot

pytestmark = [pytest.mark.netns, pytest.mark.timeout(180)]

ROOT = Path(__file__).parent.parent.parent
DEMO = [sys.executable, "-m", "appliance", "demo"]
UNSHARE_USER = ["unshare", "--user"]
FORBIDS_NETWORKS = 'echo 0 > /proc/sys/user/max_net_namespaces && exec "$@"'


def may(*command: str) -> bool:
    """Whether *command* succeeds on this machine."""
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


needs_user_namespaces = pytest.mark.skipif(
    not may(*UNSHARE_USER, "--map-root-user", "--net", "true"), reason="user namespaces are not allowed here"
)


def run(command: Sequence[str], directory: Path) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(directory)},
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def assert_all_installed(output: str) -> None:
    assert re.search(r"^7 machines installed in [\d.]+ s and booted from disk in [\d.]+ s$", output, re.MULTILINE)
    for host in ("bs", "m1", "m2", "m3", "w1", "w2", "w3"):
        assert re.search(rf"{host} +│ \w+ +│ installed .*│ booted from its disk", output)


def processes_in(directory: Path) -> list[int]:
    """Return the processes that have *directory* on their command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(directory).encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory that the demo accepts: pytest's own may be too long for the path of a socket."""
    with tempfile.TemporaryDirectory(dir="/tmp") as path:
        yield Path(path)


@pytest.fixture(scope="module")
def lab_demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The output of a demo in a lab, and the directory for its temporary files."""
    directory = tmp_path_factory.mktemp("demo")
    return run([*DEMO, "--network", "lab"], directory), directory


def test_the_demo_installs_seven_machines_in_a_lab(lab_demo: tuple[str, Path]) -> None:
    assert_all_installed(lab_demo[0])


def test_the_demo_boots_by_tftp_and_by_http_and_as_bios(lab_demo: tuple[str, Path]) -> None:
    output, _ = lab_demo
    assert "TFTP: efi/ipxe.efi" in output
    assert "TFTP: undionly.kpxe" in output
    assert "HTTP: http://172.16.0.101/efi/ipxe.efi" in output


def test_the_demo_leaves_no_file_behind(lab_demo: tuple[str, Path]) -> None:
    assert list(lab_demo[1].iterdir()) == []


def test_no_worker_of_the_demo_installs_before_a_master_is_up(lab_demo: tuple[str, Path]) -> None:
    output, _ = lab_demo
    first_master_up = min(output.index(f"up as {name}.ocp45") for name in ("m1", "m2", "m3"))
    assert first_master_up < min(output.index(f"Installing {name}.ocp45") for name in ("w1", "w2", "w3"))


def test_haproxy_stands_in_for_the_load_balancer_and_the_demo_says_so(lab_demo: tuple[str, Path]) -> None:
    said = "\nHAProxy takes the place of the external load balancer at 172.16.0.110, 172.16.0.111\n"
    assert said in lab_demo[0]


def test_masters_get_their_machine_config_from_the_bootstrap_and_workers_from_masters(
    lab_demo: tuple[str, Path],
) -> None:
    got = re.findall(r"s  (\w+) +system +machine config: 34 bytes from (\w+) \(placeholder\)", lab_demo[0])
    sources = {name: source[0] for name, source in got}  # the first letter of a host is its role
    assert sources == {"m1": "b", "m2": "b", "m3": "b", "w1": "m", "w2": "m", "w3": "m"}


def test_nodes_reach_the_api_through_the_load_balancer(lab_demo: tuple[str, Path]) -> None:
    reached = re.findall(r"s  (\w+) +system +the API of \w+ \(placeholder\) answers by api-int:6443", lab_demo[0])
    assert sorted(reached) == sorted(2 * ["m1", "m2", "m3", "w1", "w2", "w3"])  # at each power-on


def balancer_table(output: str) -> dict[tuple[str, str], str]:
    """Return the state of each member of each front end, from the last table."""
    rows = output.partition("\nocp-appliance balancer\n")[2]
    found = re.findall(r"^([\w-]+) +([a-z]+\d?) +\S+:\d+ +(up|down|drain|maint|unknown) ", rows, re.MULTILINE)
    return {(front_end, name): state for front_end, name, state in found}


def test_the_demo_ends_with_every_node_in_and_the_bootstrap_out(lab_demo: tuple[str, Path]) -> None:
    apis, routers = ("api-6443", "machine-config-22623"), ("ingress-443", "ingress-80")
    table = balancer_table(lab_demo[0])
    assert {table.pop((front_end, "bs")) for front_end in apis} <= {"drain", "maint"}
    assert table == {
        **{(front_end, name): "up" for front_end in apis for name in ("m1", "m2", "m3")},
        **{(front_end, name): "up" for front_end in routers for name in ("w1", "w2", "w3")},
    }


HIDES_HAPROXY = """\
for each in $(which -a haproxy) /usr/sbin/haproxy /usr/local/sbin/haproxy; do
    [ -e "$each" ] && mount --bind /dev/null "$each"
done
exec "$@"
"""


def test_the_demo_runs_without_haproxy_and_says_so(tmp_path: Path) -> None:
    hidden = ["unshare", "--mount", "sh", "-c", HIDES_HAPROXY, "sh"]
    output = run([*hidden, *DEMO, "--network", "lab"], tmp_path)
    assert "\nthere is no load balancer, because the program haproxy is not installed (package haproxy)\n" in output
    assert_all_installed(output)


@pytest.mark.parametrize("example", sorted(path.parent.name for path in ROOT.glob("data/*/cluster.yaml")))
def test_every_example_installs_its_machines(tmp_path: Path, example: str) -> None:
    output = run([*DEMO, f"data/{example}/cluster.yaml", "--network", "lab"], tmp_path)
    (cluster,) = load([ROOT / "data" / example / "cluster.yaml"])
    machines = sum(host.boot is not Boot.NOTHING for host in cluster.hosts)
    assert f": installing {machines} simulated machines" in output
    assert re.search(
        rf"^{machines} machines installed in [\d.]+ s and booted from disk in [\d.]+ s$", output, re.MULTILINE
    )


def test_machines_without_ipv4_cannot_boot_on_loopback(tmp_path: Path) -> None:
    command = [*DEMO, "data/ipv6-only/cluster.yaml", "--network", "loopback"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert (result.returncode, "2001:db8:0:6::5" in result.stderr, "Traceback" in result.stderr) == (1, True, False)


TWO_CARDS = """\
  - hostname: infra-0
    role: infra
    loader: shim
    address: 192.0.2.61
    bootMACAddress: 52:54:00:90:00:61
    interfaces:
      - {name: eno1, macAddress: "52:54:00:90:00:61", address: 198.51.100.61}
      - {name: eno2, macAddress: "52:54:00:90:01:61"}
  - {hostname: registry, role: other, macAddress: "52:54:00:90:00:62", addressIPv6: "2001:db8:0:2::62"}
"""


def test_the_demo_boots_a_machine_in_a_network_that_is_only_for_booting(tmp_path: Path) -> None:
    """Its loader is not installed here, and beside it is a machine without IPv4 that boots nothing."""
    text = (ROOT / "data" / "dual-stack" / "cluster.yaml").read_text()
    text = text.replace("  machineNetwork:\n", "  machineNetwork:\n    - cidr: 198.51.100.0/24\n")
    (tmp_path / "cluster.yaml").write_text(text.replace("\nhosts:\n", f"\nhosts:\n{TWO_CARDS}"))
    output = run([*DEMO, str(tmp_path / "cluster.yaml"), "--network", "lab"], tmp_path)
    assert "\n7 machines installed" in output
    assert "infra-0   firmware   DHCP: 198.51.100.61, boot file shim/x64/shimx64.efi" in output
    assert "up as infra-0.both.example.com" in output


def test_machines_of_another_subnet_come_through_a_relay_on_loopback_too(tmp_path: Path) -> None:
    output = run([*DEMO, "data/two-subnets/cluster.yaml", "--network", "loopback"], tmp_path)
    assert "\n6 machines installed" in output
    assert "up as worker-0.racks.example.com, 127.16.2.141" in output


def test_the_demo_runs_where_tmpdir_is_too_long_for_a_socket(tmp_path: Path) -> None:
    directory = tmp_path / ("long" * 25)
    directory.mkdir()
    assert_all_installed(run([*DEMO, "--network", "lab"], directory))


@needs_user_namespaces
def test_the_demo_needs_no_privilege(tmp_path: Path) -> None:
    command = [*UNSHARE_USER, "--map-user=1000", "--map-group=1000", *DEMO, "--network", "lab"]
    assert_all_installed(run(command, tmp_path))


@needs_user_namespaces
def test_the_demo_runs_on_loopback_where_namespaces_are_forbidden(short_path: Path) -> None:
    command = [*UNSHARE_USER, "--map-root-user", "sh", "-c", FORBIDS_NETWORKS, "sh", *DEMO]
    output = run(command, short_path)
    assert "using the loopback interface and high ports instead" in output
    assert "there is no load balancer, because the loopback interface does not have its addresses" in output
    assert_all_installed(output)
    assert list(short_path.iterdir()) == []


@needs_user_namespaces
def test_a_lab_that_is_insisted_on_and_forbidden_is_an_error(tmp_path: Path) -> None:
    command = [*UNSHARE_USER, "--map-root-user", "sh", "-c", FORBIDS_NETWORKS, "sh", *DEMO, "--network", "lab"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 1
    assert (
        done.stderr == "cannot create the lab: this machine does not allow network namespaces; use --network loopback\n"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_interrupted_leaves_nothing_behind(short_path: Path, number: signal.Signals) -> None:
    with demo_under_way(short_path) as process:
        process.send_signal(number)
        assert process.wait(30) == 130
    assert list(short_path.iterdir()) == []
    assert processes_in(short_path) == []


def test_a_demo_that_is_killed_takes_its_appliance_along(short_path: Path) -> None:
    with demo_under_way(short_path) as process:
        served = processes_in(short_path)
        assert served
        process.kill()
        process.wait(30)
    for pid in served:
        wait_until_gone(pid)


def wait_until_gone(pid: int) -> None:
    """Wait until the process *pid* has exited (pidfd_open(2))."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        readable, _, _ = select.select([descriptor], [], [], 30)
        assert readable, f"process {pid} is still running"
    finally:
        os.close(descriptor)


def demo_under_way(directory: Path) -> "subprocess.Popen[str]":
    """Start a demo; return it when the first machine has downloaded its kernel."""
    process = subprocess.Popen(
        [*DEMO, "--network", "lab"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(directory), "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "kernel     HTTP" in line:
            return process
    raise AssertionError("the demo exited before a machine had downloaded its kernel")
