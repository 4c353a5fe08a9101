"""Conflicts between clusters of one appliance, and load balancers whose names none of them can resolve."""

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

from appliance.config.checks.names import ONLY_CNAME, forwarded_although_served, names_given
from appliance.config.checks.networks import overlap
from appliance.config.document import Placed
from appliance.config.draft import Draft
from appliance.config.records import in_zone
from appliance.config.section_drafts import RecordDraft
from appliance.config.sections import known
from appliance.errors import Problem
from appliance.model import Address
from appliance.openshift import names as openshift


def problems_between(files: Sequence[Draft]) -> Iterator[Problem]:
    """Yield the conflicts between each pair of files."""
    for first, second in combinations(files, 2):
        if _same_file(first, second):
            yield Problem(second.document.file, 0, "", "is given twice on the command line; give it once")
            return
        yield from _names(first, second)
        yield from _aliases(first, second)
        yield from _aliases(second, first)
        yield from _aliases_of_one_name(first, second)
        if first.is_domain_known and second.is_domain_known:
            yield from forwarded_although_served(first, second)
            yield from forwarded_although_served(second, first)
        yield from _networks(first, second)
        yield from _addresses(first, second)
        yield from _addresses(second, first)
        if first.domain != second.domain:
            yield from _data_directories(first, second)
    yield from _dead_ends(files)


def _dead_ends(files: Sequence[Draft]) -> Iterator[Problem]:
    """Yield the CNAMEs at api and *.apps whose targets no forwarder of any file is asked for, or may tell."""
    if not all(draft.is_domain_known for draft in files):
        return
    zones = [draft.zone for draft in files]
    forwarded = [known(entry.zone) for draft in files for entry in draft.file.dns.forward if entry.zone]
    has_forwarders = any(draft.file.dns.forwarders for draft in files)
    drops_private = any(draft.file.dns.drop_private_answers for draft in files)
    targets = {record.owner: _target(record) for draft in files for record in draft.records if record.kind == "CNAME"}
    for draft in files:
        for record in draft.records:
            if record.value is None or record.owner not in {openshift.api(draft.domain), openshift.apps(draft.domain)}:
                continue
            end = _end_of(record.owner, targets)
            if not end or any(in_zone(end, zone) for zone in (*zones, *forwarded)):
                continue
            if not has_forwarders:
                yield record.value.warning(
                    f"{end} cannot be resolved here, because it has no forwarder; add its zone to dns.forward"
                )
            elif drops_private:
                yield record.value.warning(
                    f"{end} has no address here if that is private, because of dropPrivateAnswers; "
                    "add its zone to dns.forward"
                )


def _end_of(name: str, targets: Mapping[str, str]) -> str:
    """Return the name to which CNAMEs lead from *name*; one of them if they go round."""
    for _ in targets:
        if name not in targets:
            break
        name = targets[name]
    return name


def _same_file(first: Draft, second: Draft) -> bool:
    return _real(first.document.file) == _real(second.document.file)


def _real(path: str | Path) -> str:
    return os.path.realpath(path)  # Path.resolve() raises on a loop of links


def _names(first: Draft, second: Draft) -> Iterator[Problem]:
    if not (first.is_domain_known and second.is_domain_known):
        return
    other = first.document.file
    if first.domain == second.domain:
        yield second.document.here("metadata", "name").error(
            f"{second.domain} is also the cluster in {other}; choose another name"
        )
    elif first.zone == second.zone:
        where = (
            second.document.here("dns", "zone")
            if second.document.has("dns", "zone")
            else second.document.here("baseDomain")
        )
        yield where.warning(
            f"{second.zone} is also the zone in {other}, whose name servers and SOA values are used for both"
        )


def _aliases(draft: Draft, other: Draft) -> Iterator[Problem]:
    """Yield the CNAMEs of *draft* at names for which *other* has records, even if its zone is another one."""
    if not (draft.is_domain_known and other.is_domain_known):
        return
    own, given = names_given(draft), names_given(other)
    written = {record.owner: record.name for record in other.records if record.kind != "CNAME"}
    for record in draft.records:
        owner, name = record.owner, record.name
        if record.kind != "CNAME" or owner in own:
            continue  # checks/names.py reports a CNAME at a name of the same file
        if giver := given.get(owner):
            yield name.error(
                f"{owner} already has records from {giver} in {other.document.file}, and {ONLY_CNAME}; remove this one"
            )
        elif there := written.get(owner):
            yield name.error(f"{owner} has a CNAME and another record ({there.place(name.document)}); {ONLY_CNAME}")


def _aliases_of_one_name(first: Draft, second: Draft) -> Iterator[Problem]:
    """Yield the CNAMEs of *second* that have another target than those of the same name in *first*."""
    aliases = {record.owner: record for record in first.records if record.kind == "CNAME"}
    for record in second.records:
        there = aliases.get(record.owner)
        if record.kind != "CNAME" or there is None or _target(record) == _target(there):
            continue
        place = there.name.place(record.name.document)
        yield record.name.error(f"{record.owner} has another CNAME ({place}); {ONLY_CNAME}")


def _target(record: RecordDraft) -> str:
    return record.data or ""  # data that cannot be read is reported by checks/names.py


def _networks(first: Draft, second: Draft) -> Iterator[Problem]:
    for own in second.cidrs:
        for other in first.cidrs:
            if own.value != other.value and overlap(own.value, other.value):
                where = other.place(own.document)
                yield own.error(
                    f"{own.value} overlaps {other.value} ({where});"
                    " clusters must have the same network or separate ones"
                )


def _addresses(holder: Draft, other: Draft) -> Iterator[Problem]:
    taken: dict[Address, Placed[Address]] = {}
    for address in [*holder.appliance_addresses, *holder.gateways]:
        taken.setdefault(address.value, address)
    for vips in holder.vips.values():
        for vip in vips:
            if holder.has_haproxy or not holder.may_be_single_node:
                taken.setdefault(vip.value, vip)
    for address in (address for host in other.hosts for address in host.addresses):
        if claim := taken.get(address.value):
            where = claim.place(address.document)
            yield address.error(f"{claim.value} is {claim.owner} ({where}); change one of them")


def _data_directories(first: Draft, second: Draft) -> Iterator[Problem]:
    own, other = second.data_dir, first.data_dir
    if own is None or other is None or _real(own) != _real(other):
        return
    where = (
        second.document.here("dataDir") if second.document.has("dataDir") else second.document.here("metadata", "name")
    )
    yield where.error(f"{own} is also the data directory of {first.document.file}; give each cluster its own dataDir")
