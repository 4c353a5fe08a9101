"""The Ignition files: they exist, belong to this cluster, and have valid certificates."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.config.checks.boot import file_fault
from appliance.config.document import Path_
from appliance.config.draft import Draft
from appliance.errors import Problem
from appliance.model import ignition_of
from appliance.openshift.ignition import (
    MAX_IGNITION_BYTES,
    WARNING_SECONDS,
    IgnitionFacts,
    creation,
    expiry_text,
    inspect,
    misfit,
    misplaced,
    mixed_runs,
    remedy,
)


@dataclass(frozen=True, slots=True)
class IgnitionCandidate:
    """One Ignition file as it was found."""

    path: Path
    needed_at: Path_  # the first host that needs it
    fault: str | None  # why it cannot be read
    facts: IgnitionFacts | None


def ignition_files(draft: Draft) -> list[IgnitionCandidate]:
    """Return the Ignition files that the hosts of one file need."""
    if draft.data_dir is None:
        return []
    needed: dict[str, Path_] = {}
    for host in draft.hosts:
        if host.role and (name := ignition_of(host.role.value, host.boot)):
            needed.setdefault(name, host.role.path)
    return [_read(draft.data_dir / "ignition" / name, path) for name, path in needed.items()]


def _read(path: Path, needed_at: Path_) -> IgnitionCandidate:
    if fault := file_fault(path, f"; create it with `{creation(path.name)}`, and copy it to this path"):
        return IgnitionCandidate(path, needed_at, fault, None)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_IGNITION_BYTES + 1)
    except OSError as error:
        return IgnitionCandidate(path, needed_at, f"cannot be read: {error.strerror}", None)
    if len(data) > MAX_IGNITION_BYTES:
        return IgnitionCandidate(
            path, needed_at, f"is larger than {MAX_IGNITION_BYTES >> 20} MiB; is it an image?", None
        )
    return IgnitionCandidate(path, needed_at, None, inspect(data))


def problems_in(draft: Draft, now: float) -> Iterator[Problem]:
    """Yield what is wrong with the Ignition files of one cluster at *now* (UTC)."""
    files = ignition_files(draft)
    for file in files:
        where = draft.document.here(*file.needed_at)
        if file.fault:
            yield where.warning(f"{file.path} {file.fault}")
        if file.facts is None:
            continue
        for problem in file.facts.problems:
            yield where.warning(f"{file.path}: {problem}")
        if draft.is_domain_known and (why := misfit(file.facts, draft.domain)):
            yield where.warning(f"{file.path} {why}")
        if why := misplaced(file.facts, file.path.name):
            yield where.warning(f"{file.path} {why}")
        yield from _clock(file, draft, now)
    if why := mixed_runs({file.path.name: file.facts for file in files if file.facts}):
        yield draft.document.here("hosts").warning(f"in {files[0].path.parent}, {why}; until then no host gets them")


def _clock(file: IgnitionCandidate, draft: Draft, now: float) -> Iterator[Problem]:
    expires_at = file.facts.expires_at if file.facts else None
    if expires_at is None or expires_at - now > WARNING_SECONDS:
        return
    where, at = draft.document.here(*file.needed_at), expiry_text(expires_at)
    if expires_at <= now:
        fate = "served anyway (serveExpired)" if draft.file.serve_expired else "not served"
        yield where.warning(f"{file.path} expired at {at} and is {fate}; {remedy(file.path.name)}")
    else:
        yield where.warning(
            f"{file.path} expires in {spell_hours(expires_at - now)}, at {at}; {remedy(file.path.name)}"
        )


def spell_hours(seconds: float) -> str:
    """Return a length of time in hours and minutes, such as 23 h 05 min."""
    minutes = int(seconds // 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"
