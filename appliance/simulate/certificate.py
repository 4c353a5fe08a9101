"""The certificate of a simulated cluster, made by the program openssl: Python's ssl module cannot make one."""

import subprocess
from collections.abc import Sequence

from appliance.errors import SimulationError

OPENSSL = "openssl"


def make_certificate(names: Sequence[str]) -> str:
    """Return a new private key and, behind it, a certificate that it signs itself, both as PEM.

    The certificate is valid for a day and for the host *names*, and can also be used as
    the CA that verifies it. Raises SimulationError if openssl is not installed or fails.
    """
    command = [
        *(OPENSSL, "req", "-x509", "-days", "1", "-sha256", "-nodes"),
        *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
        *("-subj", "/CN=stand-in kube-apiserver-lb-signer"),
        *("-addext", f"subjectAltName={','.join(f'DNS:{name}' for name in names)}"),
        *("-keyout", "/dev/stdout", "-out", "/dev/stdout"),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no shell
    except FileNotFoundError as error:
        raise SimulationError(f"the program {OPENSSL} is not installed (package openssl)") from error
    if done.returncode:
        raise SimulationError(f"{OPENSSL} could not make a certificate: {done.stderr.strip()}")
    return done.stdout
