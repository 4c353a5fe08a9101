"""data/ocp45/cluster.yaml equals the same cluster in Python."""

from dataclasses import replace
from pathlib import Path

from appliance import config
from appliance.share import share
from tests.clusters import reference_cluster


def test_reference_file_gives_the_reference_cluster() -> None:
    (cluster,) = config.load([share("data") / "ocp45" / "cluster.yaml"])

    assert replace(cluster, source=Path("data/ocp45/cluster.yaml"), digest="0" * 64) == reference_cluster()
