"""Which keys each mapping may have, and what an unknown key was probably meant to be."""

import difflib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from appliance.config.document import Block, Document, Items, Path_, Value, describe
from appliance.config.foreign import is_foreign
from appliance.config.schema import schema_at

# Keys that people know from other files, and what to write here.
ELSEWHERE = {
    "apiVIP": "write apiVIPs",
    "ingressVIP": "write ingressVIPs",
    "ntp": "write additionalNTPSources at the top level",
    "slaves": "write port, its name in current nmstate",
    "name": "write metadata.name",
    "clusterName": "write metadata.name",
    "domain": "write baseDomain at the top level",
    "machineCIDR": "write machineNetwork, a list of `cidr:`",
    "serviceCIDR": "write serviceNetwork",
    "pool": "hosts have fixed addresses; there is no pool",
    "vips": "write apiVIPs and ingressVIPs",
    **dict.fromkeys(
        ("serialNumber", "wwn", "wwnWithExtension", "hctl", "model", "vendor", "minSizeGigabytes", "rotational"),
        "the installer accepts only a path: write deviceName, for example /dev/disk/by-id/wwn-0x5000c500a1b2c3d4",
    ),
}

# The same for entries of hosts: the key that is meant.
ELSEWHERE_IN_HOSTS = {"name": "hostname", "host": "hostname", "mac": "macAddress", "ip": "address"}


@dataclass(frozen=True, slots=True)
class Unknown:
    """The message about an unknown key."""

    message: str
    meant: Path_ | None  # the place of the key that it was probably meant to be; None if that is not clear


def unknown_key(path: Path_, document: Document) -> Unknown:
    """Return what to report about the unknown key at *path*."""
    parent, key = path[:-1], str(path[-1])
    known = known_keys(parent)
    # Without a space after the colon, `key:value` is a single word to YAML.
    head, _, rest = key.partition(":")
    if rest and (meant := _nearest(head, known)):
        return Unknown(f"has no space after its colon; write `{meant}: {describe(rest)[1:-1]}`", (*parent, meant))
    if section := _section_above(path, document):
        message = f"unknown key; it belongs to {section}: indent it by two more spaces"
        return Unknown(message, (*parent, section))
    if near := _nearest(key, known):
        return Unknown(f"unknown key; did you mean {near}?", (*parent, near))
    if parent[:1] == ("hosts",) and (meant := ELSEWHERE_IN_HOSTS.get(key)) in known:
        return Unknown(f"unknown key; write {meant}", (*parent, meant or ""))
    hint = ELSEWHERE.get(key)
    return Unknown(f"unknown key; {hint or 'valid keys here: ' + ', '.join(known)}", None)


def is_misspelled(path: Path_, document: Document) -> bool:
    """Whether an unknown key was probably meant to be the one at *path*, which is missing."""
    block, known = document.value_at(path[:-1]), known_keys(path[:-1])
    if not isinstance(block, Block):
        return False
    beside = ((*path[:-1], key) for key in block.lines if key not in known)
    return any(unknown_key(other, document).meant == path for other in beside)


def unread_keys(document: Document) -> Iterator[Path_]:
    """Yield the place of each unknown key without a value; pydantic gets only keys with values and cannot report it."""
    waiting: deque[tuple[Path_, Value, Path_]] = deque([((), document.root, ())])
    while waiting:
        path, here, pattern = waiting.popleft()
        if isinstance(here, Items):
            below = (*pattern, 0)
            waiting += (((*path, i), item, below) for i, item in enumerate(here) if isinstance(item, Block | Items))
        elif isinstance(here, Block) and (known := _keys_at(pattern)):
            if len(here) < len(here.lines):
                places = ((*path, key) for key in here.lines if key not in here and key not in known)
                yield from (place for place in places if not is_foreign(place))
            for key, value in here.items():
                if isinstance(value, Block | Items) and key in known:
                    waiting.append(((*path, key), value, (*pattern, key)))


def known_keys(path: Path_) -> list[str]:
    """Return the keys that the mapping at *path* may have; [] where it may have any."""
    keys = _keys_at(tuple(0 if isinstance(part, int) else part for part in path))
    return [key for key in keys if not is_foreign((*path, key))]


@cache
def _keys_at(pattern: Path_) -> tuple[str, ...]:
    """Return the keys of the schema at *pattern*, a path whose indexes are all 0 so that there are few of them."""
    return tuple(schema_at(pattern).get("properties", ()))


def _section_above(path: Path_, document: Document) -> str | None:
    """Return the nearest key without a value above *path*, if it is a section that has a key of this name."""
    block = document.value_at(path[:-1])
    if not isinstance(block, Block):
        return None
    above = [key for key, line in block.lines.items() if key not in block and line < block.lines.get(str(path[-1]), 0)]
    # The nearest one is the section that the key would be in if it were indented.
    nearest = max(above, key=lambda key: block.lines[key], default=None)
    return nearest if nearest is not None and path[-1] in known_keys((*path[:-1], nearest)) else None


def _nearest(key: str, known: list[str]) -> str | None:
    by_folded = {_folded(name): name for name in known}
    near = difflib.get_close_matches(_folded(key), by_folded, n=1, cutoff=0.7)
    return by_folded[near[0]] if near else None


def _folded(key: str) -> str:
    return key.lower().replace("-", "").replace("_", "")
