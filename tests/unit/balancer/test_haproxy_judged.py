"""The installed HAProxy accepts its configuration, without a warning."""

from pathlib import Path

import pytest

from appliance.balancer.compile import front_ends
from appliance.balancer.haproxy import NO_SERVER_STATE, Settings, configuration
from appliance.config import load
from appliance.share import share
from tests.haproxy import INSTALLED, MISSING, judgement, version_of

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)
EXAMPLES = sorted(path.parent.name for path in share("data").glob("*/cluster.yaml"))


@pytest.mark.parametrize("name", EXAMPLES)
def test_configuration_of_every_example_is_accepted(name: str, tmp_path: Path) -> None:
    (cluster,) = load([share("data") / name / "cluster.yaml"])
    (tmp_path / "servers").write_text(NO_SERVER_STATE)
    settings = Settings(
        version_of(INSTALLED), str(tmp_path / "stats.sock"), str(tmp_path / "log.sock"), str(tmp_path / "servers")
    )
    assert judgement(configuration(front_ends(cluster), {}, settings), tmp_path) == ""
