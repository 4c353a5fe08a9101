"""Facts in Ignition files of both specifications, and every kind of bad file."""

import base64
import gzip
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from appliance.openshift.ignition import inspect, misfit, misplaced, remedy

KEY = ec.generate_private_key(ec.SECP256R1())
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root-ca.example")])
MADE_AT = datetime(2024, 5, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
API_INT = "api-int.ocp45.example.localdomain"


def certificate(life: timedelta, made_at: datetime = MADE_AT) -> bytes:
    signed = (
        x509.CertificateBuilder()
        .subject_name(NAME)
        .issuer_name(NAME)
        .public_key(KEY.public_key())
        .serial_number(1)
        .not_valid_before(made_at)
        .not_valid_after(made_at + life)
        .sign(KEY, hashes.SHA256())
    )
    return signed.public_bytes(serialization.Encoding.PEM)


def base64_url(content: bytes) -> str:
    return "data:text/plain;charset=utf-8;base64," + base64.b64encode(content).decode()


def file(path: str, content: bytes, *, is_packed: bool = False, is_plain: bool = False) -> dict:
    if is_packed:
        return {"path": path, "contents": {"source": base64_url(gzip.compress(content)), "compression": "gzip"}}
    return {"path": path, "contents": {"source": "data:," + quote(content) if is_plain else base64_url(content)}}


def bootstrap(*files: dict, version: str = "3.2.0") -> bytes:
    return json.dumps({"ignition": {"version": version}, "storage": {"files": list(files)}}).encode()


def pointer(version: str = "3.2.0", word: str = "merge", host: str = API_INT, **more) -> bytes:
    authority = {"source": base64_url(certificate(3650 * DAY))}
    ignition = {
        "version": version,
        "config": {word: [{"source": f"https://{host}:22623/config/master"}]},
        "security": {"tls": {"certificateAuthorities": [authority]}},
    }
    return json.dumps({"ignition": ignition, **more}).encode()


@pytest.mark.parametrize(("version", "word"), [("2.2.0", "append"), ("3.1.0", "merge"), ("3.2.0", "merge")])
def test_pointer_names_its_cluster(version, word):
    facts = inspect(pointer(version, word))
    assert (facts.version, facts.api_int, facts.problems) == (version, API_INT, ())


def test_pointer_lives_as_long_as_its_root_certificate():
    assert inspect(pointer()).expires_at == (MADE_AT + 3650 * DAY).timestamp()


@pytest.mark.parametrize("version", ["2.2.0", "3.2.0"])
@pytest.mark.parametrize("form", [{}, {"is_packed": True}, {"is_plain": True}], ids=["base64", "gzip", "percent"])
def test_bootstrap_dies_with_its_first_certificate(version, form):
    facts = inspect(
        bootstrap(
            file("/opt/openshift/tls/root-ca.crt", certificate(3650 * DAY), **form),
            file("/opt/openshift/tls/kubelet-signer.crt", certificate(DAY), **form),
            file("/opt/openshift/tls/admin-kubeconfig-client.crt", certificate(365 * DAY), **form),
            version=version,
        )
    )
    assert facts.expires_at == (MADE_AT + DAY).timestamp()
    assert facts.problems == ()


def test_every_certificate_of_a_bundle_counts():
    bundle = certificate(3650 * DAY) + certificate(DAY)
    assert inspect(bootstrap(file("/opt/openshift/tls/bundle.crt", bundle))).expires_at == (MADE_AT + DAY).timestamp()


def test_keys_are_no_certificates():
    assert inspect(bootstrap(file("/opt/openshift/tls/root-ca.key", b"not looked at"))).expires_at is None


@pytest.mark.parametrize(
    "path", ["/etc/pki/ca-trust/source/anchors/ca.crt", "/etc/ssl/ca.crt", "/usr/local/share/own.crt"]
)
def test_operators_own_certificate_does_not_count(path):
    facts = inspect(bootstrap(file(path, certificate(DAY))))
    assert (facts.expires_at, facts.problems) == (None, ())


def test_operators_own_certificate_is_not_judged():
    facts = inspect(
        bootstrap(file("/etc/ssl/own.crt", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
    )
    assert facts.problems == ()


def with_authorities(*bundles: bytes) -> bytes:
    document = json.loads(pointer())
    authorities = [{"source": base64_url(bundle)} for bundle in bundles]
    document["ignition"]["security"]["tls"]["certificateAuthorities"] = authorities
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "bundles",
    [(DAY, 3650 * DAY), (3650 * DAY, DAY)],
    ids=["own first", "own last"],
)
@pytest.mark.parametrize("is_one_bundle", [True, False])
def test_pointer_lives_as_long_as_one_authority_that_may_be_the_machine_config_servers(bundles, is_one_bundle):
    certificates = [certificate(life) for life in bundles]
    data = with_authorities(b"".join(certificates)) if is_one_bundle else with_authorities(*certificates)
    assert inspect(data).expires_at == (MADE_AT + 3650 * DAY).timestamp()


def test_authority_of_a_bootstrap_that_the_operator_added_does_not_count():
    document = json.loads(bootstrap(file("/opt/openshift/tls/kubelet-signer.crt", certificate(DAY))))
    document["ignition"]["security"] = {
        "tls": {"certificateAuthorities": [{"source": base64_url(certificate(DAY / 2))}]}
    }
    assert inspect(json.dumps(document).encode()).expires_at == (MADE_AT + DAY).timestamp()


def test_authority_of_a_file_that_points_nowhere_does_not_count():
    document = json.loads(with_authorities(certificate(DAY)))
    del document["ignition"]["config"]
    assert inspect(json.dumps(document).encode()).expires_at is None


def test_bootstrap_names_its_cluster_by_what_its_files_say_most():
    kubeconfig = f"server: https://{API_INT}:6443\n".encode()
    facts = inspect(
        bootstrap(
            file("/opt/openshift/README", b"see https://api-int.example.com:6443"),
            file("/opt/openshift/auth/kubeconfig-kubelet", kubeconfig),
            file("/opt/openshift/auth/kubeconfig-loopback", kubeconfig, is_packed=True),
        )
    )
    assert facts.api_int == API_INT


@pytest.mark.parametrize(
    ("domain", "fits"), [("ocp45.example.localdomain", True), ("ocp46.example.localdomain", False)]
)
def test_file_of_another_cluster_is_reported(domain, fits):
    assert (misfit(inspect(pointer()), domain) is None) == fits


def test_file_that_names_no_cluster_fits_any():
    assert misfit(inspect(bootstrap()), "ocp45.example.localdomain") is None


BAD = {
    "empty": (b"", "is empty"),
    "blank": (b" \n", "is empty"),
    "cut": (pointer()[:100], "is not JSON: line 1"),
    "html": (b"<html>404</html>", "is not JSON: line 1, column 1"),
    "binary": (b"\x1f\x8b\x08\x00\xff", "is not UTF-8: byte 1 is 0x8b"),
    "mark": (b"\xef\xbb\xbf{}", "byte order mark"),
    "list": (b"[]", "a JSON list, expected an object"),
    "deep": (b"[" * 100_000, "is not JSON"),
    "number": (b'{"a": ' + b"1" * 5000 + b"}", "is not JSON"),
    "no version": (b"{}", "ignition.version is missing"),
    "version": (pointer("1.0.0"), "ignition.version is '1.0.0'"),
    "version type": (b'{"ignition": {"version": [[[]]]}}', "ignition.version is not a string"),
    "key": (pointer(passwd={"users": [{"sshAuthorizedKeys": ["<your ssh key>"]}]}), "'<your ssh key>'"),
    "template": (pointer(host="api-int.{{ cluster }}.example.com"), "'{{ cluster }}'"),
    "shell": (pointer(host="api-int.${CLUSTER}.example.com"), "'${CLUSTER}'"),
    "no base64": (
        bootstrap({"path": "/a.crt", "contents": {"source": "data:;base64,$$$"}}),
        "/a.crt: its data URL is not valid base64",
    ),
    "no comma": (bootstrap({"path": "/a.crt", "contents": {"source": "data:"}}), "/a.crt: its data URL has no comma"),
    "no gzip": (
        bootstrap({"path": "/a.crt", "contents": {"source": "data:,abc", "compression": "gzip"}}),
        "/a.crt: its contents are not gzip",
    ),
    "cut gzip": (
        bootstrap(
            {
                "path": "/a.crt",
                "contents": {"source": base64_url(gzip.compress(b"x" * 99)[:-9]), "compression": "gzip"},
            }
        ),
        "/a.crt: its gzip data is truncated",
    ),
    "bomb": (bootstrap(file("/a.crt", bytes(80 << 20), is_packed=True)), "/a.crt: its contents are larger than"),
    "bad certificate": (
        bootstrap(file("/opt/openshift/a.crt", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")),
        "/opt/openshift/a.crt: not a certificate",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_file_is_reported_in_words(name):
    data, said = BAD[name]
    assert any(said in problem for problem in inspect(data).problems)


def test_shell_and_templates_inside_files_and_units_are_no_placeholders():
    unit = {"name": "bootkube.service", "contents": "ExecStart=/bin/sh -c 'echo ${HOME} {{.Names}} <none>'"}
    document = json.loads(bootstrap(file("/usr/local/bin/bootkube.sh", b"podman ps --format '{{.ID}}'", is_plain=True)))
    document["systemd"] = {"units": [unit]}
    assert inspect(json.dumps(document).encode()).problems == ()


def test_problems_can_be_printed():
    (problem,) = inspect(bootstrap({"path": "/\ud800", "contents": {"source": "data:"}})).problems
    assert problem.encode() == rb"/\ud800: its data URL has no comma"


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda node: st.lists(node) | st.dictionaries(st.text(), node),
    max_leaves=6,
)


@given(st.binary())
def test_any_bytes_give_facts(data):
    assert inspect(data).problems


@given(st.fixed_dictionaries({"ignition": JSON, "storage": JSON, "passwd": JSON}))
def test_any_json_gives_facts(document):
    inspect(json.dumps(document).encode())


CONTENTS = JSON | st.fixed_dictionaries(
    {"source": st.text().map("data:".__add__), "compression": st.just("gzip") | JSON}
)


@given(st.lists(st.fixed_dictionaries({"path": st.text(), "contents": CONTENTS}), max_size=3))
def test_any_files_give_facts(files):
    inspect(bootstrap(*files))


def in_place(*files: str) -> bytes:
    """Return an Ignition file with the installer's assets and *files*."""
    entries = [{"path": path, "contents": {"source": "data:,x"}} for path in ("/opt/openshift/tls/a.key", *files)]
    return json.dumps({"ignition": {"version": "3.2.0"}, "storage": {"files": entries}}).encode()


@pytest.mark.parametrize(
    ("files", "name", "why"),
    [
        (["/usr/local/bin/install-to-disk.sh"], "bootstrap-in-place-for-live-iso.ign", None),
        (
            ["/usr/local/bin/install-to-disk.sh"],
            "bootstrap.ign",
            "is a bootstrap-in-place-for-live-iso.ign: it writes the disk of the machine",
        ),
        (
            [],
            "bootstrap-in-place-for-live-iso.ign",
            "is a bootstrap.ign: it contains the installer's assets",
        ),
        ([], "bootstrap.ign", None),
    ],
)
def test_file_of_a_single_node_is_told_from_that_of_a_bootstrap_machine(
    files: list[str], name: str, why: str | None
) -> None:
    assert misplaced(inspect(in_place(*files)), name) == why


def test_remedy_names_the_command_that_makes_the_file() -> None:
    assert "`openshift-install create single-node-ignition-config`" in remedy("bootstrap-in-place-for-live-iso.ign")
    assert "`openshift-install create ignition-configs`" in remedy("worker.ign")
