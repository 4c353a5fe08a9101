"""Pydantic's errors, each at its line and in the operator's words."""

import difflib
from collections.abc import Iterable, Iterator

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from appliance.config.document import Block, Document, Path_, Value, describe, spell_path
from appliance.config.schema import schema_at
from appliance.errors import Problem

# Keys of install-config.yaml and agent-config.yaml that say nothing to the appliance: told, and passed over.
FOREIGN = {
    "pullSecret": "it belongs in install-config.yaml alone; take this secret out of here",
    "sshKey": "it belongs in install-config.yaml, from where it gets into the Ignition files",
    **dict.fromkeys(
        ("compute", "controlPlane", "fips", "publish", "proxy", "additionalTrustBundle", "additionalTrustBundlePolicy",
         "imageContentSources", "imageDigestSources", "capabilities", "cpuPartitioningMode", "bootstrapInPlace",
         "featureSet", "credentialsMode"),
        "it is install-config.yaml's and says nothing to the appliance",
    ),
    "kind": "it is agent-config.yaml's and says nothing to the appliance",
    "rendezvousIP": "it is agent-config.yaml's; here the host whose role is bootstrap does that work",
    "networking.networkType": "it is install-config.yaml's and says nothing to the appliance",
}  # fmt: skip

# Keys that people know from elsewhere, and what they are called here.
ELSEWHERE = {
    "platform": "apiVIPs and ingressVIPs stand at the top level here",
    "apiVIP": "write apiVIPs",
    "ingressVIP": "write ingressVIPs",
    "name": "write hostname",
    "mac": "write macAddress",
    "ip": "write address",
    "ntp": "write additionalNTPSources at the top level",
    "slaves": "write port, as nmstate does now",
    "clusterName": "write metadata.name",
    "domain": "write baseDomain at the top level",
    "pool": "hosts have fixed addresses; there is no pool",
    "vips": "write apiVIPs and ingressVIPs",
    **dict.fromkeys(
        ("serialNumber", "wwn", "wwnWithExtension", "hctl", "model", "vendor", "minSizeGigabytes", "rotational"),
        "the installer takes only a path: write deviceName, as /dev/disk/by-id/wwn-0x5000c500a1b2c3d4",
    ),
}


def without_foreign(document: Document) -> tuple[dict[str, Value], list[Problem]]:
    """Return the document's mapping without keys that only its neighbours read, and a warning for each of those."""
    kept: dict[str, Value] = dict(document.root or {})
    networking = kept.get("networking")
    if isinstance(networking, Block):
        kept["networking"] = inner = Block(networking.line)
        inner.update((key, value) for key, value in networking.items() if f"networking.{key}" not in FOREIGN)
        passed_over: list[Path_] = [("networking", key) for key in networking if f"networking.{key}" in FOREIGN]
    else:
        passed_over = []
    passed_over += [(key,) for key in kept if key in FOREIGN]
    warnings = [
        Problem(
            document.file,
            document.line_of(path),
            spell_path(path),
            f"is not read here: {FOREIGN[spell_path(path)]}",
            True,
        )
        for path in passed_over
    ]
    return {key: value for key, value in kept.items() if key not in FOREIGN}, warnings


def problems_of(error: ValidationError, document: Document) -> Iterator[Problem]:
    """Yield the problems that *error* tells of *document*."""
    details = error.errors(include_url=False, include_input=False)
    misspelled = {near for detail in details if (near := _meant(detail)) is not None}
    for detail in details:
        if detail["type"] == "missing" and detail["loc"] in misspelled:
            continue  # told at the key that was meant to be this one
        path = _path(detail["loc"], document)
        if detail["type"] == "too_short" and document.value_at(path):
            continue  # the list has entries, and each of them has a problem of its own
        is_in_mapping = isinstance(document.value_at(path), dict)
        key_path = (*path, detail["loc"][len(path)]) if is_in_mapping and len(path) < len(detail["loc"]) else path
        message = _message(detail, key_path, document)
        yield Problem(document.file, document.line_of(path), spell_path(key_path), message)


def _path(loc: Iterable[str | int], document: Document) -> Path_:
    """Return as much of pydantic's *loc* as is written in the document (one value may stand for a list of it)."""
    path: Path_ = ()
    for part in loc:
        longer = (*path, part)
        is_there = document.has_key(longer) if isinstance(part, str) else _is_item(longer, document)
        if not is_there:
            break
        path = longer
    return path


def _is_item(path: Path_, document: Document) -> bool:
    items, index = document.value_at(path[:-1]), path[-1]
    return isinstance(items, list) and isinstance(index, int) and index < len(items)


def _message(detail: ErrorDetails, path: Path_, document: Document) -> str:
    """Return what is wrong at *path*."""
    found = describe(document.value_at(path))
    match detail["type"]:
        case "value_error":
            return str(detail["ctx"]["error"])
        case "missing":
            empty = "has nothing behind it" if document.has_key(path) else "is missing"
            return f"{empty}; write it as {_example(path)}"
        case "extra_forbidden":
            return _unknown(str(path[-1]), _known_keys(path[:-1]))
        case "too_short":
            return "is an empty list; at least one entry belongs here"
        case "tuple_type" | "list_type":
            return f"{found} stands here; write a list, each entry behind a `- `"
        case "model_type" | "model_attributes_type" | "dict_type" | "dataclass_type":
            return f"{found} stands here; write a mapping, `key: value` on lines of their own"
        case "literal_error":
            return f"{found} is not known here; write {detail['ctx']['expected'].strip(chr(39))}"
        case _:
            return f"{found} is not right here: {detail['msg']}"


def _unknown(key: str, known: list[str]) -> str:
    if near := _nearest(key, known):
        return f"is no key here; did you mean {near}?"
    hint = ELSEWHERE.get(key)
    return f"is no key here; {hint}" if hint else f"is no key here; known are {', '.join(known)}"


def _meant(detail: ErrorDetails) -> tuple[int | str, ...] | None:
    """Return the place of the key that an unknown one was meant to be."""
    if detail["type"] != "extra_forbidden":
        return None
    *parents, key = detail["loc"]
    near = _nearest(str(key), _known_keys(tuple(parents)))
    return (*parents, near) if near else None


def _nearest(key: str, known: list[str]) -> str | None:
    by_folded = {_folded(name): name for name in known}
    near = difflib.get_close_matches(_folded(key), by_folded, n=1, cutoff=0.7)
    return by_folded[near[0]] if near else None


def _folded(key: str) -> str:
    return key.lower().replace("-", "").replace("_", "")


def _known_keys(path: Path_) -> list[str]:
    return list(schema_at(path).get("properties", ()))


def _example(path: Path_) -> str:
    key = str(path[-1])
    examples = schema_at(path).get("examples")
    return f"`{key}: {examples[0]}`" if examples else f"`{key}:` with its entries below it"
