"""SOA serials rise with every change, by the arithmetic of RFC 1982."""

from appliance.state.serials import is_higher, serial_after, serials
from tests.clusters import reference_cluster


def test_serial_goes_round_past_its_last():
    after = serial_after("b", ("a", 2**32 - 1), 0, 0.0)
    assert is_higher(after, 2**32 - 1)
    assert after != 0


def test_new_zone_starts_at_the_time():
    assert serial_after("a", None, 0, 1_700_000_000.5) == 1_700_000_000


def test_lower_least_serial_does_not_lower_a_serial():
    assert serial_after("b", ("a", 2_100_000_000), 2_000_000_000, 0.0) == 2_100_000_001


def test_each_zone_has_its_cluster_least_serial():
    asked = []
    serial_of = serials(lambda zone, digest, least: asked.append((zone, digest, least)) or 1, [reference_cluster()])
    assert serial_of("example.localdomain", "a") == 1
    assert serial_of("0.16.172.in-addr.arpa", "a") == 1
    assert asked == [("example.localdomain", "a", 2000091802), ("0.16.172.in-addr.arpa", "a", 2000091802)]
