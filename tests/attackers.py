"""What strangers on the node network may do to the appliance, all at once, from one machine.

`python -m tests.attackers ADDRESS` attacks from that machine's interface eth0, whose
address is ADDRESS, until SIGTERM, and then prints how often it did each of them as JSON.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import struct
import sys
from collections import Counter
from collections.abc import Awaitable, Callable

from appliance.simulate.frames import checksum

APPLIANCE = "172.16.0.101"
APPLIANCE_MAC = bytes.fromhex("0200ac100065")
KERNEL = b"/rhcos-4.5.6-x86_64-installer-kernel-x86_64"
HEADS = b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % KERNEL
HEADS += (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 8000 + b"\r\n\r\n") * 128
SILENT_DOMAIN = "silent.example"
IDLE_CONNECTIONS = 2000
SLOW_READERS = 20

done: Counter[str] = Counter()


def frame(source: str, source_port: int, port: int, payload: bytes, mac: bytes, to: str, to_mac: bytes) -> bytes:
    """Return an Ethernet frame with a datagram; *source* and *mac* may be anybody's."""
    udp = struct.pack("!HHHH", source_port, port, 8 + len(payload), 0) + payload
    addresses = socket.inet_aton(source) + socket.inet_aton(to)
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, socket.IPPROTO_UDP, 0) + addresses
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return to_mac + mac + b"\x08\0" + header + udp


async def connected() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a connection to the web server, whose answers are not read ahead."""
    return await asyncio.open_connection(APPLIANCE, 80, limit=1)


async def leave_in_the_middle() -> None:
    """Send a request that no client sends, or a part of one, and leave."""
    for sent in (b"CONNECT \r\n\r\n", b"GET /pxeboot.ipxe HT", b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n\r\n"):
        _, writer = await connected()
        writer.write(sent)
        writer.close()
    await asyncio.sleep(0.05)


async def queue_heads() -> None:
    """Send a megabyte of requests and read no answer."""
    _, writer = await connected()
    with contextlib.suppress(ConnectionError, TimeoutError):
        writer.write(HEADS)
        async with asyncio.timeout(2.0):
            await writer.wait_closed()
    writer.close()


async def hold_connections() -> None:
    """Keep IDLE_CONNECTIONS open that say nothing; open those again that were closed."""
    for held in range(IDLE_CONNECTIONS):
        if held >= len(idle):
            idle.append(await connected())
        elif idle[held][0].at_eof():
            idle[held][1].close()
            idle[held] = await connected()
            done["reopened"] += 1
        if held % 20 == 0:
            await asyncio.sleep(0.01)


async def read_slowly() -> None:
    """Read 150 bytes a second of a file."""
    reader, writer = await connected()
    writer.write(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % KERNEL)
    with contextlib.suppress(ConnectionError):
        while await reader.read(150):
            await asyncio.sleep(1.0)
    writer.close()


async def forge_transfers() -> None:
    """Request a file by TFTP in other machines' names, with the longest timeout."""
    request = b"\0\1efi/ipxe.efi\0octet\0timeout\x00255\0tsize\x000\0"
    source, port = f"172.16.0.{random.randrange(205, 250)}", random.randrange(1024, 65536)
    wire.send(frame(source, port, 69, request, my_mac, APPLIANCE, APPLIANCE_MAC))
    await asyncio.sleep(0.005)


async def invent_machines() -> None:
    """Send a DISCOVER with a MAC address that no machine has."""
    mac = b"\x02" + random.randbytes(5)
    options = bytes.fromhex("350101 5d020007 3c20") + b"PXEClient:Arch:00007:UNDI:003000" + b"\xff"
    message = bytes((1, 1, 6, 0)) + random.randbytes(4) + bytes(20) + mac + bytes(202) + b"\x63\x82\x53\x63" + options
    wire.send(frame("0.0.0.0", 68, 67, message, mac, "255.255.255.255", b"\xff" * 6))
    await asyncio.sleep(0.01)


async def ask_for_silence() -> None:
    """Ask for a name whose servers do not answer."""
    name = f"{random.randrange(10**9)}.{SILENT_DOMAIN}"
    labels = b"".join(bytes((len(label),)) + label.encode() for label in name.split("."))
    query = random.randbytes(2) + b"\1\0\0\1\0\0\0\0\0\0" + labels + b"\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.sendto(query, (APPLIANCE, 53))
    await asyncio.sleep(0.008)


async def be_refused() -> None:
    """Make requests that are answered with an error, on one connection."""
    reader, writer = await connected()
    with contextlib.suppress(ConnectionError):
        for _ in range(100):
            writer.write(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % random.randrange(10**9))
            await reader.read(1000)
            done["be_refused"] += 1
            await asyncio.sleep(0.01)
    writer.close()


async def forever(attack: Callable[[], Awaitable[None]]) -> None:
    """Repeat *attack*; one that fails is what the appliance wants, and is tried again."""
    while True:
        with contextlib.suppress(OSError):
            await attack()
            done[attack.__name__] += 1
        await asyncio.sleep(0)


async def main() -> None:
    """Attack until SIGTERM."""
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    attacks = [leave_in_the_middle, hold_connections, forge_transfers, invent_machines, ask_for_silence, be_refused]
    attacks += [queue_heads] * 25 + [read_slowly] * SLOW_READERS
    tasks = [asyncio.create_task(forever(attack)) for attack in attacks]
    await stopped.wait()
    done["idle"] = sum(not reader.at_eof() for reader, _ in idle)
    done["died"] = sum(task.done() for task in tasks)
    print(json.dumps(done), flush=True)
    os._exit(0)  # thousands of connections need not be closed one by one


if __name__ == "__main__":
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    wire.bind(("eth0", 0))
    my_mac = wire.getsockname()[4]
    random.seed(sys.argv[1])
    asyncio.run(main())
