"""What must hold between the values of one file, and between files. Each check yields problems, in any order."""

from collections.abc import Iterator, Sequence

from appliance.config.checks import boot, clusters, hosts, ignition, names, networks, services
from appliance.config.facts import Facts
from appliance.errors import Problem


def problems_between(files: Sequence[Facts], now: float, *, reads_images: bool) -> Iterator[Problem]:
    """Yield what is wrong or odd in *files*, which one appliance is to serve at *now* (UTC).

    With *reads_images* each image is held against its sha256, which takes seconds a gigabyte.
    """
    for facts in files:
        yield from networks.problems_in(facts)
        yield from hosts.problems_in(facts)
        yield from names.problems_in(facts)
        yield from boot.problems_in(facts)
        if reads_images:
            yield from boot.wrong_digests(facts)
        yield from ignition.problems_in(facts, now)
    yield from hosts.duplicates(files)
    yield from services.problems_between(files)
    yield from clusters.problems_between(files)
