"""The entries of loadBalancer.frontends as far as they can be read, and the front ends that they describe."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from appliance.config.document import Document, Path_, Placed
from appliance.config.sections import known
from appliance.config.vocabulary import Check, FrontendEntry
from appliance.model import Address, HealthCheck, OwnFrontEnd, Probe, Role


@dataclass(frozen=True, slots=True)
class FrontendDraft:
    """One entry of loadBalancer.frontends."""

    entry: FrontendEntry
    path: Path_
    name: Placed[str] | None
    port: Placed[int] | None
    addresses: list[Placed[Address]]
    hosts: list[Placed[str]]  # full names
    roles: list[Placed[Role]]
    member_port: int | None


def frontend_drafts(
    entries: Sequence[FrontendEntry], document: Document, full_name: Callable[[str], str]
) -> list[FrontendDraft]:
    """Return the drafts of *entries*; *full_name* gives the full name of a host."""
    found = []
    for index, entry in enumerate(entries):
        path: Path_ = ("loadBalancer", "frontends", index)
        hosts = [full_name(name) if name else None for name in entry.hosts]
        found.append(
            FrontendDraft(
                entry=entry,
                path=path,
                name=document.at(entry.name, *path, "name"),
                port=document.at(entry.port, *path, "port"),
                addresses=document.all_at(entry.addresses, *path, "addresses"),
                hosts=document.all_at(hosts, *path, "hosts"),
                roles=document.all_at(entry.roles, *path, "roles"),
                member_port=entry.member_port if document.has(*path, "memberPort") else entry.port,
            )
        )
    return found


def own_front_ends(drafts: Sequence[FrontendDraft]) -> tuple[OwnFrontEnd, ...]:
    """Return what *drafts*, which are complete, describe."""
    return tuple(
        OwnFrontEnd(
            name=known(draft.entry.name),
            port=known(draft.entry.port),
            addresses=draft.entry.addresses,
            hosts=tuple(host.value for host in draft.hosts),
            roles=draft.entry.roles,
            member_port=known(draft.member_port),
            check=_health_check(draft.entry.check),
            balance=draft.entry.balance,
            allowed=draft.entry.allow,
        )
        for draft in drafts
    )


def _health_check(check: Check) -> HealthCheck:
    path = "" if check.type is Probe.TCP else check.path or "/"
    return HealthCheck(check.type, path, check.port or 0)
