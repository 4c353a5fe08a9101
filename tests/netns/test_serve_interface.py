"""An interface that disappears while the appliance is running, and comes back."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.simulate.namespace import ip
from tests.serve_lab import REFERENCE_TEXT, Site, site

pytestmark = pytest.mark.netns


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as made:
        yield made


def away_and_back(here: Site) -> None:
    """Remove the interface of the node network, and add it again with the same address and another index."""
    ip(
        "link del br0",
        "link add br0 address 02:00:ac:10:00:65 type bridge stp_state 0 forward_delay 0",
        "link set br0 up",
        "addr add 172.16.0.101/24 dev br0",
        place=here.place,
    )


@pytest.mark.parametrize("listen", ["", "listen: {dhcp: [br0]}\n"], ids=["everywhere", "named"])
def test_machines_install_after_the_interface_was_away(here: Site, listen: str) -> None:
    here.config.write_text(REFERENCE_TEXT + listen)
    with here.serve() as appliance:
        away_and_back(here)
        if listen:
            appliance.said("dhcp.interface name=br0")
        done = here.simulate("m1")
        assert re.search(r"m1\.ocp45\.example\.localdomain: installed", done.stdout), done.stdout + appliance.text
