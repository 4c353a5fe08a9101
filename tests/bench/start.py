"""Start: the time from exec to the first DNS answer, for clusters of several sizes."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

from tests.bench import peers
from tests.bench.lab import SERVER, BenchError, Lab, labs
from tests.bench.measure import OURS, Figure, Target, measure
from tests.bench.workload import DOMAIN, A, Host, hosts, query

LIMIT_SECONDS = {7: 1.0, 250: 1.5, 1000: 3.0}


def run(*, rounds: int, seconds: float) -> list[Figure]:
    """Return a row for each size. *seconds* is not used: a start takes as long as it takes."""
    del seconds
    figures = []
    for count, limit in LIMIT_SECONDS.items():
        fleet = hosts(count)
        with labs(["start0", "start1", "start2"]) as made:
            ours, bind, dnsmasq = made.values()
            cluster = peers.write_cluster(ours, fleet)
            # Once with the usual probe: this writes the configuration, and shows that the server can start.
            bind.attempt(peers.start_bind, fleet)
            dnsmasq.attempt(peers.start_dnsmasq, fleet)
            for lab in (bind, dnsmasq):
                lab.stop()
            commands: dict[str, tuple[Lab, tuple[str, ...]]] = {
                OURS: (ours, (str(peers.OURS), "serve", str(cluster))),
                "BIND": (bind, ("named", "-g", "-n", "1", "-c", str(bind.directory / "named.conf"))),
                "dnsmasq": (dnsmasq, ("dnsmasq", "-C", str(dnsmasq.directory / "dnsmasq.conf"))),
            }
            samples: dict[str, Callable[[], float]] = {
                name: partial(_seconds_to_answer, lab, argv, fleet) for name, (lab, argv) in commands.items()
            }
            figures.append(
                measure(
                    f"start, {count} hosts",
                    "s to the first answer",
                    samples,
                    rounds=rounds,
                    more_is_better=False,
                    targets={OURS: Target(limit=limit)},
                )
            )
    return figures


def _seconds_to_answer(lab: Lab, argv: tuple[str, ...], fleet: list[Host]) -> float:
    lab.stop()
    probe = subprocess.Popen(
        lab.load_command(sys.executable, "-m", "tests.bench.start", fleet[-1].fqdn),
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )
    assert probe.stdin is not None
    assert probe.stdout is not None
    probe.stdout.readline()  # "asking": its first query is on its way before the server starts
    began = time.monotonic()
    lab.start(*argv)
    try:
        out, _ = probe.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        probe.kill()
        raise BenchError(f"no answer within 60 s: {lab.log()}") from None
    lab.stop()
    return float(out) - began


def _ask_until_answered(name: str) -> None:
    """Print the time of the first answer, by the monotonic clock that all processes share."""
    wire = query(name, A)
    print("asking", flush=True)
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.005)
            sock.connect((SERVER, 53))
            try:
                sock.send(wire)
                if sock.recv(4096)[3] & 15 == 0:
                    print(time.monotonic())
                    return
            except ConnectionRefusedError:
                time.sleep(0.002)
            except TimeoutError:
                continue


if __name__ == "__main__":
    _ask_until_answered(sys.argv[1] or DOMAIN)
