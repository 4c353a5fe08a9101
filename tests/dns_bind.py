"""BIND on loopback with the appliance's zones, and answers in a form that can be compared."""

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rrset

from appliance.dns.zone import Zone
from tests.serving import free_port

START_SECONDS = 20.0


@contextlib.contextmanager
def bind(folder: Path, zones: tuple[Zone, ...], serial: int) -> Iterator[int]:
    """Run BIND with *zones*; yield its port on 127.0.0.1. It allows recursion, but its forwarder does not exist."""
    port = free_port()
    clauses = []
    for number, zone in enumerate(zones):
        (folder / f"{number}.zone").write_text(zone.text(serial))
        clauses.append(f'zone "{zone.name}" {{ type primary; file "{folder}/{number}.zone"; }};')
    (folder / "named.conf").write_text(
        f"""options {{
            directory "{folder}"; pid-file none; session-keyfile "{folder}/session.key";
            listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; notify no; empty-zones-enable no;
            recursion yes; forward only; forwarders {{ 127.0.0.1 port 9; }}; dnssec-validation no;
        }};
        controls {{ }};
        """
        + "\n".join(clauses)
    )
    with (folder / "named.log").open("wb") as log:
        process = subprocess.Popen(["named", "-g", "-n", "1", "-c", folder / "named.conf"], stdout=log, stderr=log)
        try:
            _wait_until_it_answers(process, port, folder)
            yield port
        finally:
            process.terminate()
            process.wait()


def ask(port: int, query: bytes) -> dns.message.Message:
    """Return the answer of the server on this port of 127.0.0.1."""
    return dns.query.udp(dns.message.from_wire(query), "127.0.0.1", timeout=5, port=port)


def comparable(message: dns.message.Message) -> tuple[object, ...]:
    """Return the rcode, the flags, and a set of the records in each section."""
    sections = (message.answer, message.authority, message.additional)
    return (message.rcode(), dns.flags.to_text(message.flags), *(_records(section) for section in sections))


def _records(section: list[dns.rrset.RRset]) -> set[str]:
    # For a name below a wildcard the appliance returns the spelling of the query, and BIND lower case.
    return {f"{rrset.name} {rrset.ttl} {rrset.rdtype}".lower() + f" {rdata}" for rrset in section for rdata in rrset}


def _wait_until_it_answers(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError, dns.exception.Timeout):
            probe = dns.message.make_query("version.bind", "TXT", "CH")
            dns.query.udp(probe, "127.0.0.1", timeout=0.2, port=port)
            return
    raise AssertionError(f"BIND did not start:\n{(folder / 'named.log').read_text()}")
