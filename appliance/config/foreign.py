"""Keys of install-config.yaml and agent-config.yaml that the appliance accepts and does not use.

They allow a section to be pasted as it is. A key that the user should know about
causes a warning; the others are accepted silently.
"""

from collections.abc import Iterator

from appliance.config.document import Block, Document, Items, Path_, Value

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
    # Keys of nmstate that the installer's network does not depend on.
    **dict.fromkeys(
        ("hosts[].networkConfig." + key for key in (
            "hostname", "route-rules", "dns-resolver.running", "routes.running", "dns-resolver.config.options",
            *(f"interfaces[].{key}" for key in (
                "description", "lldp", "profile-name", "ethtool", "ethernet", "alt-names", "wait-ip", "min-mtu",
                "max-mtu", "mptcp", "accept-all-mac-addresses", "permanent-mac-address", "driver")),
            *(f"interfaces[].{family}.{key}" for family in ("ipv4", "ipv6") for key in (
                "auto-gateway", "auto-routes", "auto-route-table-id", "auto-route-metric", "dhcp-send-hostname",
                "dhcp-custom-hostname", "allow-extra-address", "forwarding")),
            "interfaces[].ipv4.dhcp-client-id",
            *(f"interfaces[].ipv6.{key}" for key in ("dhcp-duid", "addr-gen-mode", "token")),
            *(f"routes.config[].{key}" for key in ("route-type", "weight", "cwnd", "source")),
        )),
        "not used: the kernel command line has no argument for it",
    ),
    # nameserver= takes precedence over the servers that DHCP names.
    "hosts[].networkConfig.interfaces[].ipv4.auto-dns": None,
    "hosts[].networkConfig.interfaces[].ipv6.auto-dns": None,
    # The kernel command line has no argument for these two.
    "hosts[].networkConfig.routes.config[].metric": None,
    "hosts[].networkConfig.dns-resolver.config.search": None,
}  # fmt: skip

# The same with each path split into steps: "a[].b" is ("a", "[]", "b").
_STEPS = {tuple(path.replace("[]", ".[]").split(".")): warning for path, warning in FOREIGN.items()}


def foreign_places(document: Document) -> Iterator[tuple[Path_, str | None]]:
    """Yield the places of foreign keys in *document*, each with its warning or None."""
    for steps, warning in _STEPS.items():
        for path in _matches(document.root, steps):
            yield path, warning


def is_foreign(path: Path_) -> bool:
    """Whether the key at *path* is in the table of foreign keys."""
    return tuple("[]" if isinstance(part, int) else part for part in path) in _STEPS


def silent_keys() -> Iterator[tuple[str, ...]]:
    """Yield the steps to each key that is accepted without a warning."""
    yield from (steps for steps, warning in _STEPS.items() if warning is None)


def _matches(here: Value, steps: tuple[str, ...]) -> Iterator[Path_]:
    """Yield the paths below *here* that *steps* lead to, also to keys without a value."""
    step, rest = steps[0], steps[1:]
    parts: list[str | int] = []
    if isinstance(here, Items) and step == "[]":
        parts += range(len(here))
    elif isinstance(here, Block):
        parts += [key for key in here.lines if step in {key, "*"}]
    for part in parts:
        if not rest:
            yield (part,)
        elif isinstance(here, Items) and isinstance(part, int):
            yield from ((part, *path) for path in _matches(here[part], rest))
        elif isinstance(here, Block) and isinstance(part, str):
            yield from ((part, *path) for path in _matches(here.get(part), rest))
