"""SOA serials: which one a zone gets next, so that secondaries see every change (RFC 1982). Pure."""

from collections.abc import Callable, Iterable

from appliance.model import Cluster


def is_higher(serial: int, other: int) -> bool:
    """Return whether *serial* comes after *other* (RFC 1982 section 3.2)."""
    return 0 < (serial - other) % 2**32 < 2**31


def serial_after(digest: str, kept: tuple[str, int] | None, least: int, now: float) -> int:
    """Return the serial of a zone whose content is *digest*: the kept one for the same content, else a higher one.

    *kept* is the zone's last digest and serial, and *least* the lowest serial that
    the operator allows; 0 for none. A zone that is not known starts at the time in
    seconds, so that its serial rises even when the state was lost.
    """
    if kept is None:
        serial = int(now)
    elif kept[0] == digest and not is_higher(least, kept[1]):
        return kept[1]
    else:
        # 0 is left out: some servers take it for "no serial".
        serial = (kept[1] + 1) % 2**32 or 1
    return least if least and is_higher(least, serial) else serial


def serials(serial_of: Callable[[str, str, int], int], clusters: Iterable[Cluster]) -> Callable[[str, str], int]:
    """Return *serial_of* (zone, digest, least) for the zones of *clusters*, with the least serial of each filled in."""
    least_of = {cluster.dns.zone: cluster.dns.serial for cluster in clusters}
    # A reverse zone may hold hosts of several files.
    least = max(least_of.values(), default=0)
    return lambda zone, digest: serial_of(zone, digest, least_of.get(zone, least))
