"""From DISCOVER to ACK, in the manner of a boot ROM, iPXE or an operating system (RFC 2131 section 3.1, PXE 2.1)."""

import asyncio
import socket
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Network

from appliance.model import Address
from appliance.simulate import dhcp
from appliance.simulate.dhcp import Message, Reply, Speaker
from appliance.simulate.link import Link, readable
from appliance.simulate.machine import Machine, Phase, StepError

# Option 43 of PXE (PXE 2.1 section 2.4.3).
PXE_DISCOVERY_CONTROL, PXE_BOOT_MENU, PXE_BOOT_ITEM = 6, 9, 71
USE_BOOT_FILE = 8  # a bit of the discovery control: use the boot file of this offer


@dataclass(frozen=True, slots=True)
class Lease:
    """The configuration that a machine received."""

    address: Address
    network: IPv4Network | IPv6Network
    router: Address | None
    dns: tuple[Address, ...]
    host_name: str
    domain: str
    ack: Reply | None  # of DHCPv4
    boot: Reply | None  # the server that names the boot file: the same one, a proxy, or none
    boot_file: str  # a path for TFTP, or a URL
    boot_server: Address
    retries: int  # messages retransmitted


async def negotiate(machine: Machine, link: Link, speaker: Speaker, phase: Phase) -> Lease | None:
    """Return the lease of *machine*, or None when no server offers one. Raises StepError."""
    exchange = _Exchange(machine, link, speaker, phase)
    try:
        return await exchange.run()
    finally:
        exchange.port.close()


class _Exchange:
    def __init__(self, machine: Machine, link: Link, speaker: Speaker, phase: Phase) -> None:
        self.machine, self.link, self.speaker, self.phase = machine, link, speaker, phase
        self.xid = machine.dice.getrandbits(32)
        self.port = link.dhcp(self.xid, machine.mac)
        self.sent = 0
        self.loop = asyncio.get_running_loop()
        self.began = self.loop.time()

    async def run(self) -> Lease | None:
        offer, proxy = await self._offers()
        if offer is None:
            return None
        ack = await self._acknowledgement(offer)
        boot, boot_file, boot_server = await self._boot(ack, proxy)
        mask = ack.address(dhcp.OPT_MASK) or self.fail("no subnet mask in the ACK", "REQUEST", ack, "option 1 of DHCP")
        return Lease(
            address=ack.yiaddr,
            network=IPv4Network(f"{ack.yiaddr}/{mask}", strict=False),
            router=ack.address(dhcp.OPT_ROUTER),
            dns=ack.addresses(dhcp.OPT_DNS),
            host_name=ack.text(dhcp.OPT_HOST_NAME),
            domain=ack.text(dhcp.OPT_DOMAIN),
            ack=ack,
            boot=boot,
            boot_file=boot_file,
            boot_server=boot_server,
            retries=self.sent - 2,
        )

    async def _offers(self) -> tuple[Reply | None, Reply | None]:
        """Return the first offer of an address, and a proxy's offer where the first names no boot file."""
        offer: Reply | None = None
        proxy: Reply | None = None
        for wait in self.machine.patience.dhcp_waits:
            self._send(Message.DISCOVER)
            deadline = self.loop.time() + wait
            while reply := await self._reply(deadline - self.loop.time()):
                if reply.message is not Message.OFFER:
                    continue
                if reply.yiaddr == dhcp.NO_ADDRESS:
                    proxy = proxy or reply
                elif offer is None:
                    offer = reply
                    self._check_offer(offer)
                    deadline = self.loop.time() + self.machine.patience.proxy_wait
                if offer and (proxy or self._names_boot_file(offer) or not self._boots):
                    return offer, proxy
            if offer:
                return offer, proxy
        return None, proxy

    async def _acknowledgement(self, offer: Reply) -> Reply:
        extra = {dhcp.OPT_REQUESTED_ADDRESS: offer.yiaddr.packed, dhcp.OPT_SERVER_ID: offer.server.packed}
        for wait in self.machine.patience.dhcp_waits:
            self._send(Message.REQUEST, extra)
            deadline = self.loop.time() + wait
            while reply := await self._reply(deadline - self.loop.time()):
                if reply.message is Message.NAK:
                    self.fail("the server refused its own offer", f"REQUEST for {offer.yiaddr}", reply, "events")
                if reply.message is Message.ACK:
                    if reply.yiaddr != offer.yiaddr:
                        self.fail("the ACK is for another address", f"REQUEST for {offer.yiaddr}", reply, "DHCP")
                    return reply
        raise StepError(
            self.phase,
            "received an OFFER, but no ACK",
            sent=f"REQUEST for {offer.yiaddr} to {offer.server}, {len(self.machine.patience.dhcp_waits)} times",
            received="nothing",
            check="a second DHCP server on the segment, and the appliance's events",
        )

    async def _boot(self, ack: Reply, proxy: Reply | None) -> tuple[Reply | None, str, IPv4Address]:
        """Return the message that names the boot file, the name, and the server that has it."""
        if not self._boots:
            return None, "", dhcp.NO_ADDRESS
        source = ack if self._names_boot_file(ack) else proxy
        if source is None:
            return None, "", dhcp.NO_ADDRESS
        if self._wants_second_port(source):
            prefix = ack.address(dhcp.OPT_MASK) or IPv4Address("255.255.255.255")
            network = IPv4Network(f"{ack.yiaddr}/{prefix}", strict=False)
            self.link.configure(ack.yiaddr, network.prefixlen, ack.address(dhcp.OPT_ROUTER))
            source = await self._ask_second_port(ack, source)
        return source, self._file_of(source), source.boot_server

    def _wants_second_port(self, source: Reply) -> bool:
        """Whether the firmware asks port 4011 of the server before it fetches anything."""
        if not source.text(dhcp.OPT_VENDOR_CLASS).startswith("PXEClient"):
            return False
        control = pxe_sub_options(source).get(PXE_DISCOVERY_CONTROL, b"\0")
        if control and control[0] & USE_BOOT_FILE:
            return not self._file_of(source)
        return self.machine.hardware.is_uefi or not self._file_of(source)

    async def _ask_second_port(self, ack: Reply, source: Reply) -> Reply:
        """Return the boot server's ACK from port 4011 (PXE 2.1 section 2.4.4)."""
        to = source.siaddr if source.siaddr != dhcp.NO_ADDRESS else source.server
        ports = self.machine.ports
        with self.link.socket(socket.SOCK_DGRAM, ack.yiaddr, ports.dhcp_client) as sock:
            message = dhcp.request(
                Message.REQUEST,
                self.speaker,
                self.machine.mac,
                self.xid,
                ciaddr=ack.yiaddr,
                extra=_boot_item(source),
            )
            for wait in self.machine.patience.dhcp_waits:
                # A message that cannot be sent is as good as lost; the error below names the address.
                with suppress(OSError):
                    sock.sendto(message, (str(to), ports.pxe))
                deadline = self.loop.time() + wait
                while await readable(sock, deadline - self.loop.time()):
                    try:
                        reply = dhcp.parse_reply(sock.recv(65536))
                    except (dhcp.ReplyError, OSError):
                        continue
                    if reply.xid == self.xid and reply.message is Message.ACK:
                        return reply
        raise StepError(
            self.phase,
            f"{to} offers PXE, but its port {ports.pxe} does not answer",
            sent=f"REQUEST to {to}:{ports.pxe}",
            received="nothing",
            check="option 60 without option 43 in the offer sends firmware to port 4011; the proxy must listen there",
        )

    def _file_of(self, reply: Reply) -> str:
        # BIOS ROMs read the header field first; UEFI and iPXE read option 67 first.
        reads_option_first = self.machine.hardware.is_uefi or self.phase is Phase.IPXE
        return reply.boot_file if reads_option_first else reply.file or reply.boot_file

    @property
    def _boots(self) -> bool:
        return dhcp.OPT_CLIENT_ARCH in self.speaker.options

    def _names_boot_file(self, reply: Reply) -> bool:
        if self.speaker.options.get(dhcp.OPT_VENDOR_CLASS, b"").startswith(b"HTTPClient"):
            # Without option 60, UEFI does not regard the offer as an HTTP Boot offer.
            return bool(reply.boot_file) and reply.text(dhcp.OPT_VENDOR_CLASS).startswith("HTTPClient")
        return bool(self._file_of(reply)) or (
            reply.text(dhcp.OPT_VENDOR_CLASS).startswith("PXEClient") and reply.siaddr != dhcp.NO_ADDRESS
        )

    def _check_offer(self, offer: Reply) -> None:
        want = self.machine.expected.address
        sent = f"DISCOVER from {self.machine.mac}"
        if want and offer.yiaddr != want:
            self.fail(
                f"offered {offer.yiaddr} instead of {want}", sent, offer, "a second DHCP server, and cluster.yaml"
            )
        if offer.server == dhcp.NO_ADDRESS:
            self.fail("an offer without a server identifier", sent, offer, "option 54")
        if not offer.options.get(dhcp.OPT_LEASE_SECONDS):
            self.fail("an offer without a lease time", sent, offer, "option 51")
        relayed = self.link.giaddr != dhcp.NO_ADDRESS
        if relayed and offer.options.get(dhcp.OPT_RELAY_AGENT) != dhcp.RELAY_CIRCUIT:
            self.fail("option 82 was not returned unchanged", sent, offer, "RFC 3046 section 2.2")
        uuid = offer.options.get(dhcp.OPT_CLIENT_UUID)
        if uuid is not None and uuid != self.speaker.options.get(dhcp.OPT_CLIENT_UUID):
            self.fail("option 97 was not returned unchanged", sent, offer, "RFC 4578 section 2.3")

    def _send(self, message: Message, extra: dict[int, bytes] | None = None) -> None:
        self.sent += 1
        secs = int(self.loop.time() - self.began)
        packet = dhcp.request(
            message, self.speaker, self.machine.mac, self.xid, secs=secs, giaddr=self.link.giaddr, extra=extra
        )
        self.port.send(packet)

    async def _reply(self, seconds: float) -> Reply | None:
        while seconds > 0:
            began = self.loop.time()
            message = await self.port.receive(seconds)
            if message is None:
                return None
            try:
                reply = dhcp.parse_reply(message)
            except dhcp.ReplyError as error:
                raise StepError(
                    self.phase,
                    "the reply is not DHCP",
                    sent=f"DHCP from {self.machine.mac}",
                    received=str(error),
                    check="a packet capture of the segment",
                ) from error
            if reply.xid == self.xid and reply.chaddr == self.machine.mac.octets:
                return reply
            seconds -= self.loop.time() - began
        return None

    def fail(self, what: str, sent: str, reply: Reply, look: str) -> IPv4Address:
        """Raise StepError. (Its return type allows its use after `or`.)"""
        came = f"{reply.message.name} of {reply.yiaddr} from {reply.server}, options {sorted(reply.options)}"
        raise StepError(self.phase, what, sent=sent, received=came, check=look)


def pxe_sub_options(reply: Reply) -> dict[int, bytes]:
    """Return the sub-options of option 43; a truncated one is left out."""
    value = reply.options.get(dhcp.OPT_VENDOR_SPECIFIC, b"")
    found: dict[int, bytes] = {}
    at = 0
    while at + 2 <= len(value) and value[at] != dhcp.OPT_END:
        if value[at] == dhcp.OPT_PAD:
            at += 1
            continue
        found[value[at]] = value[at + 2 : at + 2 + value[at + 1]]
        at += 2 + value[at + 1]
    return found


def _boot_item(offer: Reply) -> dict[int, bytes]:
    """Return the option 43 that requests the first item of *offer*'s menu; {} where it has no menu."""
    menu = pxe_sub_options(offer).get(PXE_BOOT_MENU, b"")
    if len(menu) < 2:
        return {}
    return {dhcp.OPT_VENDOR_SPECIFIC: bytes([PXE_BOOT_ITEM, 4]) + menu[:2] + bytes(2) + bytes([dhcp.OPT_END])}
