"""HAProxy itself accepts every front end that cluster.yaml can describe."""

from pathlib import Path

import pytest

from appliance.balancer.compile import all_front_ends
from appliance.balancer.haproxy import Settings, configuration
from tests.config_files import CLEAN, check_text, edited
from tests.haproxy import INSTALLED, MISSING, judgement, version_of

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)

# Every character that the path of a check may have, and every form of an address.
OWN = """\
loadBalancer:
  engine: haproxy
  frontends:
    - {name: x, port: 6385, roles: [bootstrap, master], check: https}
    - name: 0-name-of-63-characters-the-most-that-a-label-may-have-in-dns-0
      port: 65535
      addresses: [192.0.2.9, '2001:db8::9']
      hosts: [w1, w1.example.org]
      memberPort: 30500
      check: {type: http, path: "/v2/Az09._~/?&=%:@+,-%20", port: 30501}
      balance: source
      allow: [192.0.2.0/24, '2001:db8::/64', 198.51.100.7, '2001:db8:ff::7']
"""
NAMESAKE = (
    "  - hostname: w1.example.org\n    role: worker\n    macAddress: 52:54:00:00:00:99\n    address: 192.0.2.99\n"
)
TEXT = edited(
    ("apiVIPs: 192.0.2.8", "apiVIPs: [192.0.2.8, '2001:db8::8']"),
    ("ingressVIPs: 192.0.2.9", "ingressVIPs: [192.0.2.9, '2001:db8::9']"),
    ("  address: 192.0.2.5", "  address: 192.0.2.5\n  addressIPv6: 2001:db8::5"),
    ("      gateway: 192.0.2.1\n", "      gateway: 192.0.2.1\n    - cidr: 2001:db8::/64\n"),
    ("    address: 192.0.2.22\n", "    address: 2001:db8::22\n"),
    ("dns:\n", f"{NAMESAKE}{OWN}dhcp: {{routerAdvertisements: false}}\ndns:\n"),
)


def judged(tmp_path: Path, *texts: str) -> str:
    """Return what HAProxy says against the configuration of the clusters *texts*."""
    checked = [check_text(tmp_path, text) for text in texts]
    assert [each.errors for each in checked] == [()] * len(texts)
    found = all_front_ends([cluster for each in checked for cluster in each.clusters])
    return judgement(configuration(found, {}, Settings(version_of(INSTALLED))), tmp_path)


def test_haproxy_accepts_front_ends_with_every_key(tmp_path: Path) -> None:
    assert judged(tmp_path, TEXT) == ""


def test_haproxy_accepts_several_clusters(tmp_path: Path) -> None:
    other = CLEAN.replace("name: prod", "name: test").replace("192.0.2.", "203.0.113.")
    assert judged(tmp_path, TEXT, f"{other}loadBalancer: {{engine: haproxy}}\n") == ""
