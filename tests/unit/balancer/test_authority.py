"""Which certificates verify the API servers, and when they no longer do."""

from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address

import pytest

from appliance.balancer.authority import api_authorities, is_refuted, valid
from appliance.balancer.reports import NOT_TRUSTED, OTHER_NAME, Report
from appliance.balancer.runtime import check_in_words
from appliance.model import FrontEnd, HealthCheck, Member, Probe
from appliance.openshift.ignition import inspect
from tests.unit.openshift.test_ignition import DAY, MADE_AT, bootstrap, certificate, file, pointer

DOMAIN = "ocp45.example.localdomain"
BUNDLE = "/opt/openshift/tls/kube-apiserver-complete-server-ca-bundle.crt"
SIGNER = certificate(3650 * DAY)
HOSTS = ("m1", "m2")
API = FrontEnd(
    "api-6443",
    (),
    tuple(Member(name, name, IPv4Address("192.0.2.1")) for name in HOSTS),
    6443,
    HealthCheck(Probe.HTTPS, "/readyz"),
)


def api_server(domain: str = DOMAIN) -> dict[str, object]:
    return file("/opt/openshift/auth/kubeconfig", f"server: https://api-int.{domain}:6443\n".encode())


def reports(*checks: str) -> dict[tuple[str, str], Report]:
    return {
        (API.name, name): Report(check.startswith("passed"), True, "ready", 0.0, check, 1, 0, 0)
        for name, check in zip(HOSTS, checks, strict=True)
    }


def test_certificate_that_is_damaged_in_its_middle_verifies_nothing() -> None:
    head, *body = SIGNER.decode().splitlines()
    body[4] = "A" * len(body[4])
    assert valid(SIGNER + "\n".join([head, *body, ""]).encode(), MADE_AT.timestamp() + 60) == b""


def test_bootstrap_file_has_the_authorities_of_the_api() -> None:
    assert api_authorities(inspect(bootstrap(file(BUNDLE, SIGNER), api_server())), DOMAIN) == SIGNER


def test_pointer_files_authority_does_not_verify_the_api() -> None:
    assert api_authorities(inspect(pointer()), DOMAIN) == b""


def test_root_certificate_does_not_verify_the_api() -> None:
    assert api_authorities(inspect(bootstrap(file("/opt/openshift/tls/root-ca.crt", SIGNER))), DOMAIN) == b""


def test_file_of_another_cluster_verifies_nothing() -> None:
    facts = inspect(bootstrap(file(BUNDLE, SIGNER), api_server("other.example")))
    assert api_authorities(facts, DOMAIN) == b""


def test_key_beside_the_authorities_is_not_taken() -> None:
    key = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"
    assert api_authorities(inspect(bootstrap(file(BUNDLE, key + SIGNER + key))), DOMAIN) == SIGNER


def test_expired_authority_is_left_out() -> None:
    now = MADE_AT + 2 * DAY
    assert valid(certificate(DAY) + SIGNER, now.timestamp()) == SIGNER


def test_authority_of_the_future_is_left_out() -> None:
    assert valid(SIGNER, datetime(1970, 1, 1, tzinfo=UTC).timestamp()) == b""


def test_unreadable_authorities_are_none() -> None:
    pem = SIGNER + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    assert valid(pem, (MADE_AT + timedelta(hours=1)).timestamp()) == b""


@pytest.mark.parametrize("check", [NOT_TRUSTED, f"{NOT_TRUSTED}, or no TLS", OTHER_NAME])
def test_authority_that_no_master_has_is_refuted(check: str) -> None:
    assert is_refuted(API, reports(check, check))


def test_master_that_is_off_does_not_keep_an_authority_from_being_refuted() -> None:
    assert is_refuted(API, reports(NOT_TRUSTED, "failed: no route to host"))


def test_authority_that_a_working_master_has_is_not_refuted() -> None:
    assert not is_refuted(API, reports("passed: HTTP 200", NOT_TRUSTED))


def test_masters_that_are_off_refute_nothing() -> None:
    assert not is_refuted(API, reports("failed: HTTP 500", "failed: no route to host"))


def test_words_for_a_foreign_certificate_are_those_of_a_report() -> None:
    assert check_in_words("L6RSP", "", "3", "SSL handshake failure (Certificate not trusted)") == NOT_TRUSTED
