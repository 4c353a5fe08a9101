"""The dates of certificates equal those that the cryptography package reads."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from appliance.openshift.x509 import validities, validity

KEY = ec.generate_private_key(ec.SECP256R1())
NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root-ca.example")])


def certificate(not_before: datetime, not_after: datetime, serial: int = 1) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .subject_name(NAME)
        .issuer_name(NAME)
        .public_key(KEY.public_key())
        .serial_number(serial)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .sign(KEY, hashes.SHA256())
    )


def der(cert: x509.Certificate) -> bytes:
    return cert.public_bytes(serialization.Encoding.DER)


def pem(cert: x509.Certificate) -> bytes:
    return cert.public_bytes(serialization.Encoding.PEM)


WHOLE = der(certificate(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)))
# Both forms of dates: years have two digits until 2049, and four from 2050 on (RFC 5280 section 4.1.2.5).
DATES = st.integers(-631152000, 7258118400).map(
    lambda seconds: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
)


@given(DATES, st.integers(1, 3650 * 86400), st.integers(1, 2**159 - 1))
def test_dates_are_those_that_cryptography_reads(not_before, seconds, serial):
    cert = certificate(not_before, not_before + timedelta(seconds=seconds), serial)
    found = validity(der(cert))
    assert found.not_before == cert.not_valid_before_utc.timestamp()
    assert found.not_after == cert.not_valid_after_utc.timestamp()


def test_bundle_gives_every_certificate():
    start = datetime(2024, 5, 1, tzinfo=UTC)
    bundle = [certificate(start, start + timedelta(days=days)) for days in (1, 365, 3650)]
    text = b"a comment\n" + b"".join(map(pem, bundle))
    assert [cert.not_after for cert in validities(text)] == [cert.not_valid_after_utc.timestamp() for cert in bundle]


def test_text_without_certificates_gives_none():
    assert validities(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n") == ()


@given(st.binary(max_size=200))
def test_bytes_that_are_no_certificate_are_refused(data):
    with pytest.raises(ValueError, match="certificate"):
        validity(data)


@given(st.data())
def test_damaged_certificate_is_refused_or_read(data):
    at = data.draw(st.integers(0, len(WHOLE) - 1))
    damaged = WHOLE[:at] + bytes([data.draw(st.integers(0, 255))]) + WHOLE[at + 1 :]
    try:
        validity(damaged[: data.draw(st.integers(0, len(damaged)))])
    except ValueError:
        return


@pytest.mark.timeout(10)  # it takes milliseconds; with time that grows quadratically, a day
def test_blanks_without_an_end_are_read_in_linear_time() -> None:
    assert validities(b"-----BEGIN CERTIFICATE-----" + b" " * 1_000_000) == ()
