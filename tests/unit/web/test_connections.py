"""How many connections the web server accepts."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(("soft", "hard", "bound"), [(256, 1024, 170), (1024, 4096, 682), (600, 600, 100)])
def test_connections_are_bounded_by_the_descriptors_that_can_be_had(soft: int, hard: int, bound: int) -> None:
    program = (
        f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}));"
        "from appliance.web.connections import connection_bound; print(connection_bound())"
    )
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert int(told.stdout) == bound
