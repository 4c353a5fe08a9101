"""Which kept installation is whose, once cluster.yaml has changed: pure.

The one rule: an installation is a machine's, and a machine is its MAC address. A
name can be given to another machine, and whoever went by names alone would install
one that runs, or boot the empty disk of one that is new.
"""

from collections.abc import Iterable, Mapping

from appliance.install.installation import Installation
from appliance.model import Host


def assigned(known: Mapping[str, Installation], hosts: Iterable[Host]) -> dict[str, Installation | None]:
    """Return the kept installation of each host by its name, or None where its machine is new.

    *known* is by the name that each was kept under. A name whose machine is in none of
    the files any more may have got a new network card, or be a new machine: it keeps
    what it had, for that installs nothing over a system that runs.
    """
    hosts = list(hosts)
    by_mac = {one.mac: one for one in sorted(known.values(), key=_last_at) if one.mac}
    name_of = {str(mac): host.name for host in hosts for mac in host.macs}
    found: dict[str, Installation | None] = {}
    for host in hosts:
        own = [by_mac[str(mac)] for mac in host.macs if str(mac) in by_mac]
        named = known.get(host.name)
        if own:
            found[host.name] = max(own, key=_last_at)
        elif named is not None and name_of.get(named.mac, host.name) == host.name:
            found[host.name] = named
        else:
            found[host.name] = None
    return found


def _last_at(one: Installation) -> float:
    """Return when it last came to a new stage, seconds UTC."""
    return max(one.reached.values(), default=0.0)
