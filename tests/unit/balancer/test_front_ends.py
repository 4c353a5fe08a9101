"""The front ends that follow from a cluster.yaml."""

from appliance.balancer.compile import front_ends
from appliance.config import load
from tests.simulate_segment import REFERENCE


def test_machine_config_is_only_on_the_inner_address_and_for_nodes() -> None:
    (cluster,) = load([REFERENCE])
    machine_config = next(each for each in front_ends(cluster) if each.port == 22623)
    assert [str(bind) for bind in machine_config.binds] == ["172.16.0.110:22623"]
    assert [str(network) for network in machine_config.allowed] == ["172.16.0.0/24"]
