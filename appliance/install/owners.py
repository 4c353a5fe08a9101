"""Which record belongs to which host after cluster.yaml has changed; pure.

The one rule: a record belongs to a machine, and a machine is its MAC address. A
name can be given to another machine. Going by names alone would wipe the disk of a
running machine, or boot the empty disk of a new one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from appliance.install.installation import Condition, Installation, Order, without_doubt
from appliance.model import Host


def assigned(known: Mapping[str, Installation], hosts: Iterable[Host]) -> dict[str, Installation | None]:
    """Return the kept installation of each host by its name, or None where its machine is new.

    *known* is by the name that each was kept under. If the former machine of a name is
    in none of the files any more, it may have a new network card, or there may be a new
    machine: the name keeps its record, because that wipes no disk of a running system.
    """
    hosts = list(hosts)
    by_mac = {kept.mac: kept for kept in sorted(known.values(), key=_last_at) if kept.mac}
    name_of = {str(mac): host.name for host in hosts for mac in host.macs}
    found: dict[str, Installation | None] = {}
    for host in hosts:
        own = [by_mac[str(mac)] for mac in host.macs if str(mac) in by_mac]
        named = known.get(host.name)
        if own:
            found[host.name] = max(own, key=_precedence)
        elif named is not None and name_of.get(named.mac, host.name) == host.name:
            found[host.name] = named
        else:
            found[host.name] = None
    return found


def _precedence(installation: Installation) -> tuple[bool, float]:
    """Return the order of what was kept for several cards, which were hosts of their own; the last is the true one.

    One of an installed machine comes after all that are later: its other card may have asked since.
    """
    return installation.is_done or installation.doubt is not None, _last_at(installation)


def _last_at(installation: Installation) -> float:
    """Return when the installation last reached a new stage, seconds UTC."""
    return max(installation.reached.values(), default=0.0)


def doubted(installation: Installation, at: float) -> Installation:
    """Return *installation* held, because the host's own may have been lost at *at*, seconds UTC."""
    name = installation.host
    hint = (
        "the record of this host was lost with a damaged state, so it is not known whether it is installed, and it "
        f"waits: run `ocp-appliance adopt {name}` if it is, which boots its disk, or `ocp-appliance reinstall {name}` "
        "to install it, which wipes its disk"
    )
    doubt = Condition("state-lost", hint, at)
    # Without the times of another doubt, by which it would end by itself.
    return replace(without_doubt(installation), doubt=doubt, order=Order.HOLD)
