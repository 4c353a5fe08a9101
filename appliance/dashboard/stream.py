"""What a browser is told as it happens: server-sent events, the whole picture first and then what changed.

A browser that falls behind is not queued for: what it has not been told yet is
a set of hosts, told with their state of that moment, so that nothing grows.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress

from appliance.dashboard import view
from appliance.events import Stamped
from appliance.install.registry import Registry

BEAT_SECONDS = 0.25  # a progress bar that moves four times a second looks alive
REST_SECONDS = 5.0  # clocks and the link itself are told of when nothing else happens


class _Reader:
    """What one browser has yet to be told."""

    def __init__(self) -> None:
        self.hosts: set[str] = set()
        self.wants_rest = False
        self.wake = asyncio.Event()


class Stream:
    """The browsers that listen, and what each has yet to hear."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._readers: set[_Reader] = set()
        self._sent_before = (time.monotonic(), self._sent_bytes())
        self._bytes_a_second = 0.0
        registry.followers.append(self._follow)

    def __len__(self) -> int:
        return len(self._readers)

    async def messages(self) -> AsyncIterator[bytes]:
        """Yield one browser's events: "status", then "hosts", "rest" and "rate" (HTML standard, section 9.2)."""
        with self._reader() as reader:
            yield _message(
                "status",
                {
                    **view.status(self._registry),
                    "strangers": view.strangers(self._registry),
                    "bytes_a_second": self._rate(),
                },
            )
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(REST_SECONDS):
                        await reader.wake.wait()
                hosts, reader.hosts = reader.hosts, set()
                was_woken = reader.wake.is_set()
                reader.wake.clear()
                rows = [
                    view.row(self._registry, self._registry.hosts[host])
                    for host in hosts
                    if host in self._registry.hosts
                ]
                if rows:
                    yield _message("hosts", rows)
                if not was_woken or reader.wants_rest:
                    reader.wants_rest = False
                    yield _message("rest", self._rest())
                yield _message("rate", self._rate())
                await asyncio.sleep(BEAT_SECONDS)

    @contextmanager
    def _reader(self) -> Iterator[_Reader]:
        reader = _Reader()
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)

    def _follow(self, stamped: Stamped, _number: int) -> None:
        host = stamped.event.host
        for reader in self._readers:
            if host:
                reader.hosts.add(host)
            if not stamped.event.kind.startswith("web.progress"):
                reader.wants_rest = True
            reader.wake.set()

    def _rest(self) -> dict[str, object]:
        """Return the picture without its hosts."""
        now = time.time()
        return {
            "at": now,
            "hosts": sorted(self._registry.hosts),
            "certificates": view.certificates(self._registry, now),
            "refusals": view.refusals(self._registry),
            "unknown": view.strangers(self._registry),
            "notices": view.notices(self._registry),
        }

    def _sent_bytes(self) -> int:
        under_way = sum(one.sent for one in self._registry.activity.values() if one.is_under_way)
        return self._registry.bytes.total() + under_way

    def _rate(self) -> float:
        """Return the bytes a second that left lately."""
        now, sent = time.monotonic(), self._sent_bytes()
        then, before = self._sent_before
        if now - then >= 1.0:
            self._bytes_a_second = max(0.0, (sent - before) / (now - then))
            self._sent_before = (now, sent)
        return self._bytes_a_second


def _message(event: str, data: object) -> bytes:
    return f"event: {event}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()
