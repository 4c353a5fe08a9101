"""GRUB's script for a client of the TFTP server: what goes out, and what its request alone does."""

from collections import Counter
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

from appliance.boot.grub import GrubScript
from appliance.events import ClientUnproven, Event, FileUnservable, WebKind
from appliance.install.installation import Installation, Order
from appliance.model import Address
from appliance.web.compile import compile_web
from appliance.web.exchange import ExchangeContext
from appliance.web.finder import Finder
from appliance.web.gate import Gate
from appliance.web.overtftp import ScriptsOverTftp
from appliance.web.server import already_written
from appliance.web.waits import Polls
from tests.clusters import reference_cluster

M1, NAME = "172.16.0.21", "m1.ocp45.example.localdomain"
READY = Installation(NAME, token="0123456789abcdef")
OTHER_MAC = b"\2\0\0\0\0\1"


class Asked:
    """Requests of a cluster whose files are all missing."""

    def __init__(self, record: Installation) -> None:
        table = compile_web((reference_cluster(Path("/nowhere")),))
        self.mac = min(table.hosts[ip_address(M1)].macs)
        self.events: list[Event] = []
        self.polls = Polls()
        installations = {NAME: record}
        context = ExchangeContext(self.events.append, Counter(), already_written, installations)

        async def no_ignition(*_: object) -> str:
            return "not found"

        gate = Gate(lambda _path, _identity: None, no_ignition, lambda: 0.0)
        finder = Finder(lambda: table, installations, self._mac_of, gate)
        self._scripts = ScriptsOverTftp(lambda: table, installations, lambda: 0.0, finder, context, self.polls)

    def _mac_of(self, _address: Address) -> bytes | None:
        return self.mac

    async def script(self) -> GrubScript | None:
        return await self._scripts.script_of(M1)


async def test_request_alone_tells_nothing_and_the_script_that_arrived_does() -> None:
    """Whether a file is missing moves the record of a host that writes its disk."""
    asked = Asked(READY)
    script = await asked.script()
    assert script is not None
    assert (script.kind, script.is_quiet, asked.events) == (WebKind.LACKING, False, [])
    script.arrived()
    assert [type(event) for event in asked.events] == [FileUnservable]


async def test_request_that_got_no_answer_does_not_make_the_next_a_repeat() -> None:
    asked = Asked(replace(READY, order=Order.HOLD))
    forged, own = await asked.script(), await asked.script()
    assert forged is not None
    assert own is not None
    assert not own.is_quiet
    own.arrived()
    later = await asked.script()
    assert later is not None
    assert later.is_quiet


async def test_missing_dhcp_is_told_once_the_script_that_says_so_has_arrived() -> None:
    asked = Asked(replace(READY, has_dhcp=False))
    script = await asked.script()
    assert script is not None
    assert asked.events == []
    script.arrived()
    assert [type(event) for event in asked.events] == [ClientUnproven]


async def test_machine_that_took_the_host_s_address_gets_no_token_and_is_told_of() -> None:
    asked = Asked(READY)
    asked.mac = OTHER_MAC
    assert await asked.script() is None
    assert [type(event) for event in asked.events] == [ClientUnproven]


async def test_what_another_machine_is_told_is_no_news_that_the_host_has() -> None:
    asked = Asked(replace(READY, order=Order.HOLD))
    own_mac, asked.mac = asked.mac, OTHER_MAC
    script = await asked.script()
    assert script is not None
    script.arrived()
    asked.mac = own_mac
    own = await asked.script()
    assert own is not None
    assert not own.is_quiet
