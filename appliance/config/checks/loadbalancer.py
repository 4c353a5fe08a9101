"""The load balancer: each front end has a name, members, and addresses and ports that nothing else wants."""

import difflib
import os
from collections.abc import Iterator, Sequence

from appliance.balancer.compile import API, INGRESS, MACHINE_CONFIG, STANDARD
from appliance.config.checks.networks import names_one_machine
from appliance.config.checks.services import STREAMS, collide
from appliance.config.document import Placed
from appliance.config.draft import Draft
from appliance.config.frontends import FrontendDraft
from appliance.config.section_drafts import HostDraft
from appliance.errors import Problem
from appliance.model import Address, Endpoint, Probe, Role
from appliance.openshift.names import API_PORT, MACHINE_CONFIG_PORT


def problems_in(draft: Draft) -> Iterator[Problem]:
    """Yield what is wrong with the load balancer of one file."""
    yield from _names(draft)
    for frontend in draft.frontends:
        yield from _hosts(frontend, draft)
        yield from _check(frontend, draft)
        yield from _listening(frontend, draft)
        yield from _exposed(frontend, draft)
        yield from _shut(frontend, draft)
    if draft.has_haproxy:
        yield from _reach(draft)
        yield from _platform(draft)


def problems_between(drafts: Sequence[Draft]) -> Iterator[Problem]:
    """Yield the front ends of *drafts* that want what another one, or a service of the appliance, has."""
    # A file that is given twice has an error of its own.
    drafts = list({os.path.realpath(draft.document.file): draft for draft in drafts}.values())
    # The operator's own come last, so that a conflict is reported where it can be avoided.
    binds = [(draft, bind) for draft in drafts for bind in _standard(draft)]
    binds += [(draft, bind) for draft in drafts for bind in _own(draft)]
    services = [endpoint for draft in drafts for key in STREAMS for endpoint in draft.endpoints(key)]
    for number, (draft, bind) in enumerate(binds):
        for other_draft, other in binds[:number]:
            # Two load balancers of others may be two machines.
            is_one = draft is other_draft or (draft.has_haproxy and other_draft.has_haproxy)
            if is_one and collide(bind.value, other.value):
                where = f"{other.owner} ({other.place(bind.document)})"
                yield bind.error(
                    f"{bind.owner} needs {bind.value}, which is the port of {where}; choose another address or port"
                )
                break
        service = next((each for each in services if collide(bind.value, each.value)), None)
        if draft.has_haproxy and service:
            key = service.owner.split(" ")[0]
            yield bind.error(
                f"{bind.owner} needs {bind.value}, which is the TCP port of {service.owner} "
                f"({service.place(bind.document)}); choose another address, or another port as {key}"
            )
    yield from _prefixed(drafts)


def _standard(draft: Draft) -> Iterator[Placed[Endpoint]]:
    """Yield where the front ends that every cluster has listen."""
    vips = draft.vips
    inside = vips["apiInternalVIPs"] or vips["apiVIPs"]
    yield from _at(API, [*vips["apiVIPs"], *inside], API_PORT)
    yield from _at(MACHINE_CONFIG, inside, MACHINE_CONFIG_PORT)
    for name, port in INGRESS.items():
        yield from _at(name, vips["ingressVIPs"], port)


def _at(name: str, addresses: Sequence[Placed[Address]], port: int) -> Iterator[Placed[Endpoint]]:
    for value, place in {address.value: address for address in reversed(addresses)}.items():
        yield Placed(Endpoint(value, port), place.path, place.document, f"the front end {name}")


def _own(draft: Draft) -> Iterator[Placed[Endpoint]]:
    for frontend in draft.frontends:
        if not frontend.port:
            continue
        owner = f"the front end {frontend.name.value}" if frontend.name else "this front end"
        for address in dict.fromkeys(each.value for each in _addresses(frontend, draft)):
            yield Placed(Endpoint(address, frontend.port.value), frontend.port.path, draft.document, owner)


def _addresses(frontend: FrontendDraft, draft: Draft) -> list[Placed[Address]]:
    if draft.document.has(*frontend.path, "addresses"):
        return frontend.addresses
    return [*draft.vips["apiInternalVIPs"], *draft.vips["apiVIPs"]]


def _names(draft: Draft) -> Iterator[Problem]:
    first: dict[str, Placed[str]] = {}
    for name in (frontend.name for frontend in draft.frontends if frontend.name):
        other = first.setdefault(name.value, name)
        if name.value in STANDARD:
            yield name.error(f"{name.value} is a front end that every cluster has; choose another name")
        elif other is not name:
            yield name.error(
                f"{name.value} is given twice (first on {other.place(name.document)}); choose another name"
            )


def _prefixed(drafts: Sequence[Draft]) -> Iterator[Problem]:
    """Yield the front ends that have the name of another one once clusters' names are in front of both."""
    ours = [draft for draft in drafts if draft.has_haproxy and draft.name]
    first: dict[str, Placed[str]] = {}
    for draft in ours if len(ours) > 1 else ():
        cluster = draft.name
        assert cluster is not None, "only drafts with a name were chosen"
        named = [Placed(name, cluster.path, draft.document) for name in STANDARD]
        named += [frontend.name for frontend in draft.frontends if frontend.name]
        for name in named:
            other = first.setdefault(f"{cluster.value}-{name.value}", name)
            if other.document is not name.document:
                yield name.error(
                    f"HAProxy would have two front ends called {cluster.value}-{name.value} "
                    f"({other.place(name.document)}), with the clusters' names in front; choose another name"
                )
                break


def _hosts(frontend: FrontendDraft, draft: Draft) -> Iterator[Problem]:
    document, path = draft.document, frontend.path
    if not document.has(*path, "hosts") and not document.has(*path, "roles"):
        yield document.here(*path).error("has no members; write hosts or roles, for example `roles: infra`")
    names = [host.name.value for host in draft.hosts if host.name]
    for host in frontend.hosts:
        # One whose name cannot be read may be the one that is meant.
        if host.value not in names and len(names) == len(draft.hosts):
            near = difflib.get_close_matches(host.value, names, n=1, cutoff=0.8)
            meant = f"did you mean {near[0].removesuffix('.' + draft.domain)}?" if near else "add it to hosts"
            yield host.error(f"no host is called {host.value}; {meant}")
    used = {host.role.value for host in draft.hosts if host.role}
    for role in frontend.roles:
        if role.value not in used and all(host.role for host in draft.hosts):
            yield role.warning(f"no host has the role {role.value}, so this front end has no member of it yet")


def _check(frontend: FrontendDraft, draft: Draft) -> Iterator[Problem]:
    check, path = frontend.entry.check, (*frontend.path, "check")
    is_tcp = draft.document.value_at((*path, "type")) in (None, Probe.TCP.value)  # as it is written, or by default
    if is_tcp and check.path is not None:
        yield draft.document.here(*path, "path").error("needs a check of type http or https; add `type: http`")


def _listening(frontend: FrontendDraft, draft: Draft) -> Iterator[Problem]:
    """Yield the addresses at which *frontend* cannot listen."""
    document = draft.document
    holders = {each.value: host for host in draft.hosts for each in host.addresses}
    for address in frontend.addresses:
        value, holder = address.value, holders.get(address.value)
        if not names_one_machine(value):
            yield address.error(
                f"{value} is no single address; write those of this front end, or leave addresses out for the API's"
            )
        elif holder and (draft.has_haproxy or _is_node(holder)):
            where = document.here(*holder.path).place(document)
            why = "HAProxy cannot listen" if draft.has_haproxy else "no load balancer can listen"
            yield address.error(f"{value} is an address of {holder.label} ({where}), where {why}")
    keys = (*frontend.path, "addresses"), ("apiVIPs",), ("apiInternalVIPs",)
    if not any(document.has(*key) for key in keys):
        # A CNAME leads api elsewhere, and apiInternalVIPs is missing; or the single node answers by itself.
        yield document.here(*frontend.path).error("has no address, because there are no apiVIPs; write addresses")


def _exposed(frontend: FrontendDraft, draft: Draft) -> Iterator[Problem]:
    if frontend.member_port == MACHINE_CONFIG_PORT and not draft.document.has(*frontend.path, "allow"):
        yield draft.document.here(*frontend.path).warning(
            f"everybody who reaches it gets machine configs with secrets from port {MACHINE_CONFIG_PORT}; "
            "add `allow:` with the networks of the nodes"
        )


def _shut(frontend: FrontendDraft, draft: Draft) -> Iterator[Problem]:
    """Yield the list of clients in which no client can be that reaches *frontend*."""
    allowed = {network.version for network in frontend.entry.allow}
    versions = {address.value.version for address in _addresses(frontend, draft)}
    if allowed and versions and not allowed & versions:
        (given,), (needed,) = allowed, versions
        yield draft.document.here(*frontend.path, "allow").error(
            f"has IPv{given} networks alone, and this front end listens at IPv{needed} addresses alone, so nobody "
            f"would be accepted; write the clients' IPv{needed} networks"
        )


def _reach(draft: Draft) -> Iterator[Problem]:
    """Yield the members of whose IP version the appliance's machine, and so HAProxy, has no address."""
    if not draft.has_every_server:
        return
    versions = {address.value.version for address in draft.appliance_addresses}
    for host in draft.hosts:
        if (
            host.addresses
            and _is_member(host, draft)
            and not versions & {each.value.version for each in host.addresses}
        ):
            version = host.addresses[0].value.version
            key = "appliance.addressIPv6" if version == 6 else "appliance.address"
            yield host.addresses[0].error(
                f"HAProxy on this machine cannot reach {host.label} over IPv{version}; add {key}, "
                "or a second address here"
            )


def _platform(draft: Draft) -> Iterator[Problem]:
    """Yield the platform, pasted from install-config.yaml, whose clusters take the VIPs themselves."""
    place = ("platform", "baremetal")
    is_users = draft.document.value_at((*place, "loadBalancer", "type")) == "UserManaged"
    if draft.document.has(*place) and not is_users:
        yield draft.document.here(*place).warning(
            "nodes of this platform take the VIPs themselves, by keepalived, unless install-config.yaml has "
            "`loadBalancer: {type: UserManaged}` here; with `engine: haproxy`, add that there, or install with "
            "`platform: {none: {}}`"
        )


def _is_node(host: HostDraft) -> bool:
    return host.role is not None and host.role.value is not Role.OTHER


def _is_member(host: HostDraft, draft: Draft) -> bool:
    if host.role and host.role.value not in (Role.OTHER, Role.ARBITER):
        return True
    return any(host.name and host.name.value == each.value for entry in draft.frontends for each in entry.hosts)
