"""Among invented machines, a true one that asks four times is seen."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.allowance import SAMPLE_RANKS, STRANGER_EVENTS_AT_ONCE, STRANGER_EVENTS_PER_SECOND, Sample
from appliance.events import DhcpUnknown, Program
from appliance.install.strangers import MAX_STRANGERS, Strangers

TRUE_MAC = "52:54:00:00:00:01"
ASKS_AT = (0.0, 4.0, 12.0, 28.0)  # firmware's DISCOVERs
FLOODED_BEFORE, FLOODED_AFTER = 60, 60  # seconds from its first request


def flooded(a_second: int, repeats: int, seed: int) -> tuple[Strangers, int]:
    """Return the unknown machines after a flood in which a true one asked, and how many events there were."""
    sample, strangers = Sample(), Strangers()
    chance = random.Random(seed)
    asks = [(at, TRUE_MAC) for at in ASKS_AT]
    for number in range((FLOODED_BEFORE + FLOODED_AFTER) * a_second // repeats):
        begun = -FLOODED_BEFORE + number * repeats / a_second
        asks += [(begun + chance.uniform(0, 30), f"02:00:{number:08x}") for _ in range(repeats)]
    published = 0
    for at, mac in sorted(asks):
        if at <= FLOODED_AFTER and sample.take(1000 + at, mac):
            published += 1
            strangers.see(DhcpUnknown("", mac, Program.PXE), 1000 + at)
    return strangers, published


@settings(max_examples=10)
@given(a_second=st.sampled_from([25, 50, 100]), repeats=st.integers(1, SAMPLE_RANKS - 1), seed=st.integers(0, 2**16))
def test_true_machine_that_asks_four_times_is_seen_through_a_flood(a_second: int, repeats: int, seed: int) -> None:
    strangers, published = flooded(a_second, repeats, seed)
    assert TRUE_MAC in [stranger.mac for stranger in strangers.latest()]
    assert len(strangers) <= MAX_STRANGERS
    assert published <= STRANGER_EVENTS_AT_ONCE + STRANGER_EVENTS_PER_SECOND * (FLOODED_BEFORE + FLOODED_AFTER)
