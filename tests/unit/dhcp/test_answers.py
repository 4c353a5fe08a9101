"""Answers to repeated requests; tests/fuzz/ compares them with answers that are made anew."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from appliance.dhcp import answers as answers_module
from appliance.dhcp.answers import Answers
from appliance.dhcp.compile import DhcpTable, compile_dhcp
from appliance.dhcp.reply import Reply
from appliance.install.installation import Installation, Order, Recipe
from appliance.model import Loader
from tests.clusters import reference_cluster
from tests.dhcp_messages import FIRMWARE, IPXE, NODE_NETWORK, Read, read, request

BS = "bs.ocp45.example.localdomain"


@pytest.fixture
def table() -> DhcpTable:
    return compile_dhcp((reference_cluster(),))


def told(answers: Answers, table: DhcpTable, order: Order = Order.INSTALL, xid: int = 1, padding: int = 0) -> Read:
    """Return the offer to the firmware of bs."""
    asked = request("discover", *FIRMWARE, xid=xid) + bytes(padding)
    reply = answers.answer(table, asked, NODE_NETWORK, {BS: Installation(BS, order=order)})
    assert isinstance(reply, Reply)
    return read(reply.payload)


def test_client_that_asks_again_is_answered_with_its_new_xid(table: DhcpTable) -> None:
    answers = Answers()
    assert [told(answers, table, xid=xid).header.xid for xid in (7, 8, 7)] == [7, 8, 7]
    assert len(answers._remembered) == 1


def test_an_order_changes_what_a_host_gets_that_asked_before(table: DhcpTable) -> None:
    answers = Answers()
    orders = (Order.INSTALL, Order.LOCAL, Order.LOCAL, Order.INSTALL)
    assert [told(answers, table, order).file for order in orders] == ["efi/ipxe.efi", "", "", "efi/ipxe.efi"]


def test_recipe_changes_what_firmware_gets_that_asked_before(table: DhcpTable) -> None:
    answers = Answers()
    asked = request("discover", *FIRMWARE)

    def file(loader: str, beginnings: dict[str, Loader]) -> str:
        known = {BS: Installation(BS, recipe=Recipe(loader=loader))}
        reply = answers.answer(table, asked, NODE_NETWORK, known, beginnings)
        assert isinstance(reply, Reply)
        return read(reply.payload).file

    begins = {"x64-uefi PXEClient:Arch:00007:UNDI:003000": Loader.IPXE_SNP}
    given = [file(loader, each) for loader, each in (("", {}), ("ipxe-snp", {}), ("auto", begins), ("", begins))]
    assert given == ["efi/ipxe.efi", "efi/snponly.efi", "efi/ipxe.efi", "efi/snponly.efi"]


def test_ipxe_that_asked_before_it_loaded_ours_is_answered_anew(table: DhcpTable) -> None:
    answers = Answers()
    poor = [(code, b"\x13\1\1") if code == 175 else (code, value) for code, value in IPXE]

    def file(loads: int) -> str:
        known = {BS: Installation(BS, recipe=Recipe(loaded="efi/ipxe.efi", loads=loads))}
        reply = answers.answer(table, request("discover", *poor), NODE_NETWORK, known)
        assert isinstance(reply, Reply)
        return read(reply.payload).file

    assert [file(loads) for loads in (0, 1, 0)] == ["efi/ipxe.efi", "http://172.16.0.101/pxeboot.ipxe", "efi/ipxe.efi"]


def test_new_tables_change_what_a_host_gets_that_asked_before(table: DhcpTable) -> None:
    answers = Answers()
    cluster = reference_cluster()
    moved = compile_dhcp(
        (replace(cluster, hosts=(replace(cluster.hosts[0], addresses=(IPv4Address("172.16.0.12"),)),)),)
    )
    addresses = [told(answers, each).header.yiaddr for each in (table, moved, table)]
    assert addresses == ["172.16.0.11", "172.16.0.12", "172.16.0.11"]


def test_remembered_answers_have_a_bound(table: DhcpTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers_module, "MAX_KNOWN", 10)
    answers = Answers()
    for padding in range(100):
        told(answers, table, padding=padding)
        assert len(answers._remembered) <= 10


def test_a_request_padded_beyond_use_is_answered_and_not_remembered(table: DhcpTable) -> None:
    answers = Answers()
    assert told(answers, table, padding=1024).header.yiaddr == "172.16.0.11"
    assert not answers._remembered
