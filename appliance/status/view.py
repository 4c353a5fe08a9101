"""The appliance's state as JSON, the same for the dashboard, the control socket and every command.

The shapes are in `shapes.py`. Times are seconds since the epoch, UTC; sizes are bytes.
"""

import json
from pathlib import Path

from appliance import __version__
from appliance.balancer.view import BalancerView
from appliance.events import WebRefused
from appliance.install.certificates import DELETE_HINT, unneeded
from appliance.install.installation import Condition
from appliance.install.recipes import lasting
from appliance.model import Boot, Cluster, Host, Role
from appliance.openshift.names import MACHINE_CONFIG_PORT
from appliance.registry_view import ActivityView, RegistryView
from appliance.state.events import Row
from appliance.status.balancer import balancer_status
from appliance.status.shapes import (
    CertificateRow,
    ClusterRow,
    ConditionRow,
    EventRow,
    Explanation,
    HostRow,
    Progress,
    RefusalRow,
    Status,
    StrangerRow,
)
from appliance.status.timeline import last_boot, missing, steps

# A whole installation is about 40 events; a host that loops repeats few kinds, and those are counted, not listed.
EXPLAINED_EVENTS = 2000


def status(registry: RegistryView, now: float | None = None, balancer: BalancerView | None = None) -> Status:
    """Return everything at *now*, seconds UTC: clusters, hosts, certificates, refusals, the appliance's own faults."""
    now = registry.now() if now is None else now
    rows = [_row(registry, cluster, host, now) for cluster in registry.clusters for host in cluster.hosts]
    return {
        "at": now,
        "appliance": __version__,
        "clusters": [_cluster(registry, cluster) for cluster in registry.clusters],
        "hosts": rows,
        "certificates": certificates(registry, now),
        "refusals": refusals(registry),
        "unknown": len(registry.strangers),
        "notices": notices(registry, balancer),
        "balancer": balancer_status(balancer) if balancer else None,
    }


def refusals(registry: RegistryView) -> list[RefusalRow]:
    """Return the latest requests that got an error, oldest first."""
    return [_refusal(at, event) for at, event in registry.refusals]


def notices(registry: RegistryView, balancer: BalancerView | None = None) -> list[str]:
    """Return the faults of the appliance itself, such as a state that it cannot write, and what is left to do."""
    trouble = f"load balancer: {balancer.trouble}" if balancer and balancer.trouble else ""
    keys = (f"{path}: {DELETE_HINT}" for path in unneeded(registry.clusters, registry.installations))
    return [notice for notice in (registry.journal.trouble, registry.journal.notice, trouble, *keys) if notice]


def row(registry: RegistryView, host: Host, now: float | None = None) -> HostRow:
    """Return one host at *now*, seconds UTC: its identity, its stage, and what keeps it from continuing."""
    return _row(registry, registry.cluster_of[host.name], host, registry.now() if now is None else now)


def _row(registry: RegistryView, cluster: Cluster, host: Host, now: float) -> HostRow:
    installation = registry.installations[host.name]
    reached = {stage.name.lower(): at for stage, at in installation.reached.items()}
    activity = registry.activity.get(host.name)
    boots = host.boot is not Boot.NOTHING
    return {
        "host": host.name,
        "name": host.short_name,
        "cluster": cluster.name,
        "role": host.role.value,
        "boot": host.boot.value,
        "address": str(host.address),
        "addresses": [str(address) for address in host.addresses],
        "mac": installation.mac or str(host.macs[0]),
        "arch": installation.arch,
        "stage": installation.stage.name.lower() if boots else "",
        "step": int(installation.stage),
        "since": installation.reached.get(installation.stage),
        "reached": dict(sorted(reached.items(), key=lambda item: item[1])),
        "connected": _connected(activity),
        "order": installation.order.value if boots else "",
        "install": host.install.value,
        "number": installation.number,
        "tries": installation.tries,
        "progress": _progress(activity),
        "awaits": f"api-int:{MACHINE_CONFIG_PORT}" if installation.is_told_to_wait else "",
        "seen_at": activity.seen_at if activity else None,
        "condition": _condition(registry.condition(installation, now)),
        "remedy": lasting(host, installation),
    }


def _connected(activity: ActivityView | None) -> dict[str, float]:
    if activity is None:
        return {}
    found = {"machine-config": activity.asked_config_at, "api": activity.asked_api_at}
    return {name: at for name, at in found.items() if at}


def _condition(found: Condition | None) -> ConditionRow | None:
    return None if found is None else {"name": found.name, "hint": found.hint, "since": found.since}


def certificates(registry: RegistryView, now: float) -> list[CertificateRow]:
    """Return each Ignition file with the time until its first certificate expires; negative once it has."""
    return [
        {
            "file": Path(state.path).name,
            "path": state.path,
            "version": state.version,
            "expires_at": state.expires_at,
            "seconds_left": None if state.expires_at is None else state.expires_at - now,
            "problem": state.problem,
        }
        for state in registry.certificates.states()
    ]


def strangers(registry: RegistryView) -> list[StrangerRow]:
    """Return the unknown machines, the latest first."""
    return [
        {
            "mac": machine.mac,
            "first_at": machine.first_at,
            "last_at": machine.last_at,
            "times": machine.times,
            "program": machine.program,
            "arch": machine.arch,
            "vendor_class": machine.vendor_class,
            "relay": machine.relay,
            "interface": machine.interface,
        }
        for machine in registry.strangers.latest()
    ]


def explanation(registry: RegistryView, host: Host, now: float | None = None, *, is_whole: bool = False) -> Explanation:
    """Return a host's last boot step by step, or (*is_whole*) its current installation, and what it is waiting for."""
    now = registry.now() if now is None else now
    installation = registry.installations[host.name]
    records = registry.journal.records(host.name)
    if is_whole:
        boot = registry.journal.events(host=host.name, number=installation.number, limit=EXPLAINED_EVENTS)
    else:
        boot = last_boot(registry.journal.events(host=host.name, limit=EXPLAINED_EVENTS))
    return {
        "host": row(registry, host, now),
        "steps": steps(boot, now),
        "missing": missing(installation, host),
        "records": [
            {
                "number": record.number,
                "stage": record.stage.name.lower(),
                "began_at": min(record.reached.values(), default=None),
                "ended_at": max(record.reached.values(), default=None),
            }
            for record in records
        ],
    }


def event_row(row: Row) -> EventRow:
    """Return an event of the journal."""
    return {
        "id": row.id,
        "at": row.at,
        "host": row.host,
        "number": row.number,
        "kind": row.kind,
        "facts": json.loads(row.facts),
        "times": row.times,
        "last_at": row.last_at,
    }


def _cluster(registry: RegistryView, cluster: Cluster) -> ClusterRow:
    records = [registry.installations[host.name] for host in cluster.hosts if host.role is Role.BOOTSTRAP]
    completed = [record for record in records if record.bootstrapped_at is not None]
    return {
        "name": cluster.name,
        "domain": cluster.domain,
        "release": str(cluster.release),
        "source": str(cluster.source),
        "hosts": len(cluster.hosts),
        "version": cluster.digest[:7],
        "bootstrapped_at": completed[0].bootstrapped_at if completed else None,
        "bootstrapped_by": completed[0].bootstrapped_by if completed else "",
    }


def _refusal(at: float, event: WebRefused) -> RefusalRow:
    return {
        "at": at,
        "host": event.host,
        "client": event.client,
        "path": event.path,
        "what": event.what.value,
        "status": event.status,
        "why": event.why,
    }


def _progress(activity: ActivityView | None) -> Progress | None:
    if activity is None or not activity.is_under_way:
        return None
    return {
        "what": activity.what,
        "path": activity.path,
        "sent": activity.sent,
        "total": activity.total,
        "began_at": activity.began_at,
        "moved_at": activity.moved_at,
    }
