"""The web server answers any bytes or closes the connection, and then serves the next client."""

import asyncio
import random
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from appliance.install.installation import Installation, Order, Stage
from appliance.web.answers import (
    BeginFirst,
    ErrorResponse,
    FilesFinding,
    Findings,
    HttpRequest,
    IgnitionFinding,
    LookFirst,
    MachineConfigFinding,
    NeighbourFinding,
    NeighbourFirst,
    ProbeFirst,
    ReadFirst,
)
from appliance.web.compile import compile_web
from appliance.web.protocol import judge
from tests.clusters import reference_cluster
from tests.mutations import mutated
from tests.web_server import fill, running

TABLE = compile_web((reference_cluster(),))
HOSTS = tuple(known.host.name for known in TABLE.hosts.values())
OWN_PATHS = ("/ipxe/00-50-56-96-37-c8.ipxe", "/ipxe/00-50-56-96-6b-da.ipxe", "/ignition/x/master.ign", "/worker.ign")
NOW = 1_700_000_000.0
CLIENTS = st.sampled_from(["172.16.0.21", "172.16.0.31", "192.0.2.9", "", "::1", "junk"])
INSTALLATIONS = st.none() | st.builds(
    Installation,
    host=st.just("h"),
    token=st.sampled_from(["", "x"]),
    order=st.sampled_from(Order),
    stage=st.sampled_from(Stage),
    has_dhcp=st.booleans(),
)
SEEDS = (
    b"GET /pxeboot.ipxe HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /rhcos-4.5.6-x86_64-metal.x86_64.raw.gz HTTP/1.1\r\nHost: x\r\nRange: bytes=0-9,-5\r\n\r\n",
    b'HEAD /bootstrap.ign HTTP/1.1\r\nHost: x\r\nIf-None-Match: "a"\r\n\r\n',
    b"GET /ignition/x/master.ign HTTP/1.0\r\n\r\n",
    b"POST /ipxe/00-50-56-96-37-c8.ipxe HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
    b"GET /%2e%2e/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nExpect: 100-continue\r\n\r\n",
)  # fmt: skip


METHODS = st.sampled_from(["GET", "HEAD", "POST", ""])


@given(
    client=CLIENTS,
    method=METHODS,
    target=st.text(max_size=60),
    installation=INSTALLATIONS,
    answers=st.booleans(),
    problem=st.none() | st.text(max_size=8),
    mac=st.sampled_from(
        [None, b"", bytes(6), *(mac.octets for host in reference_cluster().hosts for mac in host.macs)]
    ),
)
def test_every_request_is_answered_after_a_few_findings(
    client: str,
    method: str,
    target: str,
    installation: Installation | None,
    answers: bool,
    problem: str | None,
    mac: bytes | None,
) -> None:
    installations = {} if installation is None else dict.fromkeys(HOSTS, installation)
    for path in (target, "/" + target, f"/ipxe/{target}.ipxe", f"/ignition/{target}/master.ign", *OWN_PATHS):
        found = Findings()
        for _ in range(5):  # the four kinds of findings, and then the answer
            judgement = judge(HttpRequest(method, path, client), TABLE, installations, NOW, found)
            match judgement:
                case ProbeFirst():
                    assert found.machine_config is None
                    found = replace(found, machine_config=MachineConfigFinding(answers))
                case NeighbourFirst():
                    assert found.neighbour is None
                    found = replace(found, neighbour=NeighbourFinding(mac))
                case ReadFirst():
                    assert found.ignition is None
                    found = replace(found, ignition=IgnitionFinding(judgement, problem))
                case LookFirst(needs):
                    assert found.files is None
                    found = replace(found, files=FilesFinding(needs, needs.ignition, "/x", problem or ""))
                case BeginFirst():
                    assert not found.has_begun
                    found = replace(found, has_begun=True)
                case ErrorResponse(status):
                    assert 400 <= status < 600
                    break
                case _:
                    break
        else:
            raise AssertionError(f"no answer to {path!r}: {judgement}")


async def first_answer(port: int, data: bytes) -> bytes:
    """Return the beginning of the server's answer to *data*; b"" if it waits for more or closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        async with asyncio.timeout(10.0):  # not reached with these seeds
            return await reader.read(4096)
    except (TimeoutError, ConnectionError):
        return b""
    finally:
        writer.close()


async def test_mutated_requests_leave_the_server_well(tmp_path: Path) -> None:
    fill(tmp_path)
    chance = random.Random(20260101)
    answered = 0
    async with running(tmp_path) as web:
        for _ in range(10):
            requests = [mutated(chance.choice(SEEDS), chance, most=7) + b"\r\n\r\n" for _ in range(60)]
            answers = await asyncio.gather(*(first_answer(web.port, data) for data in requests))
            assert all(answer.startswith(b"HTTP/") or not answer for answer in answers)
            assert not any(b" 500 " in answer[:20] for answer in answers)
            answered += sum(map(bool, answers))
        assert answered > 200
        assert not any(key[-1] == "500" for key in web.server.counts)
        assert (await first_answer(web.port, SEEDS[0])).startswith(b"HTTP/1.1 200")
