"""With which certificates the API servers' are verified, and when no longer (pure).

A cluster may replace its authority: by itself after eight years, or at any time when its
administrator says so. Who still insists on the old one then takes the whole API out. So
verification tells a stranger's machine from a master while a cluster is installed, and gives
way once the cluster runs and no master passes it.
"""

import ssl

from appliance.balancer.reports import NOT_TRUSTED, OTHER_NAME, Reports
from appliance.model import FrontEnd
from appliance.openshift.ignition import IgnitionFacts, misfit
from appliance.openshift.x509 import certificates, validities


def api_authorities(facts: IgnitionFacts, domain: str) -> bytes:
    """Return the authorities in bootstrap.ign, with *facts*, that sign the API servers' certificates.

    In PEM, and b"" if it has none or belongs to another cluster than *domain*. No other
    Ignition file has them: the one that a pointer file trusts signs the machine config server's.
    """
    return b"" if misfit(facts, domain) else b"".join(certificates(facts.api_authorities))


def valid(pem: bytes, now: float) -> bytes:
    """Return those certificates of *pem* that are valid at *now*, in seconds UTC; b"" if one cannot be read."""
    try:
        return b"".join(each for each in certificates(pem) if _is_valid(each, now))
    except (ValueError, ssl.SSLError):
        return b""


def is_refuted(front_end: FrontEnd, reports: Reports) -> bool:
    """Return whether verification leaves *front_end* without a member: none works, and one fails it."""
    found = [report for member in front_end.members if (report := reports.get((front_end.name, member.host)))]
    return not any(report.is_up for report in found) and any(
        report.check.startswith((NOT_TRUSTED, OTHER_NAME)) for report in found
    )


def _is_valid(certificate: bytes, now: float) -> bool:
    # The whole of it, as HAProxy reads it, which would refuse the configuration because of a damaged one.
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=certificate.decode("ascii"))
    return all(dates.not_before <= now < dates.not_after for dates in validities(certificate))
