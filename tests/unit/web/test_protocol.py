"""What a request target means, and to whom."""

from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

import pytest

from appliance.events import WebKind
from appliance.install.lifecycle import Installation, Order
from appliance.model import Install, Network
from appliance.web.compile import WebHost, WebTable, compile_web
from appliance.web.protocol import (
    File,
    Ignition,
    Refusal,
    Script,
    asked_for,
    normal_path,
    refused,
    script,
    script_kind,
    waits_for_machine_config,
)
from tests.clusters import reference_cluster

CLUSTER = reference_cluster()
TABLE = compile_web((CLUSTER,))
M1, W1, STRANGER = "172.16.0.21", "172.16.0.31", "192.0.2.99"
KERNEL = "rhcos-4.5.6-x86_64-installer-kernel-x86_64"


def own(address: str, table: WebTable = TABLE) -> Script:
    host = table.host(address)
    assert host is not None
    asked = asked_for(table, address, f"/ipxe/{host.host.macs[0].hyphenated}.ipxe")
    assert isinstance(asked, Script)
    return asked


def installation(order: Order = Order.INSTALL, token: str = "0123456789abcdef") -> Installation:
    return Installation("m1.ocp45.example.localdomain", token=token, order=order)


def not_on(table: WebTable, address: str, install: Install) -> WebHost:
    known = table.host(address)
    assert known is not None
    return replace(known, host=replace(known.host, install=install))


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/a/b", "a/b"),
        ("//a///b", "a/b"),
        ("/./a/./b", "a/b"),
        ("/a%20b", "a b"),
        ("/a?x=/../y", "a"),
        ("/a#b", "a"),
        ("http://192.0.2.1/a/b", "a/b"),
        ("HTTP://192.0.2.1:80//a", "a"),
        ("/a%252e%252e", "a%2e%2e"),
        ("/%C3%A9", "é"),
    ],
)
def test_path_is_decoded_once(target: str, path: str) -> None:
    assert normal_path(target) == path


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/../etc/passwd", 400),
        ("/a/../../etc/passwd", 400),
        ("/%2e%2e/etc/passwd", 400),
        ("/%2E%2e%2Fetc/passwd", 400),
        ("/a%2f..%2fb", 400),
        ("/a%5c..%5cb", 400),
        ("/a\\b", 400),
        ("/a%00.img", 400),
        ("/a%0d%0aX: y", 400),
        ("/a%", 400),
        ("/a%zz", 400),
        ("/a%c0%af", 400),
        ("/a\udcff", 400),
        ("*", 400),
        ("", 400),
        ("a/b", 400),
        ("http://192.0.2.1", 400),
        ("/", 404),
        ("/a/", 404),
        ("/a/.", 404),
        ("/.hidden", 404),
        ("/a/.git/config", 404),
    ],
)
def test_ambiguous_or_hidden_path_is_refused(target: str, status: int) -> None:
    refusal = normal_path(target)
    assert isinstance(refusal, Refusal)
    assert refusal.status == status


def test_stranger_gets_the_plain_menu() -> None:
    asked = asked_for(TABLE, STRANGER, "/pxeboot.ipxe")
    assert isinstance(asked, Script)
    assert b"unknown machine" in asked.content


def test_host_gets_the_menu_with_its_own_role() -> None:
    asked = asked_for(TABLE, M1, "/pxeboot.ipxe")
    assert isinstance(asked, Script)
    kind = script_kind(asked, None, may_go_on=True)
    body = script(asked, kind, None)
    assert isinstance(body, bytes)
    assert b"set default master" in body


@pytest.mark.parametrize("name", ["00-50-56-96-37-c8", "00:50:56:96:37:C8", "00-50-56-96-37-C8", "0050569637c8"])
def test_script_is_found_by_any_spelling_of_the_mac(name: str) -> None:
    asked = asked_for(TABLE, M1, f"/ipxe/{name}.ipxe")
    assert isinstance(asked, Script)
    assert asked.host is TABLE.host(M1)


@pytest.mark.parametrize(
    ("client", "name", "status"),
    [
        (STRANGER, "00-50-56-96-37-c8", 403),
        (W1, "00-50-56-96-37-c8", 403),
        (M1, "00-50-56-96-37-c9", 404),
        (M1, "m1", 404),
    ],
)
def test_script_is_given_to_its_own_host_alone(client: str, name: str, status: int) -> None:
    refusal = asked_for(TABLE, client, f"/ipxe/{name}.ipxe")
    assert isinstance(refusal, Refusal)
    assert refusal.status == status
    assert refusal.what is WebKind.SCRIPT


def test_install_script_holds_the_token_of_the_installation() -> None:
    body = script(own(M1), WebKind.SCRIPT, installation())
    assert isinstance(body, bytes)
    assert b"/ignition/0123456789abcdef/master.ign" in body


def test_install_script_waits_until_there_is_a_token() -> None:
    refusal = script(own(M1), WebKind.SCRIPT, None)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.retry_seconds > 0) == (503, True)


@pytest.mark.parametrize(
    ("order", "is_menu", "kind"),
    [
        (Order.INSTALL, True, WebKind.MENU),
        (Order.INSTALL, False, WebKind.SCRIPT),
        (Order.LOCAL, True, WebKind.LOCAL),
        (Order.LOCAL, False, WebKind.LOCAL),
        (Order.HOLD, True, WebKind.WAIT),
        (Order.HOLD, False, WebKind.WAIT),
    ],
)
def test_order_decides_which_script_a_host_gets(order: Order, is_menu: bool, kind: WebKind) -> None:
    asked = replace(own(M1), is_menu=is_menu)
    assert script_kind(asked, installation(order), may_go_on=True) is kind


def test_host_that_never_installs_starts_from_its_disk() -> None:
    asked = replace(own(M1), host=not_on(TABLE, M1, Install.NEVER))
    assert script_kind(asked, None, may_go_on=True) is WebKind.LOCAL


def test_held_host_is_told_by_which_command_it_goes_on() -> None:
    body = script(own(M1), WebKind.WAIT, installation(Order.HOLD))
    assert isinstance(body, bytes)
    assert b"ocp-appliance release m1" in body


def test_worker_waits_for_the_machine_config_server() -> None:
    asked = own(W1)
    assert waits_for_machine_config(asked, installation())
    assert script_kind(asked, installation(), may_go_on=False) is WebKind.WAIT
    body = script(asked, WebKind.WAIT, installation())
    assert isinstance(body, bytes)
    assert b"api-int.ocp45.example.localdomain:22623" in body


def test_master_waits_for_nothing() -> None:
    assert not waits_for_machine_config(own(M1), installation())
    assert script_kind(own(M1), installation(), may_go_on=False) is WebKind.SCRIPT


def test_worker_does_not_wait_where_cluster_yaml_says_so() -> None:
    table = compile_web((reference_cluster(hold_workers=False),))
    assert not waits_for_machine_config(own(W1, table), installation())


def test_named_image_is_known_by_its_kind() -> None:
    asked = asked_for(TABLE, STRANGER, f"/{KERNEL}")
    assert asked == File(TABLE.sites, KERNEL, WebKind.KERNEL)


def test_plain_ignition_path_has_no_token() -> None:
    assert asked_for(TABLE, STRANGER, "/worker.ign") == Ignition(TABLE.sites[0], "worker.ign", None)


def test_ignition_path_is_taken_apart() -> None:
    assert asked_for(TABLE, M1, "/ignition/abc/master.ign") == Ignition(TABLE.sites[0], "master.ign", "abc")


@pytest.mark.parametrize("path", ["/ignition/abc/other.ign", "/ignition/abc", "/ignition/abc/x/master.ign"])
def test_other_file_under_ignition_is_not_there(path: str) -> None:
    refusal = asked_for(TABLE, M1, path)
    assert isinstance(refusal, Refusal)
    assert refusal.status == 404


def test_host_of_the_second_cluster_gets_its_own_clusters_files_first() -> None:
    second = reference_cluster(
        name="other",
        hosts=(replace(CLUSTER.hosts[1], addresses=(CLUSTER.hosts[1].address + 100,)),),
    )
    table = compile_web((CLUSTER, second))
    asked = asked_for(table, "172.16.0.121", "/anything.img")
    assert isinstance(asked, File)
    assert [site.name for site in asked.sites] == ["other", "ocp45"]


def test_autoexec_beside_any_loader_leads_to_the_menu() -> None:
    asked = asked_for(TABLE, STRANGER, "/efi/autoexec.ipxe")
    assert isinstance(asked, Script)
    assert b"http://172.16.0.101/pxeboot.ipxe" in asked.content


def test_refusal_tells_its_reason_and_its_exact_length() -> None:
    answer = refused(Refusal(503, "not yet", retry_seconds=5), "GET")
    assert answer.parts == (b"not yet\n",)
    assert answer.headers["Content-Length"] == "8"
    assert answer.headers["Retry-After"] == "5"


def test_method_that_is_not_served_is_told_which_are() -> None:
    assert refused(Refusal(405, "no"), "PUT").headers["Allow"] == "GET, HEAD"


def test_host_is_known_by_each_of_its_addresses_in_any_spelling() -> None:
    host = replace(CLUSTER.hosts[1], addresses=(*CLUSTER.hosts[1].addresses, IPv6Address("2001:db8::21")))
    table = compile_web((replace(CLUSTER, hosts=(host,)),))
    known = table.host(M1)
    assert known is not None
    assert [table.host(client) for client in ("2001:db8::21", "2001:DB8:0::21", f"::ffff:{M1}")] == [known] * 3


@pytest.mark.parametrize("client", ["", "nonsense", "2001:db8::99", STRANGER])
def test_client_with_another_address_is_a_stranger(client: str) -> None:
    assert TABLE.host(client) is None
    assert TABLE.stranger(client)[0] is TABLE.sites[0]


def test_stranger_in_an_ipv6_network_gets_that_clusters_menu() -> None:
    second = replace(CLUSTER, name="second", networks=(Network(IPv6Network("2001:db8:2::/64"), CLUSTER.address),))
    table = compile_web((CLUSTER, replace(second, hosts=())))
    assert table.stranger("2001:db8:2::7")[0].name == "second"
