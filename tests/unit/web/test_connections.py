"""How many connections the web server takes."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("soft", "hard", "bound"), [(1024, 65536, 4096), (256, 1024, 170), (65536, 65536, 4096), (1024, 24576, 4096)]
)
def test_connections_are_bounded_by_the_descriptors_that_can_be_had(soft: int, hard: int, bound: int) -> None:
    program = (
        f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}));"
        "from appliance.web.connections import connection_bound; print(connection_bound())"
    )
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert int(told.stdout) == bound
