"""The dashboard's live stream: server-sent events, first the whole state and then each change.

There is no queue for a browser that is slow. What it has yet to receive is a set
of hosts, sent with their state at the time of sending, so memory is bounded by
the number of hosts. A host's state is encoded as JSON once for each change,
however many browsers follow.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import contextmanager, suppress

from appliance import events
from appliance.balancer.view import BalancerView
from appliance.bus import Bus
from appliance.events import Reloaded, Stamped, WebRefused
from appliance.registry_view import RegistryView
from appliance.status import view
from appliance.status.balancer import balancer_status
from appliance.status.stanza import seen

BEAT_SECONDS = 0.25  # a progress bar that moves four times a second looks alive
# How often a browser gets what changes with time alone, such as expiry. The page takes 15 s of silence for a failure.
REST_SECONDS = 5.0
# The least time between two lists of refusals and unknown machines, which any client can change.
REST_GAP_SECONDS = 1.0
RATE_SECONDS = 1.0  # throughput is the mean over this time
# After which the load balancer's members are no longer what they were.
_BALANCER_EVENTS = (events.MemberMoved, events.MemberAnswers, events.MemberFails)
SHOWN_STRANGERS = 100  # only the latest unknown machines, so that a flood of invented MACs does not reach browsers


class _Browser:
    """What one browser has yet to receive."""

    def __init__(self) -> None:
        self.hosts: set[str] = set()
        self.wants_all = True
        self.wants_rest = False
        self.rest_sent_at = 0.0  # loop clock
        self.balancer = ""  # as it was sent, as JSON
        self.wake = asyncio.Event()

    def rest_due_at(self) -> float:
        return self.rest_sent_at + (REST_GAP_SECONDS if self.wants_rest else REST_SECONDS)


class Stream:
    """The browsers that follow, and what each has yet to receive."""

    def __init__(self, registry: RegistryView, bus: Bus, balancer: BalancerView | None = None) -> None:
        self._registry = registry
        self._balancer = balancer
        self._members = ""  # the load balancer, as JSON
        self._members_at = 0.0  # loop clock
        self._browsers: set[_Browser] = set()
        self._rows: dict[str, str] = {}  # host → its row, as JSON
        self._conditions: dict[str, str] = {}  # host → the name of its condition
        self._conditions_at = 0.0  # loop clock
        self._sent_before = (time.monotonic(), self._sent_bytes())
        self._bytes_a_second = 0.0
        bus.subscribers.append(self._follow)

    def __len__(self) -> int:
        return len(self._browsers)

    async def messages(self) -> AsyncGenerator[bytes, None]:
        """Yield one browser's events: "status", then "hosts", "rest", "balancer" and "rate" (HTML standard, 9.2)."""
        loop = asyncio.get_running_loop()
        with self._browser() as browser:
            while True:
                if browser.wants_all:
                    browser.wants_all = False
                    browser.hosts.clear()
                    browser.rest_sent_at = loop.time()
                    whole = view.status(self._registry, balancer=self._balancer)
                    yield _message("status", {**whole, **await self._rest()})
                elif loop.time() >= browser.rest_due_at():
                    browser.wants_rest = False
                    browser.rest_sent_at = loop.time()
                    self._look_for_silence(loop.time())
                    yield _message("rest", await self._rest())
                    if (members := await self._balancer_text()) != browser.balancer:
                        browser.balancer = members
                        yield f"event: balancer\ndata: {members}\n\n".encode()
                if browser.hosts:
                    hosts, browser.hosts = browser.hosts, set()
                    yield self._hosts_message(hosts)
                yield _message("rate", self._rate())
                # At least one beat between two messages, so that what changes many times in it is sent once.
                await asyncio.sleep(BEAT_SECONDS)
                # Then until something happens. While bytes flow, the rate has to be measured even if nothing else does.
                seconds = browser.rest_due_at() - loop.time()
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(seconds, RATE_SECONDS) if self._bytes_a_second else seconds):
                        await browser.wake.wait()
                browser.wake.clear()

    @contextmanager
    def _browser(self) -> Iterator[_Browser]:
        browser = _Browser()
        self._browsers.add(browser)
        try:
            yield browser
        finally:
            self._browsers.discard(browser)

    def _follow(self, stamped: Stamped) -> None:
        event = stamped.event
        self._rows.pop(event.host, None)
        for browser in self._browsers:
            if event.host:
                browser.hosts.add(event.host)
            # A reload may add and remove hosts and clusters.
            if isinstance(event, Reloaded):
                browser.wants_all = True
            elif not event.host or isinstance(event, (WebRefused, *_BALANCER_EVENTS)):
                browser.wants_rest = True
            browser.wake.set()

    def _look_for_silence(self, now: float) -> None:
        """Find the hosts whose condition changed with time alone, such as a host that has fallen silent."""
        # Each browser calls this every REST_SECONDS; one check serves all of them.
        if now - self._conditions_at < REST_SECONDS / 2:
            return
        self._conditions_at = now
        found = {}
        for host, installation in self._registry.installations.items():
            condition = self._registry.condition(installation, self._registry.now())
            if condition is not None:
                found[host] = condition.name
        changed = {host for host, _ in found.items() ^ self._conditions.items()}
        self._conditions = found
        for host in changed:
            self._rows.pop(host, None)
        for browser in self._browsers:
            browser.hosts |= changed

    def _hosts_message(self, hosts: Iterable[str]) -> bytes:
        rows = ",".join(self._row(host) for host in hosts if host in self._registry.hosts)
        return f"event: hosts\ndata: [{rows}]\n\n".encode()

    def _row(self, host: str) -> str:
        row = self._rows.get(host)
        if row is None:
            row = self._rows[host] = _json(view.row(self._registry, self._registry.hosts[host]))
        return row

    async def _rest(self) -> dict[str, object]:
        """Return everything but the hosts."""
        # In a thread, because the first lookup loads the list of vendors, which takes a fifth of a second.
        strangers = await asyncio.to_thread(seen, view.strangers(self._registry)[:SHOWN_STRANGERS])
        now = self._registry.now()
        return {
            "at": now,
            "certificates": view.certificates(self._registry, now),
            "refusals": view.refusals(self._registry),
            "unknown": len(self._registry.strangers),
            "strangers": strangers,
            "notices": view.notices(self._registry, self._balancer),
        }

    async def _balancer_text(self) -> str:
        """Return the load balancer as JSON, made once a second for all browsers; "" if the appliance drives none."""
        now = asyncio.get_running_loop().time()
        if self._balancer is not None and now >= self._members_at:
            self._members_at = now + REST_GAP_SECONDS
            # In a thread: a thousand workers are two thousand members.
            self._members = await asyncio.to_thread(_json, balancer_status(self._balancer))
        return self._members

    def _sent_bytes(self) -> int:
        # What has been sent of unfinished transfers is not in `bytes` yet.
        under_way = sum(activity.sent for activity in self._registry.activity.values() if activity.is_under_way)
        return sum(self._registry.bytes.values()) + under_way

    def _rate(self) -> float:
        """Return the bytes sent per second, over about the last second."""
        now, sent = time.monotonic(), self._sent_bytes()
        then, before = self._sent_before
        if now - then >= RATE_SECONDS:
            # While no browser is connected nothing is measured, and the mean over hours would mean nothing.
            is_recent = now - then < 2 * REST_SECONDS
            self._bytes_a_second = max(0.0, (sent - before) / (now - then)) if is_recent else 0.0
            self._sent_before = (now, sent)
        return self._bytes_a_second


def _json(data: object) -> str:
    return json.dumps(data, separators=(",", ":"))


def _message(event: str, data: object) -> bytes:
    return f"event: {event}\ndata: {_json(data)}\n\n".encode()
