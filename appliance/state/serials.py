"""SOA serials: which serial a zone gets next, so that secondaries see every change (RFC 1982). Pure."""

from collections.abc import Callable, Iterable

from appliance.model import Cluster


def is_higher(serial: int, other: int) -> bool:
    """Whether *serial* comes after *other* (RFC 1982 section 3.2)."""
    return 0 < (serial - other) % 2**32 < 2**31


def serial_after(digest: str, kept: tuple[str, int] | None, least: int, now: float) -> int:
    """Return the serial of a zone whose content is *digest*: the kept serial for the same content, else a higher one.

    *kept* is the zone's last digest and serial, and *least* the lowest serial that
    the operator allows; 0 for none. An unknown zone starts at *now*, in seconds since
    the epoch, so that its serial rises even if the state was lost.
    """
    if kept is None:
        serial = int(now)
    elif kept[0] == digest and not is_higher(least, kept[1]):
        return kept[1]
    else:
        # Never 0: some servers take it for "no serial".
        serial = (kept[1] + 1) % 2**32 or 1
    return least if least and is_higher(least, serial) else serial


def serials(serial_of: Callable[[str, str, int], int], clusters: Iterable[Cluster]) -> Callable[[str, str], int]:
    """Return *serial_of*(zone, digest, least) as a function of zone and digest, with *least* from *clusters*."""
    least_of = {cluster.dns.zone: cluster.dns.serial for cluster in clusters}
    # A reverse zone may contain hosts of several files, so the highest of their serials counts.
    least = max(least_of.values(), default=0)
    return lambda zone, digest: serial_of(zone, digest, least_of.get(zone, least))
