"""Whatever comes over the wire, the server answers or hangs up, and serves the next client."""

import asyncio
import random
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from appliance.install.lifecycle import Installation, Order
from appliance.web.compile import compile_web
from appliance.web.protocol import Refusal, Script, asked_for, script, script_kind, waits_for_machine_config
from tests.clusters import reference_cluster
from tests.web_server import fill, running

TABLE = compile_web((reference_cluster(),))
CLIENTS = st.sampled_from(["172.16.0.21", "172.16.0.31", "192.0.2.9", "", "::1", "junk"])
INSTALLATIONS = st.one_of(
    st.none(), st.builds(Installation, host=st.just("h"), token=st.text(max_size=8), order=st.sampled_from(Order))
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


@given(client=CLIENTS, target=st.text(max_size=60), installation=INSTALLATIONS, may_go_on=st.booleans())
def test_every_target_has_a_meaning_for_every_client(
    client: str, target: str, installation: Installation | None, may_go_on: bool
) -> None:
    for path in (target, "/" + target, f"/ipxe/{target}.ipxe", f"/ignition/{target}/master.ign"):
        asked = asked_for(TABLE, client, path)
        waits_for_machine_config(asked, installation)
        if isinstance(asked, Script):
            kind = script_kind(asked, installation, may_go_on=may_go_on)
            assert isinstance(script(asked, kind, installation), bytes | Refusal)
        elif isinstance(asked, Refusal):
            assert 400 <= asked.status < 600


def mutated(seed: bytes, chance: random.Random) -> bytes:
    data = bytearray(seed)
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(data))
        match chance.randrange(3):
            case 0:
                data[at] = chance.randrange(256)
            case 1:
                del data[at : at + chance.randrange(1, 8)]
            case _:
                data[at:at] = chance.randbytes(chance.randrange(1, 8))
        if not data:
            return b"\0"
    return bytes(data)


async def first_answer(port: int, data: bytes) -> bytes:
    """Return how the server's answer to *data* begins; b"" when it waits for more, or hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        async with asyncio.timeout(10.0):  # these seeds leave it waiting for nothing
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
            requests = [mutated(chance.choice(SEEDS), chance) + b"\r\n\r\n" for _ in range(60)]
            answers = await asyncio.gather(*(first_answer(web.port, data) for data in requests))
            assert all(answer.startswith(b"HTTP/") or not answer for answer in answers)
            assert not any(b" 500 " in answer[:20] for answer in answers)
            answered += sum(map(bool, answers))
        assert answered > 200
        assert not any(key[-1] == "500" for key in web.server.counts)
        assert (await first_answer(web.port, SEEDS[0])).startswith(b"HTTP/1.1 200")
