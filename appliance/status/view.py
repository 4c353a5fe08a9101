"""What the appliance knows, as JSON: for the command line, the dashboard and nobody's code in particular.

Times are seconds since the epoch, UTC; sizes are bytes.
"""

import json
import time
from pathlib import Path

from appliance import __version__
from appliance.events import WebRefused
from appliance.install.lifecycle import Condition
from appliance.model import Cluster, Host
from appliance.registry_view import ActivityView, RegistryView
from appliance.state.events import Row
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
from appliance.web.compile import MACHINE_CONFIG_PORT

SHOWN_REFUSALS = 20
EXPLAINED_EVENTS = 2000


def status(registry: RegistryView, now: float | None = None) -> Status:
    """Return the whole picture: clusters, hosts, certificates, refusals, unknown machines, and what is wrong."""
    now = time.time() if now is None else now
    rows = [_row(registry, cluster, host, now) for cluster in registry.clusters for host in cluster.hosts]
    return {
        "at": now,
        "appliance": __version__,
        "clusters": [_cluster(cluster) for cluster in registry.clusters],
        "hosts": rows,
        "certificates": certificates(registry, now),
        "refusals": refusals(registry),
        "unknown": len(registry.strangers),
        "notices": notices(registry),
    }


def refusals(registry: RegistryView) -> list[RefusalRow]:
    """Return the latest requests that got an error, oldest first."""
    return [_refusal(at, event) for at, event in list(registry.refusals)[-SHOWN_REFUSALS:]]


def notices(registry: RegistryView) -> list[str]:
    """Return what is wrong with the appliance itself."""
    return [notice for notice in (registry.journal.trouble, registry.journal.notice) if notice]


def row(registry: RegistryView, host: Host, now: float | None = None) -> HostRow:
    """Return one host: who it is, how far it is, and what keeps it."""
    return _row(registry, registry.cluster_of[host.name], host, time.time() if now is None else now)


def _row(registry: RegistryView, cluster: Cluster, host: Host, now: float) -> HostRow:
    one = registry.installations[host.name]
    activity = registry.activity.get(host.name)
    return {
        "host": host.name,
        "name": host.short_name,
        "cluster": cluster.name,
        "role": host.role.value,
        "address": str(host.address),
        "mac": one.mac or str(host.macs[0]),
        "arch": one.arch,
        "stage": one.stage.name.lower(),
        "step": int(one.stage),  # of Stage.JOINING
        "since": one.reached.get(one.stage),
        "reached": {stage.name.lower(): at for stage, at in sorted(one.reached.items(), key=lambda item: item[1])},
        "order": one.order.value,
        "install": host.install.value,
        "number": one.number,
        "tries": one.tries,
        "progress": _progress(activity),
        "awaits": f"api-int:{MACHINE_CONFIG_PORT}" if one.is_told_to_wait else "",
        "seen_at": activity.seen_at if activity else None,
        "condition": _condition(registry.condition(one, now)),
    }


def _condition(found: Condition | None) -> ConditionRow | None:
    return None if found is None else {"name": found.name, "hint": found.hint, "since": found.since}


def certificates(registry: RegistryView, now: float) -> list[CertificateRow]:
    """Return each Ignition file with the time that its certificates have left."""
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
    """Return the unknown machines, the one seen last first."""
    return [
        {
            "mac": one.mac,
            "first_at": one.first_at,
            "last_at": one.last_at,
            "times": one.times,
            "client": one.client,
            "arch": one.arch,
            "vendor_class": one.vendor_class,
            "relay": one.relay,
            "interface": one.interface,
        }
        for one in registry.strangers.latest()
    ]


def explanation(registry: RegistryView, host: Host, now: float | None = None, *, is_whole: bool = False) -> Explanation:
    """Return a host's last boot, or all of its installation, step by step, and what is missing now."""
    now = time.time() if now is None else now
    one = registry.installations[host.name]
    records = registry.journal.records(host.name)
    if is_whole:
        boot = registry.journal.events(host=host.name, number=one.number, limit=EXPLAINED_EVENTS)
    else:
        boot = last_boot(registry.journal.events(host=host.name, limit=EXPLAINED_EVENTS))
    return {
        "host": row(registry, host, now),
        "steps": steps(boot, now),
        "missing": missing(one, host),
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


def event_row(event: Row) -> EventRow:
    """Return a kept event."""
    return {
        "id": event.id,
        "at": event.at,
        "host": event.host,
        "number": event.number,
        "kind": event.kind,
        "facts": json.loads(event.facts),
        "times": event.times,
        "last_at": event.last_at,
    }


def _cluster(cluster: Cluster) -> ClusterRow:
    return {
        "name": cluster.name,
        "domain": cluster.domain,
        "release": str(cluster.release),
        "source": str(cluster.source),
        "hosts": len(cluster.hosts),
        "version": cluster.digest[:7],
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
