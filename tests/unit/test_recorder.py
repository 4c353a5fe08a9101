"""The packet recorder, checked by tshark and capinfos."""

import json
import subprocess
from dataclasses import replace
from ipaddress import IPv6Address
from pathlib import Path

import pytest

from appliance.events import Program, Stamped, WebFinished, WebKind, WebRefused
from appliance.recorder import HOST_BYTES, KEPT_BLOCKS, TOTAL_BYTES, Recorder
from tests.boots import Clock, Fleet
from tests.clusters import host as new_host
from tests.clusters import reference_cluster

SERVER = ("172.16.0.101", 67)
NOBODY, EVERYBODY = ("0.0.0.0", 68), ("255.255.255.255", 67)  # like a machine without an address
FIRMWARE, IPXE, SYSTEM = Program.PXE, Program.IPXE, Program.OS


class Tape:
    """A recorder for the reference cluster, and packets of one of its machines."""

    def __init__(self, directory: Path, hosts: int = 0) -> None:
        cluster = reference_cluster(directory)
        role = cluster.hosts[4].role
        more = tuple(
            new_host(f"x{n}", role, f"172.16.{1 + n // 250}.{1 + n % 250}", f"02:00:00:00:{n >> 8:02x}:{n & 255:02x}")
            for n in range(hosts)
        )
        self.clock = Clock()
        self.fleet = Fleet(directory, reference_cluster(directory, hosts=cluster.hosts + more))
        self.recorder = Recorder(
            self.fleet.registry, "172.16.0.101", lambda: self.clock.now, server6="2001:db8:0:10::101"
        )
        self.host = cluster.hosts[1]
        self.address = str(self.host.address)
        self.file = directory / "boot.pcapng"

    def close(self) -> None:
        self.fleet.journal.close()

    def hear(self, payload: bytes, source: tuple[str, int], destination: tuple[str, int], *heard: Program) -> None:
        self.clock.now += 0.25
        self.recorder.tap(payload, source, destination, *heard)

    def dhcp(self, program: Program, mac: bytes = b"") -> None:
        """A DISCOVER and its OFFER."""
        asked, offered = self.message(1, 1, mac), self.message(2, 2, mac)
        self.hear(asked, NOBODY, EVERYBODY, program)
        self.hear(offered, SERVER, ("255.255.255.255", 68))

    def release(self) -> None:
        """A RELEASE, which shows no program."""
        self.hear(self.message(1, 7), (self.address, 68), SERVER)

    def message(self, kind: int, message: int, mac: bytes = b"") -> bytes:
        head = bytes([kind, 1, 6, 0]) + bytes(24) + (mac or self.host.macs[0].octets) + bytes(10 + 64 + 128)
        return head + b"\x63\x82\x53\x63" + bytes([53, 1, message]) + b"\xff"

    def tftp(self, blocks: int) -> None:
        client, server = (self.address, 2000), (SERVER[0], 3000)
        self.hear(b"\0\1efi/ipxe.efi\0octet\0blksize\x001024\0", client, (SERVER[0], 69))
        self.hear(b"\0\6blksize\x001024\0", server, client)
        for block in range(1, blocks + 1):
            self.hear(b"\0\3" + block.to_bytes(2, "big") + bytes(1024), server, client)
            self.hear(b"\0\4" + block.to_bytes(2, "big"), client, server)

    def http(self, path: str = "/pxeboot.ipxe", seconds: float = 0.5) -> None:
        event = WebFinished(self.host.name, self.address, path, WebKind.MENU, 200, 900, 900, seconds, "iPXE/1.0")
        self.recorder.listen(Stamped(self.clock.now, event))

    def packets(self, *fields: str) -> list[list[str]]:
        """Return these fields of every packet, read by tshark."""
        capture = self.recorder.capture(self.host.name)
        assert capture is not None
        self.file.write_bytes(capture)
        wanted = [part for field in fields for part in ("-e", field)]
        output = subprocess.run(
            ["tshark", "-n", "-r", self.file, "-T", "json", *wanted], capture_output=True, check=True
        ).stdout
        layers = [packet["_source"]["layers"] for packet in json.loads(output)]
        return [[",".join(layer.get(field, [])) for field in fields] for layer in layers]


@pytest.fixture
def tape(tmp_path):
    tape = Tape(tmp_path)
    yield tape
    tape.close()


def test_a_boot_is_dhcp_tftp_and_http_in_the_order_of_time(tape):
    tape.dhcp(FIRMWARE)
    tape.tftp(2)
    tape.dhcp(IPXE)
    tape.http()
    rows = tape.packets("dhcp.option.dhcp", "tftp.opcode", "http.request.uri", "http.response.code")
    seen = [" ".join(filter(None, row)) for row in rows]
    assert seen == ["1", "2", "1", "6", "3", "4", "3", "4", "/pxeboot.ipxe", "1", "2", "200"]


def test_capinfos_finds_the_file_whole(tape):
    tape.dhcp(FIRMWARE)
    tape.http()
    tape.file.write_bytes(tape.recorder.capture(tape.host.name))
    command = ["capinfos", "-M", "-t", "-E", "-c", "-u", tape.file]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "pcapng" in told
    assert "rawip" in told
    assert "Number of packets:   4" in told


def test_times_are_those_of_the_sockets(tape):
    tape.dhcp(FIRMWARE)
    assert [float(at) for (at,) in tape.packets("frame.time_epoch")] == [tape.clock.now - 0.25, tape.clock.now]


def test_checksums_of_the_packets_are_right(tape):
    tape.dhcp(FIRMWARE)
    tape.file.write_bytes(tape.recorder.capture(tape.host.name))
    check = ["tshark", "-n", "-r", tape.file, "-o", "ip.check_checksum:TRUE", "-Y", "ip.checksum.status == 1"]
    assert len(subprocess.run(check, capture_output=True, check=True).stdout.splitlines()) == 2


def test_an_http_exchange_lasts_as_long_as_it_did(tape):
    tape.dhcp(IPXE)
    tape.clock.now += 60
    tape.http(seconds=42.0)
    assert float(tape.packets("http.time")[-1][0]) == pytest.approx(42.0, abs=1e-5)


def test_an_answers_comment_says_how_much_is_left_out(tape):
    tape.http(seconds=1.0)
    assert tape.packets("frame.comment")[-1] == ["900 bytes in 1.000 s, not captured"]


def test_a_refusal_is_kept_with_its_reason(tape):
    event = WebRefused(tape.host.name, tape.address, "/ignition/…/master.ign", WebKind.IGNITION, 403, "not its own")
    tape.recorder.listen(Stamped(tape.clock.now, event))
    assert tape.packets("http.response.code", "frame.comment")[-1] == ["403", "not its own"]


def test_http_exchanges_are_no_retransmissions_of_each_other(tape):
    for _ in range(1000):  # past the limit, after which the number of packets stays the same
        tape.http()
    assert not any(row[0] for row in tape.packets("tcp.analysis.flags"))


@pytest.mark.parametrize("speaker", [FIRMWARE, IPXE])
def test_firmware_after_a_system_begins_a_new_boot(tape, speaker):
    tape.dhcp(FIRMWARE)
    tape.dhcp(IPXE)
    tape.dhcp(SYSTEM)
    tape.dhcp(speaker)
    assert len(tape.packets("frame.number")) == 2


def test_a_release_in_the_middle_of_a_boot_clears_nothing(tape):
    tape.dhcp(FIRMWARE)
    tape.release()
    tape.dhcp(IPXE)
    assert len(tape.packets("frame.number")) == 5


def test_one_boot_is_kept_from_firmware_to_system(tape):
    tape.dhcp(FIRMWARE)
    tape.dhcp(FIRMWARE)  # asks again
    tape.dhcp(IPXE)
    tape.dhcp(SYSTEM)
    assert len(tape.packets("frame.number")) == 8


def test_of_a_transfer_only_the_first_blocks_are_kept(tape):
    tape.tftp(200)
    assert [row for row in tape.packets("tftp.block") if row[0]] == [
        [str(n)] for n in range(1, KEPT_BLOCKS + 1) for _ in "da"
    ]


def test_a_loop_keeps_its_latest_packets_within_the_bound(tape):
    for number in range(2000):
        tape.http(f"/{number}")
    assert HOST_BYTES / 2 < len(tape.recorder.capture(tape.host.name)) < 2 * HOST_BYTES
    assert tape.packets("http.request.uri")[-2:] in ([["/1999"], [""]], [[""], [""]])


def test_a_thousand_hosts_share_the_bound(tmp_path):
    tape = Tape(tmp_path, hosts=1000)
    for _ in range(2000):
        tape.http()
    assert len(tape.recorder.capture(tape.host.name)) < 3 * TOTAL_BYTES / 1000
    tape.close()


def test_unknown_machines_are_not_kept(tape):
    tape.dhcp(FIRMWARE, mac=b"\x02\0\0\0\0\x01")
    tape.hear(b"\0\1efi/ipxe.efi\0octet\0", ("172.16.0.200", 2000), (SERVER[0], 69))
    assert not any(tape.recorder.capture(host) for host in tape.fleet.registry.hosts)


def test_each_host_has_its_own_packets_only(tape):
    tape.dhcp(FIRMWARE)
    tape.dhcp(FIRMWARE, mac=tape.fleet.cluster.hosts[2].macs[0].octets)
    assert {row[0] for row in tape.packets("dhcp.hw.mac_addr")} == {str(tape.host.macs[0])}


def test_an_exchange_over_ipv6_is_with_the_appliance_s_ipv6_address(tape):
    event = WebFinished(tape.host.name, "2001:db8:0:10::21", "/a", WebKind.MENU, 200, 9, 9, 0.1, "iPXE")
    tape.recorder.listen(Stamped(tape.clock.now, event))
    assert tape.packets("ipv6.src", "ipv6.dst") == [
        ["2001:db8:0:10::21", "2001:db8:0:10::101"],
        ["2001:db8:0:10::101", "2001:db8:0:10::21"],
    ]


def test_a_user_agent_of_any_bytes_is_kept(tape):
    event = WebFinished(tape.host.name, tape.address, "/a", WebKind.MENU, 200, 9, 9, 0.1, "\udcff")
    tape.recorder.listen(Stamped(tape.clock.now, event))
    assert tape.packets("http.user_agent")[0] == ["?"]


@pytest.mark.parametrize("payload", [b"", b"\0", b"\0\3", b"\0\3\0\1", bytes(241), b"\x01" * 300])
def test_any_datagram_of_a_host_can_be_kept(tape, payload):
    tape.hear(payload, (tape.address, 2000), (SERVER[0], 69))
    assert len(tape.packets("frame.number")) == 1


def test_a_host_that_a_reload_removes_loses_its_tape(tape):
    tape.dhcp(FIRMWARE)
    cluster = tape.fleet.cluster
    tape.fleet.registry.update([reference_cluster(cluster.data_dir, hosts=cluster.hosts[2:])])
    tape.recorder.update()
    assert tape.recorder.capture(tape.host.name) is None


def test_a_reload_keeps_the_tapes_of_the_others(tape):
    tape.dhcp(FIRMWARE)
    tape.recorder.update()
    assert len(tape.packets("frame.number")) == 2


def ipv6_tape(directory: Path) -> Tape:
    tape = Tape(directory)
    cluster = tape.fleet.cluster
    host = replace(tape.host, addresses=(*tape.host.addresses, IPv6Address("2001:db8::21")))
    tape.fleet.registry.update((replace(cluster, hosts=(host,)),))
    tape.recorder.update()
    return tape


def test_packets_over_ipv6_are_the_hosts_too(tmp_path):
    tape = ipv6_tape(tmp_path)
    tape.hear(b"\0\1efi/ipxe.efi\0octet\0", ("2001:DB8::21", 2000), ("2001:db8::5", 69))
    assert tape.packets("ipv6.src", "ipv6.dst", "tftp.source_file") == [["2001:db8::21", "2001:db8::5", "efi/ipxe.efi"]]
    tape.close()


def test_checksums_of_ipv6_packets_are_right(tmp_path):
    tape = ipv6_tape(tmp_path)
    tape.hear(b"\0\1efi/ipxe.efi\0octet\0", ("2001:db8::21", 2000), ("2001:db8::5", 69))
    tape.file.write_bytes(tape.recorder.capture(tape.host.name))
    check = ["tshark", "-n", "-r", tape.file, "-o", "udp.check_checksum:TRUE", "-Y", "udp.checksum.status == 1"]
    assert len(subprocess.run(check, capture_output=True, check=True).stdout.splitlines()) == 1
    tape.close()


def test_request_is_kept_without_what_is_secret(tape):
    tape.recorder.hide = lambda text: text.replace("secret", "...")
    client = (tape.address, 2000)
    tape.hear(b"\0\1ignition/secret/master.ign\0octet\0tsize\x000\0", client, (SERVER[0], 69))
    tape.hear(b"\0\5\0\0secret\0", client, (SERVER[0], 69))
    rows = tape.packets("tftp.opcode", "tftp.source_file", "tftp.type", "tftp.error.message")
    assert rows == [["1", "ignition/.../master.ign", "octet", ""], ["5", "", "", "..."]]


def test_blocks_of_a_file_are_kept_as_they_are(tape):
    tape.recorder.hide = lambda text: text.replace("secret", "...")
    block = b"\0\3\0\1" + b"secret\0" * 100
    tape.hear(block, (SERVER[0], 3000), (tape.address, 2000))
    assert block in tape.recorder.capture(tape.host.name)


def test_error_keeps_its_code_when_its_message_is_secret(tape):
    tape.recorder.hide = lambda text: "..." if "secret" in text else text
    tape.hear(b"\0\5\0\1secret\0", (tape.address, 2000), (SERVER[0], 69))
    assert tape.packets("tftp.error.code", "tftp.error.message") == [["1", "..."]]


def test_datagram_of_nobody_is_not_searched(tape):
    searched = []
    tape.recorder.hide = searched.append
    tape.hear(b"\0\1ignition/secret/master.ign\0octet\0", ("172.16.0.200", 2000), (SERVER[0], 69))
    assert not searched
