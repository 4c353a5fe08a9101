"""The contents of the table for each client."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from tftpy.TftpPacketFactory import TftpPacketFactory

from appliance.model import Endpoint
from appliance.tftp.compile import ServedFile, compile_tftp
from appliance.tftp.protocol import REFUSALS, Refusal
from tests.clusters import reference_cluster


def place(file: ServedFile) -> Path:
    return file.root / file.name


@pytest.mark.parametrize("refusal", list(Refusal))
def test_tftpy_reads_each_error_as_it_is_meant(refusal: Refusal, tmp_path: Path) -> None:
    code, message = REFUSALS[refusal]
    packet = TftpPacketFactory().parse(compile_tftp((reference_cluster(tmp_path),)).errors[refusal])
    assert (packet.errorcode, packet.errmsg.decode()) == (code, message)


def test_operators_file_takes_precedence_over_the_packages(tmp_path: Path) -> None:
    own = tmp_path / "tftp" / "EFI" / "iPXE.efi"
    own.parent.mkdir(parents=True)
    own.write_bytes(b"own")
    table = compile_tftp((reference_cluster(tmp_path),))
    assert place(table.networks[0].files["efi/ipxe.efi"]) == own


def test_of_names_that_differ_in_case_each_is_its_own_file(tmp_path: Path) -> None:
    names = ["Menu.ipxe", "MENU.ipxe", "menu.ipxe", "A/x", "a/X", "b/Y", "B/y"]
    for name in names:
        path = tmp_path / "tftp" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    files = compile_tftp((reference_cluster(tmp_path),)).networks[0].files

    assert {name: place(files[name]).read_text() for name in names} == {name: name for name in names}
    assert [place(files[name]).read_text() for name in ("a/x", "b/y")] == ["a/X", "b/Y"]


def test_autoexec_chains_to_the_script_of_the_clients_network(tmp_path: Path) -> None:
    served = compile_tftp((reference_cluster(tmp_path),)).networks[0]
    assert served.autoexec.startswith(b"#!ipxe\n")
    assert b"chain http://172.16.0.101/pxeboot.ipxe ||" in served.autoexec


def test_autoexec_names_the_port_where_it_is_not_80(tmp_path: Path) -> None:
    cluster = reference_cluster(tmp_path)
    listen = replace(cluster.listen, http=(Endpoint(cluster.address, 8081),))
    served = compile_tftp((replace(cluster, listen=listen),)).networks[0]
    assert b"http://172.16.0.101:8081/pxeboot.ipxe" in served.autoexec


def test_host_is_known_by_its_address(tmp_path: Path) -> None:
    table = compile_tftp((reference_cluster(tmp_path),))
    assert table.client("172.16.0.21") == ("m1.ocp45.example.localdomain", table.networks[0])


@pytest.mark.parametrize("spelled", ["::ffff:172.16.0.21", "::FFFF:172.16.0.21", "::ffff:ac10:15"])
def test_host_is_known_by_its_address_on_a_socket_for_both_versions(spelled: str, tmp_path: Path) -> None:
    table = compile_tftp((reference_cluster(tmp_path),))
    assert table.client(spelled)[0] == "m1.ocp45.example.localdomain"


@pytest.mark.parametrize("address", ["192.0.2.9", "2001:db8::9", "fe80::1%eth0", "no address"])
def test_stranger_gets_the_first_networks_files(address: str, tmp_path: Path) -> None:
    table = compile_tftp((reference_cluster(tmp_path),))
    assert table.client(address) == ("", table.networks[0])


def test_client_of_the_second_network_gets_its_mtu(tmp_path: Path) -> None:
    cluster = reference_cluster(tmp_path)
    second = replace(cluster.networks[0], cidr=IPv4Network("192.0.2.0/24"), server=IPv4Address("192.0.2.1"), mtu=1400)
    table = compile_tftp((replace(cluster, networks=(*cluster.networks, second)),))
    assert [table.client(address)[1].mtu for address in ("172.16.0.99", "192.0.2.7")] == [1500, 1400]


def test_second_clusters_hosts_get_its_own_files(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "tftp").mkdir(parents=True)
        (tmp_path / name / "tftp" / "loader").write_text(name)
    first, second = (reference_cluster(tmp_path / name) for name in ("a", "b"))
    network = replace(second.networks[0], cidr=IPv4Network("192.0.2.0/24"))
    host = replace(second.hosts[0], addresses=(IPv4Address("192.0.2.10"),))
    table = compile_tftp((first, replace(second, networks=(network,), hosts=(host,))))
    assert place(table.client("192.0.2.10")[1].files["loader"]) == tmp_path / "b" / "tftp" / "loader"
