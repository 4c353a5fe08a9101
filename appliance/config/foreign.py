"""Keys of install-config.yaml and agent-config.yaml that the appliance accepts and does not use.

They allow a section to be pasted as it is. A key that the user should know about
causes a warning; the others are accepted silently.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from appliance.config.document import Block, Document, Items, Path_, Value
from appliance.config.nmstate import AFTER_FIRST_BOOT, NO_ARGUMENT, WITHOUT_EFFECT

_INSTALL_CONFIG = "not used here; it belongs in install-config.yaml"
_VIPS = "not used here; write {key} at the top level of this file"

# Path → the warning, or None for no warning. `[]` means every entry of a list and `*` any key. What is below a key
# of this table is foreign as well; a longer path has its own warning.
FOREIGN: dict[str, str | None] = {
    "pullSecret": "not used here; it belongs in install-config.yaml only. Remove this secret from the file",
    "sshKey": "not used here; it belongs in install-config.yaml, which puts it into the Ignition files",
    **dict.fromkeys(
        ("compute", "controlPlane", "publish", "proxy", "additionalTrustBundle", "additionalTrustBundlePolicy",
         "imageContentSources", "imageDigestSources", "capabilities", "cpuPartitioningMode",
         "featureSet", "featureGates", "credentialsMode", "operatorPublishingStrategy", "networking.networkType",
         "networking.ovnKubernetesConfig"),
        _INSTALL_CONFIG,
    ),
    **dict.fromkeys(
        ("kind", "minimalISO", "bootArtifactsBaseURL", "metadata.namespace"),
        "not used here; it belongs in agent-config.yaml",
    ),
    "arbiter": "not used here; give the machine the role arbiter in hosts",
    # platform.baremetal.hosts of install-config.yaml, written as hosts.
    "hosts[].bmc": "not used here; switch the machine on yourself. Remove these secrets from the file",
    "hosts[].bootMode": "not used here; the appliance answers BIOS and UEFI alike",
    "hosts[].hardwareProfile": "not used here",
    # `platform: {none: {}}` is in every install-config.yaml for bare metal without the installer's own load balancer.
    "platform": None,
    "platform.*.apiVIPs": _VIPS.format(key="apiVIPs"),
    "platform.*.apiVIP": _VIPS.format(key="apiVIPs"),
    "platform.*.ingressVIPs": _VIPS.format(key="ingressVIPs"),
    "platform.*.ingressVIP": _VIPS.format(key="ingressVIPs"),
    "platform.*.hosts": "not used here; write the machines as hosts at the top level of this file",
    # The installer writes it as null.
    "metadata.creationTimestamp": None,
    "networking.clusterNetwork[].hostPrefix": None,
    "networking.clusterNetwork[].hostSubnetLength": "not used here; hostPrefix is its name since 4.2",
    # networkConfig, see nmstate.py.
    **dict.fromkeys((f"hosts[].networkConfig.{key}" for key in AFTER_FIRST_BOOT), NO_ARGUMENT),
    **dict.fromkeys((f"hosts[].networkConfig.{key}" for key in WITHOUT_EFFECT), None),
    # The kernel command line has no argument for these two.
    "hosts[].networkConfig.routes.config[].metric": None,
    "hosts[].networkConfig.dns-resolver.config.search": None,
}  # fmt: skip

# Values that say what holds anyway, so that they cause no warning.
_HARMLESS = {f"hosts[].networkConfig.{key}": values for key, values in AFTER_FIRST_BOOT.items() if values}


@dataclass(slots=True)
class _Step:
    """One step of the paths in FOREIGN."""

    below: "dict[str, _Step]" = field(default_factory=dict)
    is_foreign: bool = False  # whether a path ends here
    warning: str | None = None
    harmless: frozenset[str] = frozenset()


def _steps() -> dict[tuple[str, ...], _Step]:
    """Return the root of a tree of all paths at (), and every other step at its path: "a[].b" is ("a", "[]", "b")."""
    steps: dict[tuple[str, ...], _Step] = {(): _Step()}
    for path, warning in FOREIGN.items():
        names = tuple(re.split(r"(?<!802)\.", path.replace("[]", ".[]")))  # 802.1x is one key
        for length in range(1, len(names) + 1):
            above, here = names[: length - 1], names[:length]
            steps[here] = steps[above].below.setdefault(names[length - 1], _Step())
        end = steps[names]
        end.is_foreign, end.warning, end.harmless = True, warning, _HARMLESS.get(path, frozenset())
    return steps


_STEPS = _steps()


def foreign_places(document: Document) -> Iterator[tuple[Path_, str | None]]:
    """Yield the places of foreign keys in *document*, each with its warning or None."""
    yield from _places(document.root, _STEPS[()], ())


def is_foreign(path: Path_) -> bool:
    """Whether the key at *path* is in the table of foreign keys."""
    step = _STEPS.get(tuple("[]" if isinstance(part, int) else part for part in path))
    return step is not None and step.is_foreign


def silent_keys() -> Iterator[tuple[str, ...]]:
    """Yield the steps to each key that is accepted without a warning, at least with some values."""
    yield from (names for names, step in _STEPS.items() if step.is_foreign and (step.warning is None or step.harmless))


def _places(here: Value, step: _Step, path: Path_) -> Iterator[tuple[Path_, str | None]]:
    """Yield the foreign places at and below *path*, whose value is *here*; a key without a value is one as well."""
    if step.is_foreign:
        yield path, None if _spelled(here) in step.harmless else step.warning
    if isinstance(here, Items) and (item := step.below.get("[]")):
        for index, value in enumerate(here):
            yield from _places(value, item, (*path, index))
    elif isinstance(here, Block):
        for key in here.lines:
            for name in (key, "*"):
                if below := step.below.get(name):
                    yield from _places(here.get(key), below, (*path, key))


def _spelled(value: Value) -> str:
    if isinstance(value, Block):
        return ", ".join(f"{key}: {_spelled(item)}" for key, item in value.items())
    return value.strip().lower() if isinstance(value, str) else ""
