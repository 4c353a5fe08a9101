"""The operator's orders about the load balancer, as events; pure."""

from collections.abc import Sequence

from appliance.errors import ControlError
from appliance.events import BalancerOrdered, BootstrapCompleted
from appliance.install.evidence import BALANCER_ORDERS
from appliance.install.installation import READY, Installation
from appliance.model import FrontEnd, Host

BY_OPERATOR = "operator"


def ordered(
    front_ends: Sequence[FrontEnd], host: Host, order: str, front_end: str
) -> BalancerOrdered | BootstrapCompleted:
    """Return the event of the operator's *order* for *host* in *front_end*, or in all of its front ends if that is "".

    A bootstrap machine that is taken out of all of them is no longer needed.
    Raises ControlError if the order does not exist, or *host* is not a member there.
    """
    if order not in BALANCER_ORDERS:
        raise ControlError(f"unknown order {order!r}; valid orders: {', '.join(BALANCER_ORDERS)}")
    if not front_ends:
        raise ControlError("the appliance drives no load balancer; set `loadBalancer: {engine: haproxy}`")
    known = {each.name: each for each in front_ends}
    if front_end and front_end not in known:
        raise ControlError(f"unknown front end {front_end!r}; front ends: {', '.join(known)}")
    own = {name: each for name, each in known.items() if any(member.host == host.name for member in each.members)}
    if not own:
        raise ControlError(f"{host.name} is a member of no front end; front ends: {', '.join(known)}")
    if front_end and front_end not in own:
        raise ControlError(f"{host.name} is not a member of {front_end}; it is one of {', '.join(own)}")
    is_backup = any(member.is_backup for each in own.values() for member in each.members if member.host == host.name)
    if is_backup and not front_end and order != READY:
        return BootstrapCompleted(host.name, BY_OPERATOR, "ordered by the operator")
    return BalancerOrdered(host.name, order, known[front_end].service if front_end else "")


def hindrance(host: Host, installation: Installation, event: BalancerOrdered | BootstrapCompleted) -> str | None:
    """Return why *host* does not get connections although the operator has just ordered `ready`; None if it may."""
    if not isinstance(event, BalancerOrdered) or event.order != READY:
        return None
    short = host.short_name
    if installation.bootstrapped_at is not None and host.is_bootstrap:
        return f"bootstrapping is complete; `ocp-appliance balancer ready {short}` without a front end takes that back"
    if installation.is_held:
        return f"it is held; run `ocp-appliance release {short}`"
    if installation.is_leaving:
        return (
            f"it is to be reinstalled; boot it from the network, or run `ocp-appliance adopt {short}` if it is to stay "
            "as it is"
        )
    return None
