"""The complete table of who may have which Ignition file, and when."""

from dataclasses import replace

import pytest

from appliance.install.guard import REPEAT_SECONDS, WINDOW_SECONDS, Client, Verdict, ignition_verdict
from appliance.install.installation import Installation, Order, Stage
from appliance.model import Role
from tests.clusters import reference_cluster

BS, M1, M2, _, W1, *_ = reference_cluster().hosts
NOW = 1_700_000_000.0
TOKEN = "x" * 32


def ready(**changes):
    facts = {
        "token": TOKEN,
        "stage": Stage.IMAGE,
        "boots_live": True,
        "has_dhcp": True,
        "window_opened_at": NOW - 60,
    } | changes
    return Installation(M1.name, **facts)


OWN_MAC = M1.macs[0].octets
PROVEN = Client(frozenset({OWN_MAC}), OWN_MAC, needs_dhcp=True)


def verdict(
    host=M1,
    installation=None,
    file_name="master.ign",
    token=TOKEN,
    client=PROVEN,
    *,
    expires_at=None,
    serve_expired=False,
):
    return ignition_verdict(
        host,
        installation or ready(),
        file_name,
        token,
        client,
        expires_at=expires_at,
        now=NOW,
        serve_expired=serve_expired,
    )


def test_host_in_its_window_gets_the_file_of_its_role():
    assert verdict().status == 200


@pytest.mark.parametrize("host", reference_cluster().hosts, ids=lambda host: host.short_name)
@pytest.mark.parametrize("file_name", ["bootstrap.ign", "master.ign", "worker.ign"])
def test_each_role_gets_its_own_file_and_no_other(host, file_name):
    expected = 200 if file_name == f"{host.role}.ign" else 403
    assert verdict(host, file_name=file_name).status == expected


def bootstrap(**changes):
    return verdict(BS, replace(ready(**changes), host=BS.name), "bootstrap.ign")


@pytest.mark.parametrize("stage", [Stage.WAITING, Stage.IMAGE, Stage.IGNITION], ids=str)
def test_keys_are_put_off_once_bootstrapping_is_complete(stage):
    """503 and not 403: the operator can take it back, and 403 would leave the machine at an emergency shell."""
    answer = bootstrap(stage=stage, bootstrapped_at=NOW, bootstrapped_by="checks")
    assert answer.status == 503
    assert "bootstrapping is complete" in answer.why
    assert "ocp-appliance reinstall bs" in answer.why


def test_keys_are_refused_to_a_bootstrap_that_is_installed():
    assert bootstrap(stage=Stage.INSTALLED, bootstrapped_at=NOW).status == 403


def test_keys_go_out_while_bootstrapping_is_not_complete():
    assert bootstrap().status == 200


def test_machine_that_was_the_bootstrap_and_is_a_master_now_gets_its_file():
    assert verdict(M1, ready(bootstrapped_at=NOW)).status == 200


def test_infra_host_gets_the_workers_file():
    assert verdict(replace(W1, role=Role.INFRA), file_name="worker.ign").status == 200


@pytest.mark.parametrize(
    ("host", "installation", "token"),
    [
        (None, None, TOKEN),
        (M1, Installation(M1.name), ""),
        (M1, Installation(M1.name), TOKEN),
        (M1, ready(), ""),
        (M1, ready(), TOKEN[:-1]),
        (M1, ready(), TOKEN + "x"),
        (M1, ready(), "\udc80é"),
    ],
    ids=["no host", "no token, none given", "no token", "empty", "short", "long", "not ASCII"],
)
def test_client_with_another_token_is_refused(host, installation, token):
    refused = (
        verdict(host, installation, token=token)
        if installation
        else ignition_verdict(host, None, "master.ign", token, None, expires_at=None, now=NOW, serve_expired=False)
    )
    assert (refused.status, refused.retry_seconds) == (403, 0)
    assert refused.why


def test_host_without_an_installation_is_refused():
    answer = ignition_verdict(M1, None, "master.ign", TOKEN, PROVEN, expires_at=None, now=NOW, serve_expired=True)
    assert answer.status == 403


def test_wrong_token_is_not_told_that_the_host_is_held():
    assert verdict(installation=ready(order=Order.HOLD), token="y" * 32).status == 403


@pytest.mark.parametrize("boots_live", [True, False])
@pytest.mark.parametrize("stage", list(Stage))
def test_stage_decides_between_not_yet_and_yes_and_no_more(stage, boots_live):
    enough = Stage.IMAGE if boots_live else Stage.INITRAMFS
    expected = 403 if stage >= Stage.INSTALLED else 200 if stage >= enough else 503
    answer = verdict(installation=ready(stage=stage, boots_live=boots_live))
    assert answer.status == expected
    assert (answer.retry_seconds > 0) == (expected == 503)


def test_held_host_is_told_to_come_back():
    answer = verdict(installation=ready(order=Order.HOLD))
    assert answer.status == 503
    assert "ocp-appliance release m1" in answer.why


def test_host_that_never_installs_is_refused():
    assert verdict(installation=ready(order=Order.LOCAL)).status == 403


def test_answer_that_broke_is_given_again_though_the_host_counts_as_written():
    assert verdict(installation=ready(order=Order.LOCAL, stage=Stage.IGNITION, delivered_at=NOW - 1)).status == 200


@pytest.mark.parametrize(("seconds", "status"), [(REPEAT_SECONDS, 200), (REPEAT_SECONDS + 1, 503)])
def test_delivered_file_is_given_again_for_a_while_only(seconds, status):
    assert verdict(installation=ready(stage=Stage.IGNITION, delivered_at=NOW - seconds)).status == status


@pytest.mark.parametrize(("seconds", "status"), [(WINDOW_SECONDS, 200), (WINDOW_SECONDS + 1, 503)])
def test_window_closes_a_day_after_the_script(seconds, status):
    assert verdict(installation=ready(window_opened_at=NOW - seconds)).status == status


@pytest.mark.parametrize(
    ("expires_at", "serve_expired", "status"),
    [
        (None, False, 200),
        (NOW + 1, False, 200),
        (NOW, False, 503),
        (NOW - 86400, False, 503),
        (NOW - 86400, True, 200),
    ],
)
def test_dead_certificates_are_put_off_unless_the_operator_says_otherwise(expires_at, serve_expired, status):
    assert verdict(expires_at=expires_at, serve_expired=serve_expired).status == status


def test_refusal_of_a_dead_file_says_how_to_make_a_new_one():
    answer = verdict(expires_at=0.0)
    assert "1970-01-01 00:00" in answer.why
    assert "openshift-install create ignition-configs" in answer.why


OTHER_MAC = bytes.fromhex("525400000099")


@pytest.mark.parametrize(
    ("mac", "status"),
    [(OWN_MAC, 200), (None, 200), (OTHER_MAC, 503), (b"", 503), (OWN_MAC + b"\0", 503)],
    ids=["its own", "off our links", "another's", "not resolved", "longer"],
)
def test_client_on_our_link_needs_a_mac_address_of_the_host(mac, status):
    assert verdict(client=replace(PROVEN, mac=mac)).status == status


def test_refusal_names_the_mac_address_that_was_found():
    answer = verdict(client=replace(PROVEN, mac=OTHER_MAC))
    assert (answer.unproven, answer.retry_seconds > 0) == ("address-conflict", True)
    assert "52:54:00:00:00:99" in answer.why


@pytest.mark.parametrize(
    ("has_dhcp", "needs_dhcp", "status"), [(False, True, 503), (False, False, 200), (True, True, 200)]
)
def test_host_that_our_dhcp_server_answers_must_have_been_answered(has_dhcp, needs_dhcp, status):
    answer = verdict(installation=ready(has_dhcp=has_dhcp), client=replace(PROVEN, needs_dhcp=needs_dhcp))
    assert (answer.status, answer.unproven) == (status, "no-dhcp" if status == 503 else "")


@pytest.mark.parametrize("stage", list(Stage))
def test_another_machine_learns_nothing_of_how_far_the_host_is(stage):
    client = replace(PROVEN, mac=OTHER_MAC)
    assert verdict(installation=ready(stage=stage), client=client) == verdict(client=client)


def test_another_machine_without_the_token_is_told_nothing_but_that():
    answer = verdict(token="y" * 32, client=replace(PROVEN, mac=OTHER_MAC))
    assert (answer.status, answer.unproven) == (403, "")
    assert isinstance(answer, Verdict)


@pytest.mark.parametrize("boots_live", [True, False])
def test_ignition_waits_until_all_that_comes_before_it_was_fetched(boots_live):
    stage = Stage.IMAGE if boots_live else Stage.INITRAMFS
    answer = verdict(installation=ready(stage=stage, boots_live=boots_live, has_fetched=False))
    assert (answer.status, answer.unproven) == (503, "")
    assert ("rootfs" if boots_live else "initramfs") in answer.why
