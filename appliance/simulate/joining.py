"""How an installed machine joins its cluster: Ignition gets its machine config, then the kubelet reaches the API.

Both go to api-int, thus through the load balancer. Certificates are not verified.
"""

import asyncio
import socket
import ssl
from dataclasses import dataclass, replace

from appliance.model import Address, Endpoint
from appliance.simulate.lease import Lease
from appliance.simulate.machine import Phase
from appliance.simulate.nodes import API_PORT, MACHINE_CONFIG_PORT
from appliance.simulate.run import Run

ANSWER_SECONDS = 10.0
HEAD_BYTES = 16 << 10
BODY_BYTES = 16 << 20
FIRST_PAUSE = 0.1  # Ignition doubles its pause after each failure


class NoAnswerError(Exception):
    """The text says what was received instead."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a server behind the load balancer."""

    status: int
    server: str  # the header Server
    size: int  # bytes of the body


async def get_machine_config(run: Run, lease: Lease, api_int: Address, domain: str) -> None:
    """Get the machine config as Ignition does at a machine's first boot from its disk. Raises StepError.

    A machine that need not join asks once whether a machine config server is there.
    """
    machine = run.machine
    disk = machine.disk
    if not machine.pool or disk is None or disk.has_machine_config:
        return
    there = Endpoint(api_int, MACHINE_CONFIG_PORT)
    path = f"/config/{machine.pool}" if machine.must_join else "/healthz"
    answer = await _until_answered(run, lease, there, domain, path)
    if answer and machine.must_join:
        machine.disk = replace(disk, has_machine_config=True)
        run.tell(Phase.SYSTEM, f"machine config: {answer.size:,} bytes from {answer.server} by api-int:{there.port}")
    elif answer:
        run.tell(Phase.SYSTEM, f"the machine config server of {answer.server} answers by api-int:{there.port}")


async def reach_api(run: Run, lease: Lease, api_int: Address, domain: str) -> None:
    """Reach the API as the kubelet does at each start. Raises StepError."""
    if not run.machine.pool:
        return
    if answer := await _until_answered(run, lease, Endpoint(api_int, API_PORT), domain, "/readyz"):
        run.tell(Phase.SYSTEM, f"the API of {answer.server} answers by api-int:{API_PORT}")


async def _until_answered(run: Run, lease: Lease, there: Endpoint, domain: str, path: str) -> Answer | None:
    """Return the answer with status 200 or 204, for which a machine that must join waits."""
    pause, what = FIRST_PAUSE, f"https://api-int.{domain}:{there.port}{path}"
    while True:
        try:
            answer = await _get(run, lease, there, f"api-int.{domain}", path)
            came = f"status {answer.status} from {answer.server}"
            if answer.status in (200, 204):
                return answer
        except NoAnswerError as error:
            came = str(error)
        if not run.machine.must_join:
            run.tell(Phase.SYSTEM, f"{what}: {came}")
            return None
        run.retries += 1
        await run.hold(pause, Phase.SYSTEM, f"{what}: {came}")
        pause *= 2


async def _get(run: Run, lease: Lease, there: Endpoint, name: str, path: str) -> Answer:
    sock = run.link.socket(socket.SOCK_STREAM, lease.address)
    writer = None
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await asyncio.get_running_loop().sock_connect(sock, (str(there.address), there.port))
            reader, writer = await asyncio.open_connection(
                sock=sock, ssl=_unverified(), server_hostname=name, limit=HEAD_BYTES
            )
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {name}:{there.port}\r\nConnection: close\r\n\r\n".encode())
            return await _answer(reader)
    except TimeoutError as error:
        raise NoAnswerError(f"no answer within {ANSWER_SECONDS:g} s") from error
    except (OSError, EOFError, asyncio.LimitOverrunError, ValueError) as error:
        raise NoAnswerError(_why(error)) from error
    finally:
        if writer:
            writer.transport.abort()
        sock.close()


async def _answer(reader: asyncio.StreamReader) -> Answer:
    """Return what *reader* yields. Raises ValueError unless that is HTTP."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    status = head[0].split(" ")[1:2]
    if not head[0].startswith("HTTP/1.") or not status or not status[0].isdecimal():
        raise ValueError(f"{head[0][:80]!r}, which is not HTTP")
    size = int(fields.get("content-length") or 0)
    body = await reader.readexactly(min(size, BODY_BYTES))
    return Answer(int(status[0]), fields.get("server", "")[:80] or "an unnamed host", len(body))


def _why(error: Exception) -> str:
    if isinstance(error, EOFError):
        return "the connection ended"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return str(error)


def _unverified() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
