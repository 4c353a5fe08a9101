"""Take the address of a host by DHCP, as firmware behind a relay does.

python -m tests.bench.lease SERVER RELAY MAC ADDRESS returns once the server has acknowledged it.
"""

import socket
import sys

from tests.bench.dhcpprobe import DHCP_PORT, discover

REQUEST = 3
ANSWER_SECONDS = 5.0
MESSAGE_TYPE = b"\x35\x01"
REQUESTED_ADDRESS = b"\x32\x04"


def request(mac: str, relay: str, address: str) -> bytes:
    """Return a REQUEST for *address* of UEFI firmware as forwarded by *relay* (RFC 2131 section 2)."""
    wanted = REQUESTED_ADDRESS + socket.inet_aton(address)
    before, _, after = discover(mac, relay).partition(MESSAGE_TYPE)
    return before + MESSAGE_TYPE + bytes([REQUEST]) + wanted + after[1:]


def main() -> None:
    """Ask, and wait for the answer."""
    server, relay, mac, address = sys.argv[1:]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(ANSWER_SECONDS)
        sock.bind((relay, DHCP_PORT))
        sock.sendto(request(mac, relay, address), (server, DHCP_PORT))
        sock.recv(4096)


if __name__ == "__main__":
    main()
