"""Ethernet frames that carry DHCP, for a machine that has no address yet (RFC 894, 791, 768)."""

import struct

ETH_P_IP = 0x0800
BROADCAST_MAC = b"\xff" * 6


def broadcast_frame(mac: bytes, payload: bytes, source_port: int, port: int) -> bytes:
    """Return a broadcast Ethernet frame from *mac*, with the source address 0.0.0.0 (RFC 2131 section 4.1)."""
    udp = struct.pack("!HHHH", source_port, port, 8 + len(payload), 0) + payload
    pseudo = bytes(4) + b"\xff" * 4 + struct.pack("!BBH", 0, 17, len(udp))
    udp = udp[:6] + struct.pack("!H", checksum(pseudo + udp) or 0xFFFF) + udp[8:]
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes(4), b"\xff" * 4)
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return BROADCAST_MAC + mac + struct.pack("!H", ETH_P_IP) + header + udp


def datagram_to(mac: bytes, port: int, frame: bytes, *, checks_udp: bool) -> bytes | None:
    """Return the UDP payload of *frame* for *port* of the machine *mac*; None where its card or stack would drop it."""
    if len(frame) < 42 or frame[:6] not in (mac, BROADCAST_MAC) or frame[12:14] != b"\x08\x00" or frame[14] >> 4 != 4:
        return None
    ip_bytes = (frame[14] & 15) * 4
    total = int.from_bytes(frame[16:18], "big")
    header, datagram = frame[14 : 14 + ip_bytes], frame[14 + ip_bytes : 14 + total]
    is_fragment = int.from_bytes(frame[20:22], "big") & 0x3FFF
    if ip_bytes < 20 or header[9] != 17 or is_fragment or len(datagram) < 8 or checksum(header):
        return None
    if int.from_bytes(datagram[2:4], "big") != port:
        return None
    size = int.from_bytes(datagram[4:6], "big")
    if checks_udp and datagram[6:8] != b"\0\0":
        pseudo = header[12:20] + struct.pack("!BBH", 0, 17, size)
        if checksum(pseudo + datagram[:size]):
            return None
    return datagram[8:size]


def checksum(data: bytes) -> int:
    """Return the Internet checksum of *data* (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
