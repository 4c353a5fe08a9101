"""Checks between the values of one file, and between files. They yield problems in any order; `loading` sorts them."""

from collections.abc import Iterator, Sequence

from appliance.config.checks import (
    boot,
    clusters,
    exposure,
    hosts,
    ignition,
    ipv6,
    loadbalancer,
    loaders,
    names,
    networks,
    services,
    ways,
)
from appliance.config.draft import Draft
from appliance.errors import Problem


def problems_between(drafts: Sequence[Draft], now: float, *, reads_images: bool) -> Iterator[Problem]:
    """Yield the problems of *drafts*, which one appliance serves together, at *now* (UTC).

    With *reads_images* each image is compared with its sha256, which takes seconds per gigabyte.
    """
    for draft in drafts:
        yield from networks.problems_in(draft)
        yield from ipv6.problems_in(draft)
        yield from hosts.problems_in(draft)
        yield from names.problems_in(draft)
        yield from boot.problems_in(draft)
        yield from loaders.problems_in(draft)
        yield from ways.problems_in(draft)
        if reads_images:
            yield from boot.wrong_digests(draft)
        yield from ignition.problems_in(draft, now)
        yield from exposure.problems_in(draft)
        yield from loadbalancer.problems_in(draft)
    yield from hosts.duplicates(drafts)
    yield from services.problems_between(drafts)
    yield from loadbalancer.problems_between(drafts)
    yield from clusters.problems_between(drafts)
