"""The certificates in a file, and when each is valid: a walk over the first fields of its DER, and no more of X.509.

The standard library reads a certificate's dates only from a live TLS
connection, and the cryptography package would be a compiled dependency for two
numbers. RFC 5280 section 4.1 puts both after the same few fields. The tests compare
the result with cryptography's.
"""

import binascii
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime

# Blanks are matched by the group alone: with \s+ before it, a file of blanks would take quadratic time.
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")

_INTEGER, _UTC_TIME, _GENERALIZED_TIME, _SEQUENCE, _VERSION = 0x02, 0x17, 0x18, 0x30, 0xA0


@dataclass(frozen=True, slots=True)
class Validity:
    """A certificate's two dates, in seconds since the epoch, UTC."""

    not_before: float
    not_after: float


def validities(pem: bytes) -> tuple[Validity, ...]:
    """Return the dates of every CERTIFICATE block in *pem*, in order.

    Raises ValueError if a block is not a certificate.
    """
    return tuple(validity(_der(match[1])) for match in _PEM.finditer(pem))


def certificates(pem: bytes) -> tuple[bytes, ...]:
    """Return every CERTIFICATE block in *pem*, in order, without what stands between them, such as keys."""
    return tuple(match[0] + b"\n" for match in _PEM.finditer(pem))


def fingerprints(pem: bytes) -> set[bytes]:
    """Return the sha256 of every CERTIFICATE block in *pem*, which is that of its DER encoding.

    Raises ValueError if a block is not valid base64.
    """
    return {hashlib.sha256(_der(match[1])).digest() for match in _PEM.finditer(pem)}


def validity(der: bytes) -> Validity:
    """Return the dates of one certificate (RFC 5280 section 4.1.2.5).

    Raises ValueError if *der* is not a certificate.
    """
    certificate, _ = _open(der, 0, _SEQUENCE)
    fields, _ = _open(certificate, 0, _SEQUENCE)
    at = 0
    if fields[:1] == bytes((_VERSION,)):  # absent from a version 1 certificate
        _, at = _open(fields, at, _VERSION)
    for tag in (_INTEGER, _SEQUENCE, _SEQUENCE):  # serial number, signature algorithm, issuer
        _, at = _open(fields, at, tag)
    dates, _ = _open(fields, at, _SEQUENCE)
    not_before, at = _time(dates, 0)
    not_after, _ = _time(dates, at)
    return Validity(not_before, not_after)


def _der(base64_text: bytes) -> bytes:
    try:
        return binascii.a2b_base64(base64_text)
    except binascii.Error as error:
        raise ValueError(f"a CERTIFICATE block is not valid base64: {error}") from error


def _open(data: bytes, at: int, tag: int) -> tuple[bytes, int]:
    """Return the contents of the element at offset *at*, and the offset after it (X.690 section 8.1)."""
    header = data[at : at + 2]
    if len(header) < 2 or header[0] != tag:
        raise ValueError("not a certificate")
    length, start = header[1], at + 2
    # The long form: the low bits are the number of bytes of the length. Four are enough for any file that is read here.
    if length >= 0x80:
        size = length & 0x7F
        if not 1 <= size <= 4:
            raise ValueError("not a certificate")
        length, start = int.from_bytes(data[start : start + size]), start + size
    if start + length > len(data):
        raise ValueError("a certificate is truncated")
    return data[start : start + length], start + length


def _time(data: bytes, at: int) -> tuple[float, int]:
    is_utc_time = data[at : at + 1] == bytes((_UTC_TIME,))
    raw, after = _open(data, at, _UTC_TIME if is_utc_time else _GENERALIZED_TIME)
    text = raw.decode("ascii", "replace")
    if is_utc_time:
        # Two-digit years from 50 to 99 are 1950 to 1999 (RFC 5280 section 4.1.2.5.1).
        text = ("19" if text[:2] >= "50" else "20") + text
    if not re.fullmatch(r"\d{14}Z", text, re.ASCII):
        raise ValueError(f"a certificate has the invalid date {text!r}")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp(), after
