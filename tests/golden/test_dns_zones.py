"""The master files of the reference cluster and of the examples with IPv6 stay as they were reviewed."""

from pathlib import Path

import pytest

from appliance.config import load
from appliance.dns.contents import zones_of
from appliance.share import share
from tests.clusters import reference_cluster
from tests.dns_cases import SERIAL, rich_cluster

FOLDER = Path(__file__).parent / "dns"
CASES = {
    f"{prefix}{zone.name.replace('/', '-')}.zone": zone
    for prefix, cluster in (
        *(("", reference_cluster()), ("rich-", rich_cluster())),
        *((f"{name}-", load([share("data") / name / "cluster.yaml"])[0]) for name in ("dual-stack", "ipv6-only")),
    )
    for zone in zones_of((cluster,))
}


@pytest.mark.parametrize("name", CASES)
def test_zone_is_as_it_was(name: str) -> None:
    assert CASES[name].text(SERIAL) == (FOLDER / name).read_text()
