"""The master files of the reference cluster stay as they were reviewed."""

from pathlib import Path

import pytest

from appliance.dns.contents import zones_of
from tests.clusters import reference_cluster
from tests.dns_cases import SERIAL, rich_cluster

FOLDER = Path(__file__).parent / "dns"
CASES = {
    f"{prefix}{zone.name.replace('/', '-')}.zone": zone
    for prefix, cluster in (("", reference_cluster()), ("rich-", rich_cluster()))
    for zone in zones_of((cluster,))
}


@pytest.mark.parametrize("name", CASES)
def test_zone_is_as_it_was(name: str) -> None:
    assert CASES[name].text(SERIAL) == (FOLDER / name).read_text()
