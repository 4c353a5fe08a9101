"""What a record says of the load balancer: that bootstrapping is complete, and what the operator ordered; pure."""

from collections.abc import Mapping
from dataclasses import replace

from appliance.install.effects import Move
from appliance.install.evidence import Finding
from appliance.install.installation import EVERYWHERE, READY, Installation, Rules


def complete_bootstrapping(
    installation: Installation, _move: Move, finding: Finding, at: float, _rules: Rules
) -> Installation:
    """Note that the cluster no longer needs this bootstrap machine; only `reinstall` and the operator undo that."""
    if installation.bootstrapped_at is not None:
        return installation
    orders = {name: order for name, order in installation.balancer.items() if name}
    return replace(installation, bootstrapped_at=at, bootstrapped_by=finding.by, balancer=orders)


def order_balancer(installation: Installation, move: Move, finding: Finding, _at: float, _rules: Rules) -> Installation:
    """Note what the operator ordered of the load balancer; `ready` takes back what was ordered or complete before."""
    if installation.bootstrapped_at is not None and move.name == READY and not finding.front_end:
        # Noted, so that the same evidence does not complete it again at once.
        return replace(installation, bootstrapped_at=None, bootstrapped_by="", balancer={EVERYWHERE: READY})
    orders = _ordered(installation.balancer, finding.front_end, move.name)
    return installation if orders == installation.balancer else replace(installation, balancer=orders)


def _ordered(orders: Mapping[str, str], front_end: str, what: str) -> dict[str, str]:
    """Return *orders* with the new order *what* for *front_end*."""
    if not front_end:
        is_kept = orders.get(EVERYWHERE) == READY
        return {} if what == READY and not is_kept else {EVERYWHERE: what}
    others = {name: known for name, known in orders.items() if name != front_end}
    is_needed = what != orders.get(EVERYWHERE, READY)
    return {**others, front_end: what} if is_needed else others
