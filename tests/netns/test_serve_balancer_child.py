"""HAProxy as a child of `serve`, where no service manager runs it: it begins and ends with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.balancer_life import Lab, lab
from tests.haproxy import MISSING

pytestmark = [pytest.mark.netns, pytest.mark.skipif(bool(MISSING), reason=MISSING)]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Lab]:
    with lab(tmp_path) as made:
        yield made
