"""The usual tools: named-checkzone reads the appliance's zones, and dig its answers."""

import asyncio
import re
import shutil
import subprocess
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance.cli.render import command
from appliance.config import load
from appliance.dns.contents import zones_of
from appliance.model import NameServer
from appliance.share import share
from tests.clusters import reference_cluster
from tests.dns_cases import SERIAL, rich_cluster
from tests.dns_serving import serving

EXAMPLES = sorted(share("data").glob("*/cluster.yaml"))

needs_checkzone = pytest.mark.skipif(
    shutil.which("named-checkzone") is None, reason="named-checkzone is not installed (package bind9-utils)"
)
needs_dig = pytest.mark.skipif(shutil.which("dig") is None, reason="dig is not installed (package bind9-dnsutils)")

needs_nsupdate = pytest.mark.skipif(
    shutil.which("nsupdate") is None, reason="nsupdate is not installed (package bind9-dnsutils)"
)


def render(*arguments: str | Path) -> str:
    result = CliRunner().invoke(command, ["zone", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def check_zone(name: str, text: str, folder: Path) -> None:
    (folder / "zone").write_text(text)
    checked = subprocess.run(
        ["named-checkzone", "-i", "local", "-k", "fail", "-n", "fail", "-m", "fail", name, folder / "zone"],
        capture_output=True,
        text=True,
        check=False,
    )
    # It prints OK even after a warning, so there must be no other output.
    assert re.fullmatch(r"zone \S+: loaded serial \d+\nOK\n", checked.stdout), checked.stdout


@needs_checkzone
@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.parent.name)
def test_named_checkzone_accepts_every_zone_of_every_example(file: Path, tmp_path: Path) -> None:
    clusters = load([file])
    check_zone(clusters[0].dns.zone, render(file), tmp_path)
    for zone in zones_of(clusters):
        check_zone(zone.name, render(file, "--zone", zone.name), tmp_path)


@needs_checkzone
def test_named_checkzone_accepts_every_kind_of_record(tmp_path: Path) -> None:
    for zone in zones_of((rich_cluster(),)):
        check_zone(zone.name, zone.text(SERIAL), tmp_path)


@needs_checkzone
def test_named_checkzone_accepts_a_zone_that_delegates_another_of_ours(tmp_path: Path) -> None:
    below = reference_cluster(name="two", hosts=())
    server = NameServer("ns.two.example.localdomain", (IPv4Address("172.16.0.102"),))
    below = replace(below, dns=replace(below.dns, zone="two.example.localdomain", name_servers=(server,)))
    for zone in zones_of((reference_cluster(), below)):
        check_zone(zone.name, zone.text(SERIAL), tmp_path)


def test_unknown_zone_is_an_error_that_names_the_known_ones() -> None:
    result = CliRunner().invoke(command, ["zone", str(share("data") / "ocp45/cluster.yaml"), "--zone", "example.org"])
    assert result.exit_code == 2
    assert "zones of these files: example.localdomain, 0.16.172.in-addr.arpa" in result.output


async def dig(port: int, *arguments: str) -> list[str]:
    process = await asyncio.create_subprocess_exec(
        "dig", "@127.0.0.1", "-p", str(port), "+tries=1", "+time=5", *arguments, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return out.decode().splitlines()


@needs_dig
@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
async def test_dig_finds_every_node_in_both_directions(transport: str) -> None:
    async with serving(reference_cluster()) as served:
        for host in reference_cluster().hosts:
            assert await dig(served.port, transport, "+short", host.name) == [str(host.address)]
            assert await dig(served.port, transport, "+short", "-x", str(host.address)) == [f"{host.name}."]


@needs_dig
@pytest.mark.parametrize(
    ("name", "address"),
    [("api.ocp45", "172.16.0.111"), ("api-int.ocp45", "172.16.0.110"), ("console.apps.ocp45", "172.16.0.111")],
)
async def test_dig_finds_what_an_installation_needs(name: str, address: str) -> None:
    async with serving(reference_cluster()) as served:
        assert await dig(served.port, "+short", f"{name}.example.localdomain") == [address]


@needs_dig
async def test_dig_gets_no_zone_transfer() -> None:
    async with serving(reference_cluster()) as served:
        assert "; Transfer failed." in await dig(served.port, "example.localdomain", "AXFR")


@needs_dig
async def test_dig_sends_several_questions_over_one_connection() -> None:
    async with serving(reference_cluster()) as served:
        names = [host.name for host in reference_cluster().hosts]
        found = await dig(served.port, "+tcp", "+keepopen", "+short", *names)
        assert found == [str(host.address) for host in reference_cluster().hosts]


@needs_dig
async def test_dig_is_told_that_its_key_is_unknown() -> None:
    async with serving(reference_cluster()) as served:
        said = "\n".join(await dig(served.port, "-y", "update:c2VjcmV0", "m1.ocp45.example.localdomain"))
    assert "status: NOTAUTH" in said
    assert "BADKEY" in said


@needs_nsupdate
@pytest.mark.parametrize("key", [(), ("-y", "update:c2VjcmV0")], ids=["unsigned", "signed"])
async def test_nsupdate_is_told_that_updates_are_not_implemented(key: tuple[str, ...]) -> None:
    async with serving(reference_cluster()) as served:
        process = await asyncio.create_subprocess_exec(
            *("nsupdate", *key), stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        commands = (
            f"server 127.0.0.1 {served.port}\nzone example.localdomain\n"
            "update add _acme-challenge.apps.ocp45.example.localdomain. 60 TXT x\nsend\n"
        )
        _, said = await process.communicate(commands.encode())
    assert b"NOTIMP" in said
