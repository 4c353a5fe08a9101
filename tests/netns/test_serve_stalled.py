"""Machines that stall on their boot file, against the real appliance: what each gets next, and what is remembered."""

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from appliance.install.recipes import REFUSED_SECONDS
from appliance.simulate.namespace import Namespace, ip
from appliance.sockets import bind_to_interface
from tests.dhcp_messages import FIRMWARE, IPXE, M1_MAC, Options, Read, read, request
from tests.serve_lab import APPLIANCE, Serving, Site, run, site, status_of, until

pytestmark = [pytest.mark.netns, pytest.mark.timeout(180)]

M1, M2 = "172.16.0.21", "172.16.0.22"
M2_MAC = "00:50:56:96:ec:a7"
# A machine that is back sooner has refused its boot file.
SELF_TEST_SECONDS = REFUSED_SECONDS + 0.5
IPXE_EFI, SNP_EFI = "efi/ipxe.efi", "efi/snponly.efi"
WITHOUT_MENU = tuple((code, bytes.fromhex("130101240101")) if code == 175 else (code, value) for code, value in IPXE)


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as made:
        for name in (IPXE_EFI, SNP_EFI):
            loader = made.data_dir / "tftp" / name
            loader.parent.mkdir(parents=True, exist_ok=True)
            loader.write_bytes(b"MZ" + bytes(30_000))
        yield made


def boot_file(machine: Namespace, mac: str, address: str, speaker: Options = FIRMWARE) -> str:
    """Ask for an address by DHCP as *speaker*; return the boot file that the ACK names."""
    with machine, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        bind_to_interface(client, "eth0")  # which has no route to the broadcast address
        client.bind(("0.0.0.0", 68))
        client.settimeout(1.0)

        def told(message: str, *more: tuple[int | str, object]) -> Read:
            for _ in range(10):  # as firmware repeats itself
                client.sendto(request(message, *more, *speaker, flags=0x8000, mac=mac), ("255.255.255.255", 67))
                with suppress(TimeoutError):
                    return read(client.recv(4096))
            raise AssertionError(f"no answer to a {message}")

        assert told("discover")["message-type"] == 2  # OFFER
        ack = told("request", ("server_id", APPLIANCE), ("requested_addr", address))
        assert ack["message-type"] == 5
        file = ack["boot-file-name"]
        assert isinstance(file, bytes)
        return file.rstrip(b"\0").decode()


def fetch(machine: Namespace, path: str) -> int:
    """Fetch *path* by TFTP with curl; return its size."""
    done = run("curl", "-s", "-o", "/dev/null", "-w", "%{size_download}", f"tftp://{APPLIANCE}/{path}", place=machine)
    assert done.returncode == 0, done
    return int(done.stdout)


def power_on(here: Site, machine: Namespace, mac: str, address: str) -> str:
    """Boot a machine whose network card only works with snponly.efi; return the boot file that it was given."""
    time.sleep(SELF_TEST_SECONDS)
    given = boot_file(machine, mac, address)
    assert fetch(machine, given) == 30_002
    if given == SNP_EFI:
        here.lease(machine, mac, address)
        assert status_of(machine, "/pxeboot.ipxe") == "200"
    return given


def loads(appliance: Serving, times: int) -> None:
    """Wait until *times* transfers are in the log: a client ends before the appliance has its last ACK."""
    until(lambda: appliance.text.count("tftp.done") >= times, f"{times} transfers")


def test_machine_that_only_starts_snponly_gets_it_and_the_appliance_remembers(here: Site) -> None:
    with here.neighbour(M1, M1_MAC) as m1, here.neighbour(M2, M2_MAC) as m2:
        with here.serve() as appliance:
            given = []
            for boot in range(1, 5):
                given.append(power_on(here, m1, M1_MAC, M1))
                loads(appliance, boot)
            assert given == [IPXE_EFI] * 3 + [SNP_EFI]
            stalled = "m1 fetched efi/ipxe.efi three times and nothing followed; it gets efi/snponly.efi now."
            appliance.said(rf"install.recipe .*loader=ipxe-snp .*{stalled}")
            row = until(lambda: (row := appliance.rows()["m1"])["stage"] == "script" and row, "m1 at its script")
            assert (row["condition"], row["remedy"]) == (None, "loader: ipxe-snp")
            assert "  - hostname: m1\n    loader: ipxe-snp\n" in appliance.command("explain", "m1")
            assert "m1: found out what starts on it; `loader: ipxe-snp`" in appliance.command("status")
            assert appliance.end() == 0
        with here.serve(name="again") as appliance:
            appliance.command("reinstall", "m1", "--yes")
            assert power_on(here, m1, M1_MAC, M1) == SNP_EFI
            # Another machine of the same vendor class.
            assert power_on(here, m2, M2_MAC, M2) == SNP_EFI


def test_machine_that_stalls_has_a_condition_that_says_what_it_gets_now(here: Site) -> None:
    with here.serve() as appliance, here.neighbour(M1, M1_MAC) as m1:
        for boot in range(1, 4):
            power_on(here, m1, M1_MAC, M1)
            loads(appliance, boot)
        row = appliance.rows()["m1"]
        assert row["condition"]["name"] == "loader-loop"
        assert row["condition"]["hint"].endswith("it gets efi/snponly.efi now.")
        assert "it gets efi/snponly.efi now" in appliance.command("explain", "m1")


def test_firmware_that_is_back_at_once_gets_another_loader_after_the_second_time(here: Site) -> None:
    with here.serve() as appliance, here.neighbour(M1, M1_MAC) as m1:
        for boot in range(1, 3):
            fetch(m1, boot_file(m1, M1_MAC, M1))
            loads(appliance, boot)
        assert boot_file(m1, M1_MAC, M1) != IPXE_EFI
        assert "Firmware with Secure Boot refuses iPXE" in appliance.rows()["m1"]["condition"]["hint"]


def test_machine_behind_a_path_that_loses_large_packets_gets_small_blocks(here: Site) -> None:
    with here.serve() as appliance, here.neighbour(M1, M1_MAC) as m1, ExitStack() as stack:
        url = f"tftp://{APPLIANCE}/{boot_file(m1, M1_MAC, M1)}"
        ip("link set eth0 mtu 600", place=m1)  # which drops what is larger, without a word to the sender
        curl = ["curl", "-s", "-m", "90", "-o", "/dev/null", "-w", "%{size_download}", "--tftp-blksize", "1468", url]
        # At the same time, because the appliance waits half a minute for an answer.
        with m1:
            clients = [subprocess.Popen(curl, stdout=subprocess.DEVNULL) for _ in range(3)]
        for client in clients:
            stack.callback(client.wait)
            stack.callback(client.kill)
        until(lambda: any(event["kind"] == "install.recipe" for event in appliance.events()), "a recipe", 60.0)
        appliance.said("install.recipe .*block_bytes=512")
        assert run(*curl, place=m1).stdout == "30002"


def test_ipxe_without_menu_gets_ours_once_and_then_its_script(here: Site) -> None:
    with here.serve() as appliance, here.neighbour(M1, M1_MAC) as m1:
        assert [boot_file(m1, M1_MAC, M1, WITHOUT_MENU) for _ in range(2)] == [IPXE_EFI] * 2
        fetch(m1, IPXE_EFI)
        loads(appliance, 1)
        script = f"http://{APPLIANCE}/pxeboot.ipxe"
        assert boot_file(m1, M1_MAC, M1, WITHOUT_MENU) == script
        assert status_of(m1, "/pxeboot.ipxe") == "200"
        # After a reset it is asked for from the beginning.
        until(lambda: appliance.rows()["m1"]["stage"] == "script", "m1 at its script")
        assert boot_file(m1, M1_MAC, M1, WITHOUT_MENU) == IPXE_EFI
        facts = [json.dumps(event["facts"]) for event in appliance.events() if event["kind"] == "dhcp.offer"]
        assert any("iPXE without menu" in each for each in facts)
