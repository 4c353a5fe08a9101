"""The judge of requests: the answer from request, table, installation, findings and time."""

import hmac
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network, ip_address
from pathlib import Path

import pytest

from appliance.events import FileUnservable, WaitEnded, WebKind
from appliance.install import guard
from appliance.install.installation import Condition, Installation, Order, Stage
from appliance.model import Arch, DhcpMode, Install, MacAddress, Network, Release
from appliance.web.answers import (
    NO_FINDINGS,
    BeginFirst,
    ErrorResponse,
    FilesFinding,
    Findings,
    HttpRequest,
    IgnitionFinding,
    Judgement,
    LookFirst,
    MachineConfigFinding,
    NeighbourFinding,
    NeighbourFirst,
    Place,
    ProbeFirst,
    ReadFirst,
    SendFile,
    SendIgnition,
    SendScript,
)
from appliance.web.compile import Site, WebTable, compile_web
from appliance.web.protocol import damage, http_response, judge, most_telling
from appliance.web.waits import LONGEST_WAIT_SECONDS
from tests.clusters import LIVE_IMAGES, reference_cluster

CLUSTER = reference_cluster()
TABLE = compile_web((CLUSTER,))
WITHOUT_DHCP = compile_web((reference_cluster(dhcp=DhcpMode.OFF),))
SITE = TABLE.sites[0]
M1, W1, STRANGER = "172.16.0.21", "172.16.0.31", "192.0.2.99"
M1_NAME, W1_NAME = "m1.ocp45.example.localdomain", "w1.ocp45.example.localdomain"
M1_SCRIPT, W1_SCRIPT = "/ipxe/00-50-56-96-37-c8.ipxe", "/ipxe/00-50-56-96-6b-da.ipxe"
KERNEL = "rhcos-4.5.6-x86_64-installer-kernel-x86_64"
TOKEN = "0123456789abcdef"
OWN = f"/ignition/{TOKEN}/master.ign"
NOW = 1_700_000_000.0
ROUTED = NeighbourFinding(None)  # a client that is on no link of ours
ANSWERS, IS_SILENT = MachineConfigFinding(answers=True), MachineConfigFinding(answers=False)


def installation(host: str = M1_NAME, **changes: object) -> Installation:
    return replace(Installation(host, token=TOKEN, has_dhcp=True), **changes)  # type: ignore[arg-type]


def judged(
    target: str,
    client: str = M1,
    *,
    method: str = "GET",
    table: WebTable = TABLE,
    record: Installation | None = None,
    found: Findings = NO_FINDINGS,
) -> Judgement:
    """Return the judgement; where the judge asks for the files of a script, they are all there."""
    installations: Mapping[str, Installation] = {record.host: record} if record else {}
    found = replace(found, neighbour=found.neighbour or ROUTED)
    request = HttpRequest(method, target, client)
    first = judge(request, table, installations, NOW, found)
    if not isinstance(first, LookFirst):
        return first
    return judge(request, table, installations, NOW, replace(found, files=FilesFinding(first.needs)))


def script(judgement: Judgement) -> SendScript:
    assert isinstance(judgement, SendScript)
    return judgement


def error(judgement: Judgement) -> ErrorResponse:
    assert isinstance(judgement, ErrorResponse)
    return judgement


def with_install(address: str, install: Install) -> WebTable:
    """Return TABLE with the value *install* for the host at *address*."""
    known = TABLE.hosts[ip_address(address)]
    changed = replace(known, host=replace(known.host, install=install))
    return replace(
        TABLE,
        hosts={**TABLE.hosts, ip_address(address): changed},
        hosts_by_mac={**TABLE.hosts_by_mac, **{mac.hyphenated: changed for mac in known.host.macs}},
    )


# Scripts


def test_stranger_gets_the_plain_menu() -> None:
    answer = script(judged("/pxeboot.ipxe", STRANGER))
    assert answer.kind is WebKind.MENU
    assert b"unknown machine" in answer.content


def test_host_gets_the_menu_with_its_own_role() -> None:
    assert b"set default master" in script(judged("/pxeboot.ipxe")).content


@pytest.mark.parametrize("name", ["00-50-56-96-37-c8", "00:50:56:96:37:C8", "00-50-56-96-37-C8", "0050569637c8"])
def test_script_is_found_by_any_spelling_of_the_mac(name: str) -> None:
    answer = script(judged(f"/ipxe/{name}.ipxe", record=installation()))
    assert answer.kind is WebKind.SCRIPT
    assert answer == judged(M1_SCRIPT, record=installation())


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
    refused = error(judged(f"/ipxe/{name}.ipxe", client, record=installation()))
    assert (refused.status, refused.kind) == (status, WebKind.SCRIPT)


def test_install_script_holds_the_token_of_the_installation() -> None:
    assert f"/ignition/{TOKEN}/master.ign".encode() in script(judged(M1_SCRIPT, record=installation())).content


def lacking(path: str = "/srv/images/k") -> Findings:
    """Return the finding that the kernel of m1 is not there."""
    return Findings(files=FilesFinding(TABLE.hosts[ip_address(M1)].needs, KERNEL, path, "not found"))


def test_files_of_an_install_script_are_looked_for_first() -> None:
    request = HttpRequest("GET", M1_SCRIPT, M1)

    found = Findings(neighbour=ROUTED)

    assert judge(request, TABLE, {M1_NAME: installation()}, NOW, found) == LookFirst(TABLE.hosts[ip_address(M1)].needs)


def test_install_script_needs_the_images_and_the_ignition_that_it_names() -> None:
    needs = TABLE.hosts[ip_address(M1)].needs

    assert [*needs.images, needs.ignition] == [
        KERNEL,
        "rhcos-4.5.6-x86_64-installer-initramfs.x86_64.img",
        "rhcos-4.5.6-x86_64-metal.x86_64.raw.gz",
        "master.ign",
    ]


def test_install_script_of_a_live_release_needs_its_rootfs() -> None:
    live = compile_web((reference_cluster(release=Release(4, 16), images={Arch.X86_64: LIVE_IMAGES}),))

    assert live.hosts[ip_address(M1)].needs.images == (
        "rhcos-4.16.3-x86_64-live-kernel-x86_64",
        "rhcos-4.16.3-x86_64-live-initramfs.x86_64.img",
        "rhcos-4.16.3-x86_64-live-rootfs.x86_64.img",
    )


def test_host_whose_script_names_a_missing_file_waits_for_it() -> None:
    answer = script(judged(M1_SCRIPT, record=installation(), found=lacking()))

    assert (answer.kind, f"no usable {KERNEL}".encode() in answer.content) == (WebKind.LACKING, True)
    assert TOKEN.encode() not in answer.content


def test_missing_file_is_published_with_the_host_that_waits_for_it() -> None:
    answer = script(judged(M1_SCRIPT, record=installation(), found=lacking()))

    assert answer.event == FileUnservable(M1_NAME, "/srv/images/k", "not found")


def test_finding_about_files_of_before_a_reload_is_not_used() -> None:
    table = compile_web((CLUSTER,))
    request, found = HttpRequest("GET", M1_SCRIPT, M1), replace(lacking(), neighbour=ROUTED)

    assert isinstance(judge(request, table, {M1_NAME: installation()}, NOW, found), LookFirst)


def test_hosts_whose_scripts_name_the_same_files_share_what_is_known_of_them() -> None:
    needs = {name: TABLE.hosts[ip_address(address)].needs for name, address in (("m1", M1), ("w1", W1))}

    assert needs["m1"] is TABLE.hosts[ip_address("172.16.0.22")].needs
    assert needs["m1"] is not needs["w1"]


@pytest.mark.parametrize("record", [None, installation(token="")])
def test_install_script_without_a_token_begins_the_installation_first(record: Installation | None) -> None:
    assert judged(M1_SCRIPT, table=WITHOUT_DHCP, record=record) == BeginFirst(WebKind.SCRIPT)


def test_install_script_is_asked_for_again_while_there_is_no_token() -> None:
    refused = error(judged(M1_SCRIPT, table=WITHOUT_DHCP, found=Findings(has_begun=True)))
    assert (refused.status, refused.retry_seconds > 0) == (503, True)


@pytest.mark.parametrize(
    ("order", "target", "kind"),
    [
        (Order.INSTALL, "/pxeboot.ipxe", WebKind.MENU),
        (Order.INSTALL, M1_SCRIPT, WebKind.SCRIPT),
        (Order.LOCAL, "/pxeboot.ipxe", WebKind.LOCAL),
        (Order.LOCAL, M1_SCRIPT, WebKind.LOCAL),
        (Order.HOLD, "/pxeboot.ipxe", WebKind.WAIT),
        (Order.HOLD, M1_SCRIPT, WebKind.WAIT),
    ],
)
def test_order_decides_which_script_a_host_gets(order: Order, target: str, kind: WebKind) -> None:
    assert script(judged(target, record=installation(order=order))).kind is kind


def test_host_that_never_installs_starts_from_its_disk() -> None:
    assert script(judged(M1_SCRIPT, table=with_install(M1, Install.NEVER))).kind is WebKind.LOCAL


def test_held_host_is_told_by_which_command_it_goes_on() -> None:
    assert b"ocp-appliance release m1" in script(judged(M1_SCRIPT, record=installation(order=Order.HOLD))).content


def test_console_of_a_host_in_doubt_names_the_two_commands_that_settle_it() -> None:
    doubt = Condition("may-be-running", "why", 0.0)
    content = script(judged(M1_SCRIPT, record=installation(order=Order.HOLD, doubt=doubt))).content
    assert [b"ocp-appliance adopt m1" in content, b"reinstall m1" in content, b"release" in content] == [
        True,
        True,
        False,
    ]


def test_worker_is_judged_after_the_machine_config_server_was_probed() -> None:
    wanted = judged(W1_SCRIPT, W1, record=installation(W1_NAME))
    assert wanted == ProbeFirst(W1_NAME, SITE.domain, SITE.machine_config)


def test_worker_waits_for_the_machine_config_server() -> None:
    answer = script(judged(W1_SCRIPT, W1, record=installation(W1_NAME), found=Findings(IS_SILENT)))
    assert answer.kind is WebKind.WAIT
    assert b"no master answers on port 22623 yet" in answer.content


def test_worker_installs_once_the_machine_config_server_answers() -> None:
    answer = script(judged(W1_SCRIPT, W1, record=installation(W1_NAME), found=Findings(ANSWERS)))
    assert (answer.kind, answer.event) == (WebKind.SCRIPT, None)


@pytest.mark.parametrize(
    ("waited_seconds", "kind"),
    [(LONGEST_WAIT_SECONDS - 1, WebKind.WAIT), (LONGEST_WAIT_SECONDS, WebKind.SCRIPT)],
)
def test_worker_waits_no_longer_than_the_longest_wait(waited_seconds: float, kind: WebKind) -> None:
    """The machine config server may be reachable from the nodes but not from the appliance."""
    found = Findings(replace(IS_SILENT, waited_seconds=waited_seconds))
    assert script(judged(W1_SCRIPT, W1, record=installation(W1_NAME), found=found)).kind is kind


def test_end_of_the_longest_wait_is_published() -> None:
    found = Findings(replace(IS_SILENT, waited_seconds=LONGEST_WAIT_SECONDS))
    event = script(judged(W1_SCRIPT, W1, record=installation(W1_NAME), found=found)).event
    assert isinstance(event, WaitEnded)
    assert event.host == W1_NAME
    assert "1200 s" in event.why


@pytest.mark.parametrize("order", [Order.LOCAL, Order.HOLD])
def test_worker_that_is_not_to_install_causes_no_probe(order: Order) -> None:
    assert isinstance(judged(W1_SCRIPT, W1, record=installation(W1_NAME, order=order)), SendScript)


def test_menu_of_a_worker_causes_no_probe() -> None:
    assert script(judged("/pxeboot.ipxe", W1, record=installation(W1_NAME))).kind is WebKind.MENU


def test_master_waits_for_nothing() -> None:
    assert script(judged(M1_SCRIPT, record=installation(), found=Findings(IS_SILENT))).kind is WebKind.SCRIPT


def test_worker_does_not_wait_where_cluster_yaml_says_so() -> None:
    table = compile_web((reference_cluster(hold_workers=False),))
    assert script(judged(W1_SCRIPT, W1, table=table, record=installation(W1_NAME))).kind is WebKind.SCRIPT


def test_autoexec_beside_any_loader_leads_to_the_menu() -> None:
    answer = script(judged("/efi/autoexec.ipxe", STRANGER))
    assert answer.kind is WebKind.OTHER
    assert b"http://172.16.0.101/pxeboot.ipxe" in answer.content


# Who is proven to be the host

M1_MAC, OTHER_MAC = MacAddress.parse("00:50:56:96:37:c8").octets, MacAddress.parse("52:54:00:00:00:99").octets


def neighbour(mac: bytes | None) -> Findings:
    return Findings(neighbour=NeighbourFinding(mac))


@pytest.mark.parametrize("target", ["/pxeboot.ipxe", M1_SCRIPT, OWN, f"/{KERNEL}", "/efi/ipxe.efi"])
def test_mac_address_of_a_client_with_a_hosts_address_is_found_out_first(target: str) -> None:
    asked = judge(HttpRequest("GET", target, M1), TABLE, {}, NOW)
    assert asked == NeighbourFirst(ip_address(M1), frozenset({M1_MAC}))


def test_mac_address_of_a_stranger_is_not_asked_for() -> None:
    assert isinstance(judge(HttpRequest("GET", "/pxeboot.ipxe", STRANGER), TABLE, {}, NOW), SendScript)


@pytest.mark.parametrize("target", [M1_SCRIPT, OWN])
@pytest.mark.parametrize(("mac", "cause"), [(OTHER_MAC, "address-conflict"), (b"", "unresolved")])
def test_another_machine_at_the_hosts_address_is_put_off(target: str, mac: bytes, cause: str) -> None:
    refused = error(judged(target, record=ready(), found=neighbour(mac)))
    assert (refused.status, refused.retry_seconds > 0) == (503, True)
    assert refused.unproven is not None
    assert (refused.unproven.host, refused.unproven.cause) == (M1_NAME, cause)
    assert refused.unproven.mac == mac.hex(":")


def test_host_whose_address_is_not_resolved_asks_again_for_an_image_that_would_not_count() -> None:
    refused = error(judged(f"/{KERNEL}", record=ready(), found=neighbour(b"")))
    assert (refused.status, refused.kind, refused.retry_seconds > 0) == (503, WebKind.KERNEL, True)
    assert refused.unproven is not None
    assert (refused.unproven.host, refused.unproven.cause) == (M1_NAME, "unresolved")


@pytest.mark.parametrize(("target", "mac"), [(f"/{KERNEL}", OTHER_MAC), (f"/{KERNEL}", None), ("/efi/ipxe.efi", b"")])
def test_image_for_another_machine_and_boot_loader_for_anybody_are_served(target: str, mac: bytes | None) -> None:
    assert isinstance(judged(target, record=ready(), found=neighbour(mac)), SendFile)


def test_another_machine_is_not_told_which_mac_address_was_found() -> None:
    assert OTHER_MAC.hex(":") not in error(judged(OWN, record=ready(), found=neighbour(OTHER_MAC))).why


def test_another_machine_makes_no_worker_wait() -> None:
    assert isinstance(judged(W1_SCRIPT, W1, record=installation(W1_NAME), found=neighbour(OTHER_MAC)), ErrorResponse)


@pytest.mark.parametrize("mac", [M1_MAC, None])
def test_host_gets_its_script_by_its_own_mac_address_or_through_a_router(mac: bytes | None) -> None:
    assert script(judged(M1_SCRIPT, record=installation(), found=neighbour(mac))).kind is WebKind.SCRIPT


def test_host_is_known_by_the_mac_address_of_any_of_its_cards() -> None:
    cards = ("ip=172.16.0.21::172.16.0.1:255.255.255.0:m1:52-54-00-0A-00-01:none", "ifname=eth1:52:54:00:0a:00:02")
    hosts = (replace(CLUSTER.hosts[1], network_arguments=cards, kernel_arguments=("BOOTIF=01-52-54-00-0a-00-03",)),)
    (known,) = compile_web((replace(CLUSTER, hosts=hosts),)).hosts.values()
    assert known.macs == {M1_MAC, *(bytes.fromhex(f"5254000a000{n}") for n in (1, 2, 3))}


def test_script_without_our_dhcp_is_one_that_asks_for_an_address() -> None:
    answer = script(judged(M1_SCRIPT, record=installation(has_dhcp=False)))
    assert TOKEN.encode() not in answer.content
    assert b"\ndhcp netX " in answer.content
    assert answer.kind is WebKind.OTHER  # which proves nothing of the host
    assert answer.unproven is not None
    assert answer.unproven.cause == "no-dhcp"


def test_ignition_without_our_dhcp_is_put_off() -> None:
    refused = error(judged(OWN, record=ready(has_dhcp=False)))
    assert (refused.status, refused.unproven is not None) == (503, True)


def test_host_without_our_dhcp_server_needs_none() -> None:
    record = installation(has_dhcp=False)
    assert script(judged(M1_SCRIPT, table=WITHOUT_DHCP, record=record)).kind is WebKind.SCRIPT


# Ignition


def ready(**changes: object) -> Installation:
    """Return the installation of m1 at a time when m1 may have its Ignition file."""
    return installation(**{"stage": Stage.INITRAMFS, "window_opened_at": NOW - 60, **changes})


def read(*, site: Site = SITE, name: str = "master.ign", **finding: object) -> Findings:
    return Findings(ignition=IgnitionFinding(ReadFirst(site, name), **finding))  # type: ignore[arg-type]


def test_host_that_may_have_its_file_has_it_read_first() -> None:
    assert judged(OWN, record=ready()) == ReadFirst(SITE, "master.ign")


def test_host_gets_its_file_once_it_was_read() -> None:
    assert judged(OWN, record=ready(), found=read()) == SendIgnition(SITE, "master.ign", "/ignition/…/master.ign")


CASES = [
    # A client that is not the host, or has another token, gets 403 at every stage, and so learns nothing.
    *((STRANGER, OWN, stage, 403) for stage in (Stage.WAITING, Stage.SCRIPT, Stage.INITRAMFS, Stage.INSTALLED)),
    *((W1, OWN, stage, 403) for stage in (Stage.WAITING, Stage.SCRIPT, Stage.INITRAMFS, Stage.INSTALLED)),
    *((M1, "/ignition/wrong/master.ign", stage, 403) for stage in (Stage.SCRIPT, Stage.INITRAMFS, Stage.INSTALLED)),
    (M1, "/ignition//master.ign", Stage.INITRAMFS, 404),
    (M1, f"/ignition/{TOKEN}/bootstrap.ign", Stage.INITRAMFS, 403),
    (M1, f"/ignition/{TOKEN}/worker.ign", Stage.SCRIPT, 403),
    # The host itself: after 503 it asks again later, after 403 it gives up.
    (M1, OWN, Stage.SCRIPT, 503),
    (M1, OWN, Stage.KERNEL, 503),
    (M1, OWN, Stage.INSTALLED, 403),
    # Paths that are not Ignition files.
    (M1, f"/ignition/{TOKEN}/other.ign", Stage.INITRAMFS, 404),
    (M1, f"/ignition/{TOKEN}", Stage.INITRAMFS, 404),
    (M1, f"/ignition/{TOKEN}/x/master.ign", Stage.INITRAMFS, 404),
]


@pytest.mark.parametrize(("client", "target", "stage", "status"), CASES)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_ignition_is_refused_before_it_is_read(
    client: str, target: str, stage: Stage, status: int, method: str
) -> None:
    refused = error(judged(target, client, method=method, record=ready(stage=stage)))
    assert (refused.status, refused.kind) == (status, WebKind.IGNITION)


@pytest.mark.parametrize(("client", "name"), [(M1, "master.ign"), (STRANGER, "bootstrap.ign")])
def test_plain_path_gives_nobody_the_file(client: str, name: str) -> None:
    assert error(judged(f"/{name}", client, record=ready(), found=read(name=name))).status == 403


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize(("client", "target"), [(STRANGER, OWN), (W1, OWN), (M1, "/ignition/wrong/master.ign")])
def test_refusal_of_others_is_the_same_however_far_the_installation_is(client: str, target: str, stage: Stage) -> None:
    early = error(judged(target, client, record=ready(stage=Stage.SCRIPT)))
    assert error(judged(target, client, record=ready(stage=stage))) == early


def test_token_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The duration of == would show how many bytes were right."""
    compared: list[tuple[bytes, bytes]] = []

    def noted(ours: bytes, theirs: bytes) -> bool:
        compared.append((ours, theirs))
        return False

    monkeypatch.setattr(hmac, "compare_digest", noted)
    assert guard.hmac is hmac
    assert error(judged(OWN, record=ready())).status == 403
    assert compared == [(TOKEN.encode(), TOKEN.encode())]


@pytest.mark.parametrize(("serve_expired", "is_refused"), [(False, True), (True, False)])
def test_expired_file_is_held_back_unless_cluster_yaml_says_otherwise(serve_expired: bool, is_refused: bool) -> None:
    table = compile_web((reference_cluster(serve_expired=serve_expired),))
    judgement = judged(OWN, table=table, record=ready(), found=read(site=table.sites[0], expires_at=NOW))
    assert isinstance(judgement, ErrorResponse if is_refused else SendIgnition)


def test_missing_file_is_repeated_by_its_host() -> None:
    """coreos-installer gives up after 404, and repeats the request forever after 503."""
    refused = error(judged(OWN, record=ready(), found=read(problem="not found")))
    assert (refused.status, refused.retry_seconds > 0) == (503, True)
    assert f"{SITE.ignition('master.ign')} cannot be served: not found" in refused.why


def test_missing_file_is_missing_for_the_operator() -> None:
    assert error(judged("/master.ign", method="HEAD", found=read(problem="not found"))).status == 404


def test_operators_check_is_judged_after_the_file_was_read() -> None:
    assert judged("/worker.ign", STRANGER, method="HEAD") == ReadFirst(SITE, "worker.ign")


def test_operators_check_gets_the_file() -> None:
    answer = judged("/worker.ign", STRANGER, method="HEAD", found=read(name="worker.ign"))
    assert answer == SendIgnition(SITE, "worker.ign")


@pytest.mark.parametrize(
    "found", [read(name="worker.ign"), read(site=replace(SITE, data_dir=Path("/elsewhere"))), read(problem="", name="")]
)
def test_finding_of_another_file_is_not_this_files(found: Findings) -> None:
    """A reload can happen between reading the file and judging the request."""
    assert judged(OWN, record=ready(), found=found) == ReadFirst(SITE, "master.ign")


@pytest.mark.parametrize("target", [OWN, "/ignition/short/master.ign", "//ignition/%30123456789abcdef/master.ign"])
def test_path_with_a_token_is_shown_without_it(target: str) -> None:
    assert error(judged(target, W1, record=ready())).shown_path == "/ignition/…/master.ign"


# Files


def test_named_image_is_known_by_its_kind() -> None:
    answer = judged(f"/{KERNEL}", STRANGER)
    assert answer == SendFile(KERNEL, WebKind.KERNEL, "application/octet-stream", (Place(SITE, is_image=True),))


def test_other_name_may_be_a_boot_loader() -> None:
    answer = judged("/efi/ipxe.efi", STRANGER)
    assert answer == SendFile("efi/ipxe.efi", WebKind.OTHER, "application/efi", (Place(SITE, is_image=False),))


def test_host_of_the_second_cluster_gets_its_own_clusters_files_first() -> None:
    second = reference_cluster(
        name="other",
        hosts=(replace(CLUSTER.hosts[1], addresses=(CLUSTER.hosts[1].address + 100,)),),
    )
    answer = judged("/anything.img", "172.16.0.121", table=compile_web((CLUSTER, second)))
    assert isinstance(answer, SendFile)
    assert [place.site.name for place in answer.places] == ["other", "ocp45"]


@pytest.mark.parametrize(("sha256", "is_damaged"), [(None, False), ("a" * 64, False), ("b" * 64, True)])
def test_image_with_another_sum_than_cluster_yaml_gives_is_damaged(sha256: str | None, is_damaged: bool) -> None:
    site = replace(SITE, sha256={KERNEL: "a" * 64})
    assert (damage(site, KERNEL, sha256) is not None) is is_damaged


def test_image_without_a_sum_in_cluster_yaml_is_never_damaged() -> None:
    assert damage(replace(SITE, sha256={}), KERNEL, "b" * 64) is None


def test_damaged_image_is_asked_for_again() -> None:
    refused = damage(replace(SITE, sha256={KERNEL: "a" * 64}), KERNEL, "b" * 64)
    assert refused is not None
    assert (refused.status, refused.kind, refused.retry_seconds > 0) == (503, WebKind.KERNEL, True)
    assert "a" * 64 in refused.why
    assert "b" * 64 in refused.why


@pytest.mark.parametrize(
    ("statuses", "chosen"), [((404, 403), 1), ((404, 404), 0), ((503, 403), 0), ((404, 503, 403), 1), ((404,), 0)]
)
def test_file_that_exists_and_cannot_be_served_is_told_rather_than_one_that_does_not(
    statuses: tuple[int, ...], chosen: int
) -> None:
    failures = [ErrorResponse(status, f"place {number}") for number, status in enumerate(statuses)]
    assert most_telling(failures) is failures[chosen]


# Errors


@pytest.mark.parametrize("method", ["POST", "PUT", "", "get", "\udcff"])
def test_other_methods_are_refused(method: str) -> None:
    assert error(judged(M1_SCRIPT, method=method)).status == 405


def test_bad_target_is_refused() -> None:
    assert error(judged("/../x")).status == 400


def test_error_has_its_exact_length() -> None:
    answer = http_response(ErrorResponse(503, "not yet", retry_seconds=5), "GET")
    (body,) = answer.parts
    assert isinstance(body, bytes)
    assert answer.headers["Content-Length"] == str(len(body))
    assert answer.headers["Retry-After"] == "5"


def test_error_of_a_head_has_the_length_and_no_body() -> None:
    answer = http_response(ErrorResponse(404, "file not found"), "HEAD")
    assert answer.parts == ()
    assert int(answer.headers["Content-Length"]) > 0


@pytest.mark.parametrize("status", [400, 403, 404, 405, 408, 413, 414, 429, 431, 500, 501, 503, 505])
def test_error_says_the_same_whatever_its_reason(status: int) -> None:
    reasons = ("/srv/images/x (mode 0600, root:root)", "52-54-00-12-34-56 is m1's")
    assert len({http_response(ErrorResponse(status, why), "GET").parts for why in reasons}) == 1


def test_method_that_is_not_served_is_told_which_are() -> None:
    assert http_response(ErrorResponse(405, "no"), "PUT").headers["Allow"] == "GET, HEAD"


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


# GRUB

GRUB = "/grub/boot.cfg"


@pytest.mark.parametrize("client", [M1, STRANGER])
@pytest.mark.parametrize(
    "target", ["/shim/x64/grub.cfg-01-00-50-56-96-37-c8", "/grub.cfg", "//EFI/redhat//grub.cfg-AC"]
)
def test_first_configuration_of_grub_is_at_every_name_and_has_no_secret(target: str, client: str) -> None:
    answer = script(judged(target, client, record=installation()))
    assert answer.kind is WebKind.GRUB
    assert b"source $from/grub/boot.cfg" in answer.content
    assert TOKEN.encode() not in answer.content


def test_grub_installs_its_host_with_the_token_of_its_installation() -> None:
    answer = script(judged(GRUB, record=installation()))
    assert answer.kind is WebKind.SCRIPT
    assert f"/ignition/{TOKEN}/master.ign".encode() in answer.content


def test_grub_on_an_unknown_machine_is_told_so() -> None:
    answer = script(judged(GRUB, STRANGER))
    assert answer.kind is WebKind.MENU
    assert b"This machine is not in cluster.yaml" in answer.content


@pytest.mark.parametrize(
    ("order", "kind", "text"),
    [
        (Order.LOCAL, WebKind.LOCAL, b"starting it from its own disk"),
        (Order.HOLD, WebKind.WAIT, b"held, until ocp-appliance release m1"),
    ],
)
def test_grub_does_what_the_host_is_to_do(order: Order, kind: WebKind, text: bytes) -> None:
    answer = script(judged(GRUB, record=installation(order=order)))
    assert (answer.kind, text in answer.content) == (kind, True)


def test_grub_on_a_host_in_doubt_is_told_the_commands() -> None:
    record = installation(order=Order.HOLD, doubt=Condition("may-be-running", "hint", 0.0))
    assert b"ocp-appliance adopt m1 boots its disk" in script(judged(GRUB, record=record)).content


def test_grub_waits_for_a_file_that_cannot_be_served() -> None:
    first = judge(HttpRequest("GET", GRUB, M1), TABLE, {M1_NAME: installation()}, NOW, Findings(neighbour=ROUTED))
    assert isinstance(first, LookFirst)
    lacking = FilesFinding(first.needs, "master.ign", "/data/ignition/master.ign", "not found")
    answer = script(judged(GRUB, record=installation(), found=Findings(files=lacking)))
    assert answer.kind is WebKind.LACKING
    assert b"the appliance has no usable master.ign" in answer.content


def test_another_machine_at_a_host_s_address_gets_no_configuration_of_grub() -> None:
    stolen = Findings(neighbour=NeighbourFinding(b"\2\0\0\0\0\1"))
    answer = error(judged(GRUB, record=installation(), found=stolen))
    assert (answer.status, answer.unproven is not None) == (503, True)


def test_host_that_our_dhcp_server_has_not_answered_reboots() -> None:
    answer = script(judged(GRUB, record=installation(has_dhcp=False)))
    assert answer.content.endswith(b"sleep 30\nreboot\n")
    assert TOKEN.encode() not in answer.content
