"""TFTP: the boot file to many clients at once, in lock step and with windows, and with packet loss."""

import statistics
import subprocess
from functools import partial
from pathlib import Path
from typing import NamedTuple

from appliance.boot.loaders import find_loader
from tests.bench import peers
from tests.bench.lab import SERVER, BenchError, Lab, labs
from tests.bench.measure import OURS, Figure, Target, measure
from tests.bench.workload import hosts
from tests.packages import why_missing

BLOCK_BYTES = 1468
LOADER = "efi/ipxe.efi"
SMALL = "efi/small.efi"
SMALL_BYTES = 64 << 10  # for the lossy row: some peers wait seconds for each lost packet
SLOWEST = 2.0  # times the median: a slower client has been starved, and there is no figure
TARGETS = {"dnsmasq": Target(1.0), "tftpd-hpa": Target(1.5)}


class Case(NamedTuple):
    """One row."""

    clients: int
    window_blocks: int
    times: int  # each client fetches the file so often, so that a sample lasts long enough
    path: str = LOADER
    loss_percent: int = 0

    @property
    def name(self) -> str:
        """The name of the row."""
        what = f"{SMALL_BYTES >> 10} KiB, {self.loss_percent} % of packets lost" if self.loss_percent else "ipxe.efi"
        return f"TFTP, {what}, {self.clients} clients, window {self.window_blocks}"


CASES = (
    Case(1, 1, 8),
    Case(7, 1, 4),
    Case(64, 1, 1),
    Case(250, 1, 1),
    Case(7, 8, 4),
    Case(64, 8, 1),
    Case(7, 1, 1, SMALL, 1),
)

QUICK_CASES = (CASES[2], CASES[5], CASES[6])


def run(*, rounds: int, seconds: float) -> list[Figure]:
    """Return the TFTP rows. *seconds* is not used: a transfer takes as long as it takes."""
    del seconds
    loader = find_loader(LOADER, Path("/nonexistent"))
    if loader is None:
        raise BenchError(f"{LOADER} is not installed; install the package ipxe")
    with labs(["tftp0", "tftp1", "tftp2"]) as made:
        running = dict(zip((OURS, "dnsmasq", "tftpd-hpa"), made.values(), strict=True))
        for name, lab in running.items():
            small = peers.link_tftp_files(lab, loader, is_ours=name == OURS).with_name(Path(SMALL).name)
            small.write_bytes(loader.read_bytes()[:SMALL_BYTES])
        peers.start_ours(running[OURS], hosts(7))
        running["dnsmasq"].attempt(peers.start_dnsmasq_tftp)
        running["tftpd-hpa"].attempt(peers.start_tftpd)
        program = _compiled(running[OURS].directory)
        for lab in running.values():
            lab.attempt(_wait_for_answers)
        return [_row(running, program, rounds, case) for case in (CASES if rounds > 1 else QUICK_CASES)]


def _wait_for_answers(lab: Lab) -> None:
    lab.wait_until("curl", "-sf", "-o", "/dev/null", f"tftp://{SERVER}/{LOADER}")


def _compiled(directory: Path) -> Path:
    """Compile the load generator. In Python it would be slower than the servers that it measures."""
    program = directory / "tftpload"
    source = Path(__file__).with_name("tftpload.c")
    if reason := why_missing("cc"):
        raise BenchError(reason)
    subprocess.run(["cc", "-O2", "-o", program, source], check=True)
    return program


def _row(running: dict[str, Lab], program: Path, rounds: int, case: Case) -> Figure:
    return measure(
        case.name,
        "MB/s",
        {name: partial(_megabytes_a_second, lab, program, case) for name, lab in running.items()},
        rounds=rounds,
        targets=TARGETS,
        note="dnsmasq 2.90 and tftpd-hpa do not support windowsize and send one block at a time"
        if case.window_blocks > 1
        else "",
    )


def _megabytes_a_second(lab: Lab, program: Path, case: Case) -> float:
    clients, window_blocks, times, path, loss_percent = case
    out = lab.load(program, SERVER, path, clients, times, BLOCK_BYTES, window_blocks, loss_percent)
    rows = [line.split() for line in out.splitlines()[:-1]]
    seconds = [float(row[0]) for row in rows]
    if len({row[1] for row in rows}) != 1:
        raise BenchError(f"{lab.name}: clients got different numbers of bytes")
    if not loss_percent and max(seconds) > SLOWEST * statistics.median(seconds):
        raise BenchError(
            f"{lab.name} starves a client: slowest {max(seconds):.2f} s, median {statistics.median(seconds):.2f} s"
        )
    return sum(int(row[1]) for row in rows) / 1e6 / max(seconds)
