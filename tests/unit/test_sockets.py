"""Control messages for the address of a reply (ip(7), RFC 3542 section 6), multicast groups, and a log's socket."""

import os
import socket
import stat
import sys
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from appliance.errors import ListenError
from appliance.sockets import IP_PKTINFO, join_group, log_server, reply_source

ETH7 = (7).to_bytes(4, sys.byteorder)
ANY_INTERFACE = bytes(4)


def test_reply_over_ipv4_leaves_from_the_address_that_was_asked_by_whichever_interface_leads_back() -> None:
    asked = IPv4Address("192.0.2.5").packed
    told = [(socket.IPPROTO_IP, IP_PKTINFO, ETH7 + asked + asked)]
    assert reply_source(told) == [(socket.IPPROTO_IP, IP_PKTINFO, ANY_INTERFACE + asked + bytes(4))]


@pytest.mark.parametrize(
    ("address", "interface"),
    [
        pytest.param("2001:db8::5", ANY_INTERFACE, id="global"),
        pytest.param("fe80::5", ETH7, id="link-local"),
    ],
)
def test_reply_over_ipv6_is_tied_to_the_interface_for_link_local_addresses_only(address: str, interface: bytes) -> None:
    asked = IPv6Address(address).packed
    told = [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, asked + ETH7)]
    assert reply_source(told) == [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, asked + interface)]


def test_group_that_is_heard_already_is_joined_without_an_error() -> None:
    """An interface that was down, and has its addresses again, still has the groups of the sockets."""
    group, index = IPv6Address("ff02::1:2"), socket.if_nametoindex("lo")
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock:
        join_group(sock, group, index)
        join_group(sock, group, index)


def test_group_on_an_interface_that_is_not_there_is_an_error() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock, pytest.raises(OSError, match="No such device"):
        join_group(sock, IPv6Address("ff02::1:2"), 0x7FFFFFFF)


def test_log_is_received_from_its_owner(tmp_path: Path) -> None:
    with log_server(tmp_path / "log.sock") as server, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.sendto(b"line", str(tmp_path / "log.sock"))
        assert server.recv(10) == b"line"


def test_nobody_but_the_owner_and_the_group_of_the_directory_may_send_to_the_log(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(tmp_path, -1, 12345)
    with log_server(tmp_path / "log.sock"):
        found = (tmp_path / "log.sock").stat()
    assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o660, tmp_path.stat().st_gid)


def test_socket_of_a_log_that_was_left_behind_is_replaced(tmp_path: Path) -> None:
    log_server(tmp_path / "log.sock").close()
    with log_server(tmp_path / "log.sock") as server, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.sendto(b"line", str(tmp_path / "log.sock"))
        assert server.recv(10) == b"line"


def test_log_of_a_running_appliance_is_not_taken_from_it(tmp_path: Path) -> None:
    with log_server(tmp_path / "log.sock"), pytest.raises(ListenError, match="another appliance is running"):
        log_server(tmp_path / "log.sock")


def test_file_in_the_place_of_a_logs_socket_is_kept_and_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "log.sock"
    path.write_text("precious")
    with pytest.raises(ListenError, match=r"cannot listen on .*log\.sock: Address already in use"):
        log_server(path)
    assert path.read_text() == "precious"


@pytest.mark.parametrize("name", ["missing/log.sock", "x" * 120], ids=["no directory", "too long"])
def test_path_at_which_a_log_cannot_listen_is_an_error_that_names_it(tmp_path: Path, name: str) -> None:
    with pytest.raises(ListenError, match=name):
        log_server(tmp_path / name)
