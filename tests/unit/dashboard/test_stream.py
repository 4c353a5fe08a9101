"""The messages to a browser, parsed as server-sent events, from a registry that gets real events."""

import asyncio
import json
from contextlib import aclosing
from dataclasses import replace

import pytest

from appliance.dashboard import stream as streams
from appliance.dashboard.stream import Stream
from appliance.events import BalancerTrouble, DhcpUnknown, MemberFails, Program, Reloaded, WebKind, WebRefused
from tests.balancers import API, Heard
from tests.boots import LIVE, MB, Fleet

WAITED_SECONDS = 10.0  # much longer than any message takes


class Browser:
    """A reader of a stream."""

    def __init__(self, stream: Stream) -> None:
        self.messages = stream.messages()

    async def next(self, kind: str):
        """Return the data of the next message of this kind."""
        async with asyncio.timeout(WAITED_SECONDS):
            async for message in self.messages:
                name, data = message.decode().removesuffix("\n\n").split("\n")
                if name == f"event: {kind}":
                    return json.loads(data.removeprefix("data: "))
        raise AssertionError("the stream ended")

    async def row(self, host: str):
        """Return the next row of *host*."""
        async with asyncio.timeout(WAITED_SECONDS):
            while True:
                for row in await self.next("hosts"):
                    if row["host"] == host:
                        return row


@pytest.fixture
def fleet(tmp_path):
    fleet = Fleet(tmp_path, LIVE)
    yield fleet
    fleet.journal.close()


@pytest.fixture
async def stream(fleet, monkeypatch):
    # The tests are about the order of messages, not how long they are held back to be sent together.
    monkeypatch.setattr(streams, "BEAT_SECONDS", 0.0)
    monkeypatch.setattr(streams, "REST_GAP_SECONDS", 0.0)
    return Stream(fleet.registry, fleet.bus)


@pytest.fixture
async def browser(stream):
    browser = Browser(stream)
    async with aclosing(browser.messages):
        yield browser


async def test_the_first_message_is_the_whole_picture(fleet, browser):
    fleet.happen(fleet.boot(1).to_script())
    told = await browser.next("status")
    stages = {row["name"]: row["stage"] for row in told["hosts"]}
    assert stages == {**dict.fromkeys(("bs", "m1", "m2", "m3", "w1", "w2", "w3"), "waiting"), "m1": "script"}


async def test_a_host_that_makes_progress_is_sent_alone(fleet, browser):
    await browser.next("status")
    fleet.happen(fleet.boot(1).to_script())
    (row,) = await browser.next("hosts")
    assert (row["name"], row["stage"]) == ("m1", "script")


async def test_a_host_that_was_sent_before_is_sent_anew(fleet, browser):
    boot = fleet.boot(1)
    await browser.next("status")
    fleet.happen(boot.to_script())
    assert (await browser.row(boot.host))["stage"] == "script"
    fleet.happen(boot.get(WebKind.KERNEL, 14 * MB))
    assert (await browser.row(boot.host))["stage"] == "kernel"


async def test_progress_of_a_download_is_reported(fleet, browser):
    boot = fleet.boot(1)
    fleet.happen([*boot.to_initramfs(), *boot.dhcp(Program.OS), boot.started(WebKind.ROOTFS, 900 * MB)])
    await browser.next("status")
    fleet.happen(boot.progress(WebKind.ROOTFS, 450 * MB, 900 * MB))
    progress = (await browser.row(boot.host))["progress"]
    assert (progress["what"], progress["sent"], progress["total"]) == ("rootfs", 450 * MB, 900 * MB)


async def test_a_slow_browser_is_told_each_host_once(fleet, browser):
    await browser.next("status")
    boot = fleet.boot(1)
    fleet.happen([*boot.to_initramfs(), *boot.dhcp(Program.OS), boot.started(WebKind.ROOTFS, 900 * MB)])
    for sent in range(10_000):
        fleet.happen(boot.progress(WebKind.ROOTFS, sent, 900 * MB))
    rows = await browser.next("hosts")
    assert [row["progress"]["sent"] for row in rows] == [9_999]


async def test_two_browsers_are_told_the_same(fleet, stream):
    browsers = Browser(stream), Browser(stream)
    for browser in browsers:
        await browser.next("status")
    fleet.happen(fleet.boot(1).to_script())
    told = [await browser.next("hosts") for browser in browsers]
    assert told[0] == told[1]
    for browser in browsers:
        await browser.messages.aclose()


async def test_a_browser_that_leaves_is_forgotten(stream):
    browser = Browser(stream)
    await browser.next("status")
    assert len(stream) == 1
    await browser.messages.aclose()
    assert len(stream) == 0


async def test_a_reload_tells_the_whole_picture_with_the_hosts_that_it_adds_and_removes(fleet, browser):
    await browser.next("status")
    new = replace(LIVE.hosts[1], name="new.ocp45.example.localdomain")
    fleet.registry.update([replace(LIVE, hosts=(*LIVE.hosts[2:], new))])
    fleet.happen(Reloaded("", "1234567"))
    names = [row["name"] for row in (await browser.next("status"))["hosts"]]
    assert names == ["m2", "m3", "w1", "w2", "w3", "new"]


async def test_an_event_of_a_host_that_a_reload_removed_is_no_row(fleet, browser):
    await browser.next("status")
    fleet.happen(fleet.boot(1).to_script())
    fleet.registry.update([replace(LIVE, hosts=LIVE.hosts[2:])])
    fleet.happen(fleet.boot(2).to_script())
    assert [row["name"] for row in await browser.next("hosts")] == ["m2"]


async def test_a_host_that_falls_silent_is_sent_without_any_event(fleet, browser, monkeypatch):
    monkeypatch.setattr(streams, "REST_SECONDS", 0.0)
    boot = fleet.boot(1)
    fleet.happen(boot.dhcp(Program.PXE, "efi/ipxe.efi"))  # long ago by the clock of this computer
    await browser.next("status")
    row = await browser.row(boot.host)
    assert row["condition"]["name"] == "silent"


async def test_an_unknown_machine_comes_with_its_maker_and_its_lines(fleet, browser):
    await browser.next("status")
    fleet.happen(DhcpUnknown("", "00:50:56:00:00:09", Program.PXE, "arm64-uefi", "PXEClient", "", "eth1"))
    rest = await browser.next("rest")
    (stranger,) = rest["strangers"]
    assert rest["unknown"] == 1
    assert stranger["vendor"].startswith("VMware")
    assert 'macAddress: "00:50:56:00:00:09"' in stranger["stanza"]


async def test_a_flood_of_invented_machines_is_reported_in_part(fleet, browser):
    await browser.next("status")
    for number in range(1000):
        fleet.happen(DhcpUnknown("", f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}", Program.PXE))
    rest = await browser.next("rest")
    assert rest["unknown"] == 1000
    assert [stranger["mac"] for stranger in rest["strangers"]][:1] == ["02:00:00:00:03:e7"]
    assert len(rest["strangers"]) == streams.SHOWN_STRANGERS


async def test_a_refusal_is_reported(fleet, browser):
    await browser.next("status")
    boot = fleet.boot(1)
    fleet.happen(WebRefused(boot.host, boot.address, "/bootstrap.ign", WebKind.IGNITION, 403, "not its own"))
    assert [refusal["why"] for refusal in (await browser.next("rest"))["refusals"]] == ["not its own"]


async def test_throughput_is_that_of_the_last_second(fleet, browser, monkeypatch):
    monkeypatch.setattr(streams, "RATE_SECONDS", 0.05)
    boot = fleet.boot(1)
    fleet.happen([*boot.to_initramfs(), *boot.dhcp(Program.OS)])
    await browser.next("status")
    fleet.happen(boot.started(WebKind.ROOTFS, 900 * MB))
    fleet.happen(boot.progress(WebKind.ROOTFS, 100 * MB, 900 * MB))
    async with asyncio.timeout(WAITED_SECONDS):
        rates = [await browser.next("rate")]
        while not rates[-1]:
            fleet.happen(boot.progress(WebKind.ROOTFS, 100 * MB, 900 * MB))
            rates.append(await browser.next("rate"))
        while rates[-1]:
            rates.append(await browser.next("rate"))
    assert max(rates) > 0


@pytest.fixture
async def balanced(fleet, monkeypatch):
    """A browser of an appliance that drives a load balancer, and that load balancer."""
    monkeypatch.setattr(streams, "BEAT_SECONDS", 0.0)
    monkeypatch.setattr(streams, "REST_GAP_SECONDS", 0.0)
    heard = Heard()
    browser = Browser(Stream(fleet.registry, fleet.bus, heard))
    async with aclosing(browser.messages):
        yield heard, browser


def state_of(told, heard, name):
    return next(row["state"] for row in told["rows"] if (row["front_end"], row["host"]) == (API, heard.host(name)))


async def test_the_first_message_has_the_load_balancer(balanced):
    heard, browser = balanced
    heard.say(API, ["m1"])
    assert state_of((await browser.next("status"))["balancer"], heard, "m1") == "up"


async def test_a_member_that_fails_is_told_at_once(fleet, balanced, monkeypatch):
    monkeypatch.setattr(streams, "REST_SECONDS", 1000.0)
    heard, browser = balanced
    await browser.next("status")
    heard.say(API, ["m1"], is_up=False)
    fleet.happen(MemberFails(heard.host("m1"), API, "connection refused"))
    assert state_of(await browser.next("balancer"), heard, "m1") == "down"


async def test_connections_are_told_without_an_event(balanced, monkeypatch):
    heard, browser = balanced
    await browser.next("status")
    heard.say(API, ["m1"])
    await browser.next("balancer")
    monkeypatch.setattr(streams, "REST_SECONDS", 0.0)
    heard.say(API, ["m1"], current=7)
    told = await browser.next("balancer")
    assert [row["current"] for row in told["rows"] if row["host"] == heard.host("m1")] == [7, 0]


async def test_a_load_balancer_that_did_not_change_is_not_told_again(balanced, monkeypatch):
    monkeypatch.setattr(streams, "REST_SECONDS", 0.0)
    heard, browser = balanced
    heard.say(API, ["m1"])
    kinds = []
    async with asyncio.timeout(WAITED_SECONDS):
        async for message in browser.messages:
            kinds.append(message.decode().splitlines()[0])
            if kinds.count("event: rest") == 5:
                break
    assert kinds.count("event: balancer") == 1


async def test_trouble_of_the_load_balancer_is_a_notice(fleet, balanced):
    heard, browser = balanced
    await browser.next("status")
    heard.trouble = "HAProxy does not run"
    fleet.happen(BalancerTrouble("", heard.trouble))
    assert (await browser.next("rest"))["notices"] == ["load balancer: HAProxy does not run"]
