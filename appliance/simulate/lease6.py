"""From SOLICIT to REPLY, in the manner of UEFI, iPXE or an operating system (RFC 8415 section 18.2)."""

import asyncio
import socket
from contextlib import suppress
from ipaddress import IPv6Address, IPv6Network
from typing import NoReturn
from urllib.parse import urlsplit

from appliance.simulate import dhcp6
from appliance.simulate.dhcp6 import Message, Reply6, Reply6Error, Speaker6
from appliance.simulate.lease import Lease
from appliance.simulate.link import Link, readable
from appliance.simulate.machine import Machine, Phase, StepError

# DHCPv6 gives no prefix, and the simulation reads no router advertisements: this is the length of every usual network.
PREFIX = 64
NOWHERE = IPv6Address(0)


async def negotiate6(machine: Machine, link: Link, speaker: Speaker6, phase: Phase) -> Lease | None:
    """Return the lease of *machine*, or None when no server advertises one. Raises StepError."""
    with await link.dhcp6() as sock:
        return await _Exchange(machine, speaker, phase, sock).run()


class _Exchange:
    def __init__(self, machine: Machine, speaker: Speaker6, phase: Phase, sock: socket.socket) -> None:
        self.machine, self.speaker, self.phase, self.sock = machine, speaker, phase, sock
        self.sent = 0
        self.loop = asyncio.get_running_loop()
        self.began = self.loop.time()

    async def run(self) -> Lease | None:
        advertised = await self._ask(Message.SOLICIT, Message.ADVERTISE, None)
        if advertised is None:
            return None
        self._check(advertised, "SOLICIT")
        reply = await self._ask(Message.REQUEST, Message.REPLY, advertised)
        if reply is None:
            self._fail("received an ADVERTISE, but no REPLY", "REQUEST", "nothing", "the appliance's events")
        self._check(reply, "REQUEST")
        address = reply.given[0].address
        url = self._boot_url(reply) or self._boot_url(advertised)
        name = reply.only(dhcp6.OPT_NAME)[1:]
        labels = _labels(name)
        return Lease(
            address=address,
            network=IPv6Network((address, PREFIX), strict=False),
            router=None,
            dns=reply.dns,
            host_name=labels[0] if labels else "",
            domain=".".join(labels[1:]),
            ack=None,
            boot=None,
            boot_file=url,
            boot_server=self._server_of(url),
            retries=self.sent - 2,
        )

    async def _ask(self, kind: Message, wanted: Message, advertised: Reply6 | None) -> Reply6 | None:
        """Send *kind* until a reply of the type *wanted* comes; return it, or None."""
        xid = self.machine.dice.getrandbits(24)  # each exchange has its own
        for wait in self.machine.patience.dhcp_waits:
            elapsed = self.loop.time() - self.began
            message = dhcp6.request(kind, self.speaker, self.machine.mac, xid, elapsed=elapsed, advertised=advertised)
            self.sent += 1
            with suppress(OSError):  # as good as lost
                self.sock.sendto(message, (dhcp6.GROUP, self.machine.ports.dhcp6))
            deadline = self.loop.time() + wait
            while await readable(self.sock, deadline - self.loop.time()):
                try:
                    reply = dhcp6.parse_reply(self.sock.recv(65536))
                except OSError:
                    continue
                except Reply6Error as error:
                    self._fail("the reply is not DHCPv6", kind.name, str(error), "a packet capture of the segment")
                if reply.xid == xid and reply.message == wanted:
                    return reply
        return None

    def _check(self, reply: Reply6, sent: str) -> None:
        came = f"{Message(reply.message).name} with options {sorted(reply.options)}"
        if reply.only(dhcp6.OPT_CLIENT_ID) != dict(self.speaker.options)[dhcp6.OPT_CLIENT_ID]:
            self._fail("the client identifier was not returned unchanged", sent, came, "RFC 8415 section 16.3")
        if not reply.only(dhcp6.OPT_SERVER_ID):
            self._fail("a reply without a server identifier", sent, came, "RFC 8415 section 16.3")
        if reply.status or not reply.given:
            look = "`addressIPv6` of the host in cluster.yaml, and a machine network with IPv6"
            self._fail("it was given no address", sent, reply.status or came, look)
        want, got = self.machine.expected.address6, reply.given[0]
        if want and got.address != want:
            look = "a second DHCPv6 server, and cluster.yaml"
            self._fail(f"given {got.address} instead of {want}", sent, came, look)
        if not 0 < got.preferred <= got.valid:
            self._fail("an address without a usable lifetime", sent, f"{got.preferred} and {got.valid} s", "the lease")

    def _boot_url(self, reply: Reply6) -> str:
        # Without the vendor class, UEFI does not regard the reply as one for HTTP Boot.
        is_http = self.speaker.vendor_class.startswith("HTTPClient")
        return "" if is_http and reply.vendor_class != "HTTPClient" else reply.boot_url

    def _server_of(self, url: str) -> IPv6Address:
        try:
            host = urlsplit(url).hostname or ""
            return IPv6Address(host) if host else NOWHERE
        except ValueError:
            look = "boot file URLs with the appliance's IPv6 address in brackets (RFC 3986)"
            self._fail("the boot file's URL has no IPv6 address", "REQUEST", url, look)

    def _fail(self, what: str, sent: str, received: str, check: str) -> NoReturn:
        asked = f"{sent} from {self.machine.mac} to {dhcp6.GROUP}"
        raise StepError(self.phase, what, sent=asked, received=received, check=check)


def _labels(name: bytes) -> list[str]:
    """Return the labels of a domain name in wire form; [] for one that is not complete."""
    found, at = [], 0
    while at < len(name) and name[at]:
        size = name[at]
        if size > 63 or at + 1 + size > len(name):
            return []
        found.append(name[at + 1 : at + 1 + size].decode("ascii", "replace"))
        at += 1 + size
    return found
