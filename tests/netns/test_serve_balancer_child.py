"""HAProxy as a child of `serve`, where no service manager runs it: it begins and ends with it."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.balancer_life import INNER, Lab, lab, state_of
from tests.balancer_nodes import API, CONTROL_PLANE
from tests.haproxy import MISSING
from tests.serve_lab import Serving, until, with_host
from tests.simulate_segment import Segment

pytestmark = [pytest.mark.netns, pytest.mark.skipif(bool(MISSING), reason=MISSING)]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path) as made:
        yield made
