"""The certificate of a simulated cluster, as a client that verifies it and the appliance itself take it."""

import base64
import json
import ssl
import stat
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from appliance.config import load
from appliance.errors import SimulationError
from appliance.openshift.ignition import inspect
from appliance.simulate.certificate import make_certificate
from appliance.simulate.standins import TLS_FILE, make_standins
from tests.balancer_nodes import server_context

REFERENCE = Path(__file__).parents[3] / "data" / "ocp45" / "cluster.yaml"
NAME = "api-int.ocp45.example.localdomain"
BUNDLE = "/opt/openshift/tls/kube-apiserver-complete-server-ca-bundle.crt"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """The stand-ins of the reference cluster."""
    (cluster,) = load([REFERENCE], tmp_path)
    make_standins(cluster, tmp_path, seed=0)
    return tmp_path


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext) -> None:
    """Complete a handshake in memory. Raises SSLCertVerificationError."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=NAME)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for side in (ours, theirs, ours, theirs):
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    assert ours.version() is not None


def test_a_client_verifies_the_servers_by_the_ca_in_bootstrap_ign(data_dir: Path) -> None:
    files = json.loads((data_dir / "ignition" / "bootstrap.ign").read_text())["storage"]["files"]
    (source,) = [file["contents"]["source"] for file in files if file["path"] == BUNDLE]
    ca = base64.b64decode(source.partition("base64,")[2]).decode()
    shake_hands(ssl.create_default_context(cadata=ca), server_context(data_dir / TLS_FILE))


def test_the_ca_of_one_cluster_does_not_verify_the_servers_of_another(data_dir: Path) -> None:
    client = ssl.create_default_context(cadata=make_certificate([NAME]))
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(client, server_context(data_dir / TLS_FILE))


def test_the_certificate_has_every_name(tmp_path: Path) -> None:
    (tmp_path / "tls.pem").write_text(make_certificate([NAME, "api.example.com"]))
    command = ["openssl", "x509", "-noout", "-ext", "subjectAltName", "-in", str(tmp_path / "tls.pem")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.split("\n")[1].split() == [f"DNS:{NAME},", "DNS:api.example.com"]


def test_bootstrap_ign_expires_within_a_day(data_dir: Path) -> None:
    facts = inspect((data_dir / "ignition" / "bootstrap.ign").read_bytes())
    assert facts.expires_at is not None
    assert 23 * 3600 < facts.expires_at - time.time() <= 24 * 3600


def test_only_its_owner_may_read_the_key(data_dir: Path) -> None:
    assert stat.S_IMODE((data_dir / TLS_FILE).stat().st_mode) == 0o600


def test_without_openssl_there_are_stand_ins_without_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    (cluster,) = load([REFERENCE], tmp_path)
    make_standins(cluster, tmp_path, seed=0)
    assert not (tmp_path / TLS_FILE).exists()
    assert inspect((tmp_path / "ignition" / "bootstrap.ign").read_bytes()).expires_at is None


def test_a_name_that_is_none_is_an_error_of_the_simulation() -> None:
    with pytest.raises(SimulationError, match="openssl could not make a certificate"):
        make_certificate(["a,nonsense"])
