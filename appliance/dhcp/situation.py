"""What a reply depends on besides the message and the table: how far the host's installation has come.

The one rule: these few values are all of it, so that a reply can be kept for as long as they stay the same.
"""

from collections.abc import Mapping
from typing import NamedTuple

from appliance.boot.chains import DISK
from appliance.install.installation import Installation, Order
from appliance.install.recipes import Beginnings, has_loaded, loader_of
from appliance.model import Host, Install, Loader


class Situation(NamedTuple):
    """What a reply depends on besides the message and the table."""

    boots_local: bool
    has_loaded: bool = False  # whether its firmware has fetched its boot file already
    loader: Loader = Loader.AUTO  # what `loader: auto` gives it


# Of programs that are not firmware.
SITUATIONS = (Situation(False), Situation(True))


def situation_of(
    host: Host, firmware: str, installations: Mapping[str, Installation], beginnings: Beginnings
) -> Situation:
    """Return the host's present situation; *firmware* is the class of firmware that asks, "" for another program."""
    is_local = boots_local(host, installations)
    if not firmware:
        return SITUATIONS[is_local]
    installation = installations.get(host.name)
    return Situation(is_local, has_loaded(installation), loader_of(installation, beginnings, firmware))


def boots_local(host: Host, installations: Mapping[str, Installation]) -> bool:
    """Whether the host gets no boot file, so that its firmware goes on to the disk."""
    if DISK[host.local_boot].has_boot_file:
        return False
    installation = installations.get(host.name)
    if installation is None:
        # The registry gives every host a record before it is served. Without a registry, `install` decides.
        return host.install is Install.NEVER
    return installation.order is Order.LOCAL
