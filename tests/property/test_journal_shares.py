"""What the journal gives up when it is full, and what everybody keeps."""

from hypothesis import given
from hypothesis import strategies as st

from appliance.state.shares import CUT_TO, surplus

COUNTS = st.dictionaries(st.tuples(st.text(max_size=2), st.text(max_size=2)), st.integers(0, 400), max_size=12)


@given(counts=COUNTS, most=st.integers(100, 1000))
def test_what_is_left_fits_and_nobody_gives_up_more_than_the_part_beyond_its_share(counts, most):
    given_up = surplus(counts, most)
    left = {owner: count - given_up.get(owner, 0) for owner, count in counts.items()}
    assert sum(left.values()) <= most or not counts
    fair = most // max(len(counts), 1)
    for owner, count in given_up.items():
        assert count > 0
        assert left[owner] >= int(fair * CUT_TO)
