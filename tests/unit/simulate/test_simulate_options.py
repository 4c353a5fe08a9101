"""Options of `ocp-appliance simulate` that exclude each other."""

import pytest
from click.testing import CliRunner

from appliance.cli.simulate import command
from appliance.share import share

AGENT = str(share("data") / "agent" / "cluster.yaml")


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--arch", "bios", "--secure-boot"], "--secure-boot needs UEFI firmware, which --arch bios is not"),
        (["--arch", "bios", "--ipv6"], "--ipv6 needs UEFI firmware: a BIOS boots by IPv4 only"),
        (["--via", "192.0.2.1", "--ipv6"], "--ipv6 cannot be combined with --via, which is a relay of DHCPv4"),
        (["--server", "192.0.2.1", "--ipv6"], "--server 192.0.2.1 is an IPv4 address, and the machine boots by IPv6"),
        (["--server", "2001:db8::1"], "--server 2001:db8::1 is an IPv6 address, and the machine boots by IPv4"),
        (["--server", "appliance"], "'appliance' is not an IP address"),
    ],
)
def test_options_that_exclude_each_other_are_refused(options: list[str], why: str) -> None:
    done = CliRunner().invoke(command, ["m1", *options])
    assert done.exit_code == 2
    assert why in done.output


def test_machine_that_boots_nothing_is_not_switched_on() -> None:
    done = CliRunner().invoke(command, ["balancer", "--config", AGENT, "--interface", "lo"])
    assert done.exit_code == 2
    assert "balancer.prod.example.com has the role other, and boots nothing from the appliance" in done.output
