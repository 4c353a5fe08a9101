"""DHCP at a fixed rate: send DISCOVERs of hosts behind a relay, and measure how late each OFFER comes.

python -m tests.bench.dhcpprobe SERVER RELAY HOSTS RATE SECONDS prints JSON: "late", a list of seconds
since each DISCOVER was due, and "lost", a number. It sends at its rate whether or not the server answers,
so a pause of the server shows in every DISCOVER that falls into it.
"""

import json
import select
import socket
import struct
import sys
import time

from tests.bench.workload import hosts

DHCP_PORT = 67
LAST_WAIT_SECONDS = 1.0
DISCOVER = 1
OPTIONS = (
    b"\x63\x82\x53\x63"
    + bytes([53, 1, DISCOVER, 55, 6, 1, 3, 6, 12, 15, 51])
    + bytes([60, 32]) + b"PXEClient:Arch:00007:UNDI:003016"
    + bytes([93, 2, 0, 7])
    + b"\xff"
)  # fmt: skip


def discover(mac: str, relay: str) -> bytes:
    """Return a DISCOVER of UEFI firmware as forwarded by *relay*, with xid 0 (RFC 2131 section 2)."""
    chaddr = bytes.fromhex(mac.replace(":", ""))
    header = struct.pack("!BBBBIHH4s4s4s", 1, 1, 6, 1, 0, 0, 0, bytes(4), bytes(4), bytes(4))
    return header + socket.inet_aton(relay) + chaddr.ljust(16, b"\0") + bytes(192) + OPTIONS


def main() -> None:
    """Send the DISCOVERs and print how late the OFFERs were."""
    server, relay = sys.argv[1:3]
    count, rate, seconds = int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5])
    requests = [discover(host.mac, relay) for host in hosts(count)]
    due: dict[int, float] = {}
    late: list[float] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.bind((relay, DHCP_PORT))
        sock.setblocking(False)
        total = int(rate * seconds)
        began, sent = time.perf_counter(), 0
        while (now := time.perf_counter()) < began + seconds + LAST_WAIT_SECONDS and (sent < total or due):
            while sent < total and began + sent / rate <= now:
                due[sent] = began + sent / rate
                request = requests[sent % count]
                sock.sendto(request[:4] + struct.pack("!I", sent) + request[8:], (server, DHCP_PORT))
                sent += 1
            wait = began + sent / rate - now if sent < total else 0.05
            if select.select([sock], [], [], max(wait, 0))[0]:
                reply, heard_at = sock.recv(4096), time.perf_counter()
                xid = int.from_bytes(reply[4:8], "big")
                if xid in due:
                    late.append(heard_at - due.pop(xid))
    print(json.dumps({"late": late, "lost": len(due)}))


if __name__ == "__main__":
    main()
