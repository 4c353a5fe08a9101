"""`ocp-appliance render script` and `render menu`: what an operator reads before the first power-on."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance.cli.render import command
from appliance.share import share

REFERENCE = str(share("data") / "ocp45" / "cluster.yaml")
GOLDEN = Path(__file__).parents[2] / "golden" / "ipxe"


@pytest.mark.parametrize("host", ["m1", "M1", "m1.ocp45.example.localdomain", "m1.ocp45.example.localdomain."])
def test_script_is_what_the_host_is_served(host: str) -> None:
    result = CliRunner().invoke(command, ["script", REFERENCE, host])
    assert result.output == (GOLDEN / "legacy-master.ipxe").read_text()


@pytest.mark.parametrize(("arguments", "golden"), [((), "menu-unknown"), (("m1",), "menu-master")])
def test_menu_is_what_the_machine_is_served(arguments: tuple[str, ...], golden: str) -> None:
    result = CliRunner().invoke(command, ["menu", REFERENCE, *arguments])
    assert result.output == (GOLDEN / f"{golden}.ipxe").read_text()


def test_unknown_host_is_an_error_that_lists_the_known_ones() -> None:
    result = CliRunner().invoke(command, ["script", REFERENCE, "m9"])
    assert result.exit_code == 2
    assert "hosts of this file: bs, m1, m2" in result.output


@pytest.mark.parametrize("what", ["script", "menu"])
def test_machine_that_boots_nothing_has_no_script(what: str) -> None:
    result = CliRunner().invoke(command, [what, str(share("data") / "agent" / "cluster.yaml"), "balancer"])
    assert result.exit_code == 2
    assert "boots nothing from here" in result.output
