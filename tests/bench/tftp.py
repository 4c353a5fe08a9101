"""TFTP: the boot file to many clients at once, in lock step and in windows, and with packets lost."""

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

BLOCK_BYTES = 1468
LOADER = "efi/ipxe.efi"
SMALL = "efi/small.efi"
SMALL_BYTES = 64 << 10  # some peers wait seconds for each packet that is lost
SLOWEST = 2.0  # the slowest client may take so many times the median
TARGETS = {"dnsmasq": Target(1.0), "tftpd-hpa": Target(1.5)}


class Case(NamedTuple):
    """One row."""

    clients: int
    window_blocks: int
    times: int  # that each client fetches the file, so that a sample lasts
    path: str = LOADER
    loss_percent: int = 0

    @property
    def name(self) -> str:
        """What the table says."""
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
    """Return the TFTP rows; *seconds* bounds nothing here, a boot file takes what it takes."""
    del seconds
    loader = find_loader(LOADER, Path("/nonexistent"))
    if loader is None:
        raise BenchError(f"{LOADER} is in no package here")
    with labs(["tftp0", "tftp1", "tftp2"]) as made:
        running = dict(zip((OURS, "dnsmasq", "tftpd-hpa"), made.values(), strict=True))
        for name, lab in running.items():
            small = peers.link_tftp_files(lab, loader, is_ours=name == OURS).with_name(Path(SMALL).name)
            small.write_bytes(loader.read_bytes()[:SMALL_BYTES])
        peers.start_ours(running[OURS], hosts(7))
        peers.start_dnsmasq_tftp(running["dnsmasq"])
        peers.start_tftpd(running["tftpd-hpa"])
        program = _compiled(running[OURS].directory)
        for lab in running.values():
            lab.wait_until("curl", "-sf", "-o", "/dev/null", f"tftp://{SERVER}/{LOADER}")
        return [_row(running, program, rounds, case) for case in (CASES if rounds > 1 else QUICK_CASES)]


def _compiled(directory: Path) -> Path:
    """Compile the load: in Python it is slower than the servers that it is to measure."""
    program = directory / "tftpload"
    source = Path(__file__).with_name("tftpload.c")
    subprocess.run(["cc", "-O2", "-o", program, source], check=True)
    return program


def _row(running: dict[str, Lab], program: Path, rounds: int, case: Case) -> Figure:
    return measure(
        case.name,
        "MB/s",
        {name: partial(_megabytes_a_second, lab, program, case) for name, lab in running.items()},
        rounds=rounds,
        targets=TARGETS,
        note="dnsmasq 2.90 and tftpd-hpa know no windowsize, and go in lock step" if case.window_blocks > 1 else "",
    )


def _megabytes_a_second(lab: Lab, program: Path, case: Case) -> float:
    clients, window_blocks, times, path, loss_percent = case
    out = lab.load(program, SERVER, path, clients, times, BLOCK_BYTES, window_blocks, loss_percent)
    rows = [line.split() for line in out.splitlines()[:-1]]
    seconds = [float(row[0]) for row in rows]
    if len({row[1] for row in rows}) != 1:
        raise BenchError(f"{lab.name}: not every client has the same bytes")
    if not loss_percent and max(seconds) > SLOWEST * statistics.median(seconds):
        raise BenchError(
            f"{lab.name} starves somebody: slowest {max(seconds):.2f} s, median {statistics.median(seconds):.2f} s"
        )
    return sum(int(row[1]) for row in rows) / 1e6 / max(seconds)
