"""`ocp-appliance serve` and the HAProxy that it drives, as systemd runs them, between stand-in nodes and a load.

clients ── [bridge br0: the appliance's address and the VIPs] HAProxy ── nodes
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from appliance.balancer.files import SOCKETS_VARIABLE, STATE_VARIABLE, Place
from appliance.simulate.namespace import Namespace, ip
from tests.balancer_load import Load, Loads, Outcome, loading
from tests.balancer_nodes import API, API_INT, HTTP, HTTPS, MACHINE_CONFIG, Certificates, Node, standin_nodes
from tests.serve_lab import PATIENCE_SECONDS, REFERENCE_TEXT, Serving, Site, site, until
from tests.simulate_segment import ROOT

INNER, OUTER = "172.16.0.110", "172.16.0.111"
UNIT = ROOT / "systemd" / "ocp-appliance-haproxy.service"
TEXT = re.sub(r"(?m)^loadBalancer:.*\n(?:[ #].*\n)*", "", REFERENCE_TEXT) + "\nloadBalancer: {engine: haproxy}\n"
CLIENTS = tuple(f"172.16.0.{number}" for number in range(200, 232))
HARDWARE = {
    "bs": ("172.16.0.11", "00:50:56:96:11:c2"),
    "m1": ("172.16.0.21", "00:50:56:96:37:c8"),
    "m2": ("172.16.0.22", "00:50:56:96:ec:a7"),
    "m3": ("172.16.0.23", "00:50:56:96:e5:2f"),
    "m4": ("172.16.0.24", "00:50:56:96:24:01"),
    "w1": ("172.16.0.31", "00:50:56:96:6b:da"),
    "w2": ("172.16.0.32", "00:50:56:96:c1:c5"),
    "w3": ("172.16.0.33", "00:50:56:96:e3:f5"),
    "i1": ("172.16.0.41", "00:50:56:96:41:01"),
    "i2": ("172.16.0.42", "00:50:56:96:42:01"),
}


class Service:
    """HAProxy as its unit runs it, where no service manager does."""

    def __init__(self, on: Site, place: Place, log: Path) -> None:
        self.place, self.log = place, log
        self._on = on
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def pid(self) -> int:
        """The PID of the main process, as the unit has it in $MAINPID."""
        return self._processes[-1].pid

    def start(self, program: str = "") -> None:
        """Run ExecStart, with another *program* if one is given."""
        (line,) = self._lines("ExecStart")
        words = shlex.split(line)
        with self._on.place, self.log.open("ab") as output:
            process = subprocess.Popen(
                # A container may not have as many descriptors as the unit has.
                [program or words[0], *words[1:], "-n", "2000"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Of a session of its own, as a service is: it ends when it is told to, and then all of it.
                start_new_session=True,
            )
        self._processes.append(process)

    def reload(self) -> None:
        """Run each ExecReload."""
        for line in self._lines("ExecReload"):
            words = shlex.split(line.replace("$MAINPID", str(self.pid)))
            subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        """End it as `systemctl stop` does, by SIGTERM to the main process."""
        os.kill(self.pid, signal.SIGTERM)
        self._processes[-1].wait(PATIENCE_SECONDS)

    def close(self) -> None:
        """End every process of it."""
        for process in self._processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def workers(self) -> list[int]:
        """Return the PIDs of its workers."""
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def programs(self) -> set[int]:
        """Return the inodes of the programs that its workers run."""
        return {Path(f"/proc/{pid}/exe").stat().st_ino for pid in self.workers()}

    def _lines(self, name: str) -> list[str]:
        """Return the values of *name* in the unit, with the directories of this place."""
        found = re.findall(rf"(?m)^{name}=(.*)$", UNIT.read_text())
        directories = {"/run": self.place.sockets, "/var/lib": self.place.state}
        for path, directory in directories.items():
            found = [line.replace(f"{path}/ocp-appliance-haproxy", str(directory)) for line in found]
        return found


class Lab:
    """The cluster's nodes, the appliance, HAProxy and a load."""

    def __init__(
        self, on: Site, certificates: Certificates, add: Callable[[str, str, str], Node], loads: Loads, service: Service
    ) -> None:
        self.site, self.certificates, self.loads, self.service = on, certificates, loads, service
        self.nodes: dict[str, Node] = {}
        self.figures: dict[str, str] = {}
        self._add = add
        self._ended: dict[str, float] = {}

    @property
    def environment(self) -> Mapping[str, str]:
        """What the units tell the appliance of HAProxy's directories."""
        return {
            SOCKETS_VARIABLE: str(self.service.place.sockets),
            STATE_VARIABLE: str(self.service.place.state),
        }

    def serve(self) -> AbstractContextManager[Serving]:
        """Serve, beside HAProxy's service."""
        return self.site.serve(environment=self.environment)

    def switch_on(self, *names: str) -> None:
        """Add the nodes *names*, which serve nothing yet."""
        for name in names:
            self.nodes[name] = self._add(name, *HARDWARE[name])

    def open(self, names: Sequence[str], ports: Sequence[int]) -> float:
        """Start the servers of *ports* on the nodes *names*; return when."""
        for name in names:
            self.nodes[name].start(*ports)
        return time.time()

    def end(self, names: Sequence[str], ports: Sequence[int]) -> None:
        """End the servers of *ports* on the nodes *names*: watches through these may break from now on."""
        for name in names:
            self._ended[name] = time.time()
            self.nodes[name].end(*ports)

    def lost(self) -> list[Outcome]:
        """Return the connections that failed, but for watches whose member had ended."""
        never = float("inf")
        return [
            lost
            for lost in self.loads.lost()
            if not (lost.kind == "broke" and lost.member and lost.at >= self._ended.get(lost.member, never))
        ]

    def answered_by(self, load: str, names: set[str], *, since: float) -> None:
        """Wait until new connections through *load* that began after *since* are answered by all of *names*."""
        until(lambda: names <= self.loads.members(load, since), f"answers from {names} to {load}")

    def put_load(self, name: str, address: str, port: int, per_second: float = 8, watches: int = 0) -> None:
        """Put a constant load on a front end; return when each of its watches is open."""
        tls = {API: API_INT, MACHINE_CONFIG: API_INT, HTTPS: "console.apps.ocp45.example.localdomain"}.get(port, "")
        signed = {API: self.certificates.signer_file, MACHINE_CONFIG: self.certificates.root_file}.get(port, "")
        sources = CLIENTS if port in (HTTP, HTTPS) else ()
        self.loads.start(Load(name, address, port, per_second, watches, sources, tls, str(signed)))
        until(lambda: len(self.loads.watched(name)) == watches, f"{watches} watches through {name}")
        until(lambda: self.loads.members(name, 0), f"an answer through {name}")


def rows(appliance: Serving, front_end: str) -> dict[str, dict[str, Any]]:
    """Return the members of *front_end* in the output of `ocp-appliance balancer`, by short name."""
    status = json.loads(appliance.command("balancer", "-o", "json"))["balancer"]
    return {row["name"]: row for row in status["rows"] if row["front_end"] == front_end}


def state_of(appliance: Serving, name: str, front_end: str = "api-6443") -> str:
    """Return the state of a member in the output of `ocp-appliance balancer`."""
    return str(rows(appliance, front_end)[name]["state"])


def wait_for_file(path: Path) -> None:
    """Wait until there is a file at *path*, as a .path unit does."""
    until(path.is_file, f"{path}", PATIENCE_SECONDS)


@contextmanager
def stranger(on: Site) -> Iterator[Namespace]:
    """Yield a namespace whose address, behind a router, is in none of the cluster's networks."""
    machine = Namespace()
    try:
        ip(
            "link add office type veth peer name officep",
            f"link set officep netns {machine.path}",
            "addr add 192.168.124.1/24 dev office",
            "link set office up",
            place=on.place,
        )
        ip(
            "addr add 192.168.124.7/24 dev officep",
            "link set officep up",
            "route add 172.16.0.0/24 via 192.168.124.1",
            place=machine,
        )
        yield machine
    finally:
        machine.close()


@contextmanager
def lab(directory: Path, text: str = TEXT) -> Iterator[Lab]:
    """Make the segment with everything but the appliance and HAProxy, which the test starts."""
    # The path of a UNIX socket has at most 107 bytes, which pytest's directories can have.
    short = Path(tempfile.mkdtemp(prefix="lb"))
    place = Place(short, short / "state", is_service=True)
    place.state.mkdir()
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, short)
        on = stack.enter_context(site(directory, text))
        ip(f"addr add {INNER}/24 dev br0", f"addr add {OUTER}/24 dev br0", place=on.place)
        certificates = Certificates(directory / "certificates")
        certificates.write_to(on.data_dir / "ignition")
        add = stack.enter_context(standin_nodes(on, certificates))
        client = stack.enter_context(on.neighbour(CLIENTS[0]))
        ip(*(f"addr add {address}/24 dev eth0" for address in CLIENTS[1:]), place=client)
        loads = stack.enter_context(loading(client, directory / "outcomes"))
        service = Service(on, place, directory / "haproxy.log")
        stack.callback(service.close)
        yield Lab(on, certificates, add, loads, service)
