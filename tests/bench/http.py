"""HTTP, compared with nginx: a large image to many clients, its processor time per GiB, scripts and Ignition."""

import re
import sys
from functools import partial

from tests.bench import peers
from tests.bench.lab import LOAD, SERVER, BenchError, Lab, labs
from tests.bench.measure import OURS, Figure, Target, measure
from tests.bench.workload import Host, hosts

IMAGE_BYTES = 1 << 30
IGNITION_BYTES = 1700  # like worker.ign, which only points at the machine config server
CLIENTS = (1, 8, 64)
GIB = 1 << 30


def run(*, rounds: int, seconds: float) -> list[Figure]:
    """Return the HTTP rows."""
    with labs(["http0", "http1"]) as made:
        ours, nginx = made.values()
        _prepare(ours, nginx)
        running = {OURS: ours, "nginx": nginx}
        spent: dict[str, list[float]] = {OURS: [], "nginx": []}
        figures = [
            measure(
                f"HTTP, an image of 1 GiB, {clients} clients",
                "GiB/s",
                {name: partial(_gib_a_second, lab, clients, spent[name]) for name, lab in running.items()},
                rounds=rounds,
                targets={"nginx": Target(1.0)},
            )
            for clients in CLIENTS
        ]
        figures.append(
            Figure(
                "HTTP, processor time for the images above",
                "s/GiB",
                {name: tuple(values) for name, values in spent.items() if values},
                more_is_better=False,
                targets={"nginx": Target(1.0)},
            )
        )
        worker = hosts(7)[-1]
        paths = {
            "a script": {OURS: f"ipxe/{worker.mac.replace(':', '-')}.ipxe", "nginx": "script.ipxe"},
            "an Ignition file": {OURS: _ignition_path(ours, worker), "nginx": "worker.ign"},
        }
        for what, path in paths.items():
            figures.append(
                measure(
                    f"HTTP, {what}, 16 connections",
                    "requests/s",
                    {name: partial(_requests_a_second, lab, path[name], seconds) for name, lab in running.items()},
                    rounds=rounds,
                    targets={OURS: Target(limit=5000)},
                )
            )
        return figures


def _prepare(ours: Lab, nginx: Lab) -> None:
    images = ours.directory / "data" / "images"
    ignition = ours.directory / "data" / "ignition"
    www = nginx.directory / "www"
    for directory in (images, ignition, www):
        directory.mkdir(parents=True)
    for path in (images / "metal.raw.gz", www / "metal.raw.gz"):
        with path.open("wb") as out:
            for _ in range(IMAGE_BYTES >> 20):
                out.write(b"\xa5" * (1 << 20))
    text = b'{"ignition":{"version":"3.2.0"},"x":"' + b"a" * IGNITION_BYTES + b'"}'
    for path in (ignition / "worker.ign", www / "worker.ign"):
        path.write_bytes(text)
    for name in ("kernel", "initramfs"):
        (images / name).write_bytes(name.encode() * 1000)
    (www / "script.ipxe").write_bytes(b"#!ipxe\n" + b"# a script of about the same length\n" * 30)
    peers.start_ours(ours, hosts(7))
    nginx.attempt(peers.start_nginx)


def _gib_a_second(lab: Lab, clients: int, spent: list[float]) -> float:
    """Return the total rate of *clients* fetching the image at once; add the processor time per GiB to *spent*."""
    each = max(IMAGE_BYTES // clients, 64 << 20) - 1
    before = lab.cpu_seconds()
    urls = [argument for _ in range(clients) for argument in (f"http://{SERVER}/metal.raw.gz", "-o", "/dev/null")]
    out = lab.load(
        "curl", "-s", "-Z", "--parallel-immediate", "--parallel-max", clients, "-r", f"0-{each}",
        "-w", "%{http_code} %{size_download} %{time_total}\\n", *urls, timeout=300,
    )  # fmt: skip
    rows = [line.split() for line in out.splitlines()]
    if len(rows) != clients or any(row[0] != "206" or int(row[1]) != each + 1 for row in rows):
        raise BenchError(f"{lab.name}: a client did not get all its bytes: {out[:200]}")
    total = clients * (each + 1) / GIB
    spent.append((lab.cpu_seconds() - before) / total)
    return total / max(float(row[2]) for row in rows)


def _ignition_path(lab: Lab, host: Host) -> str:
    """Boot *host* with curl, from its own address, as far as Ignition; return the path from its script."""
    lab.become(host.address, host.mac)
    lab.load(sys.executable, "-m", "tests.bench.lease", SERVER, LOAD, host.mac, host.address)
    base = f"http://{SERVER}"
    script = lab.load("curl", "-sf", f"{base}/ipxe/{host.mac.replace(':', '-')}.ipxe")
    for name in ("kernel", "initramfs"):
        lab.load("curl", "-sf", "-o", "/dev/null", f"{base}/{name}")
    found = re.search(r"coreos.inst.ignition_url=http://[^/]+/(\S+)", script)
    if not found:
        raise BenchError(f"the script of {host.name} names no Ignition file: {script[:400]}")
    return found[1]


def _requests_a_second(lab: Lab, path: str, seconds: float) -> float:
    out = lab.load("wrk", "-t", 1, "-c", 16, "-d", f"{max(1, round(seconds))}s", f"http://{SERVER}/{path}")
    found = re.search(r"Requests/sec:\s+([\d.]+)", out)
    if not found or "Non-2xx" in out or "Socket errors" in out:
        raise BenchError(f"{lab.name}: {out[-300:]}")
    return float(found[1])
