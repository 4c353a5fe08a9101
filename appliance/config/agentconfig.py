"""agent-config.yaml for `openshift-install agent`, from the hosts of cluster.yaml."""

import re

import yaml

from appliance.boot.urls import base_url
from appliance.config.document import Block, Items, Value
from appliance.config.draft import Draft
from appliance.config.images import ARTIFACTS_DIRECTORY
from appliance.config.section_drafts import HostDraft
from appliance.config.sections import known
from appliance.errors import ApplianceError
from appliance.model import Boot, Cluster, Release, Role

KIND = "AgentConfig"
# 4.13 knows the older version only, and no URL of the boot artifacts.
_BETA_SINCE = Release(4, 14)
# Keys of nmstate whose values are text, even if they look like a number.
_TEXTS = frozenset({
    "name", "mac-address", "hostname", "description", "profile-name", "base-iface", "next-hop-interface", "port",
    "slaves", "copy-mac-from", "controller", "vrf-name", "mode", "primary", "dhcp-client-id", "dhcp-duid",
    "dhcp-custom-hostname", "identity", "password", "private-key-password",
})  # fmt: skip
# Keys whose single value may be written alone in cluster.yaml. nmstate wants a list.
_LISTS = frozenset({"port", "search", "server", "slaves"})

# What YAML 1.1, which the installer reads, takes for a truth value.
_TRUTHS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}

Plain = str | int | bool | list["Plain"] | dict[str, "Plain"] | None


def agent_config(draft: Draft, cluster: Cluster) -> str:
    """Return agent-config.yaml for *cluster*, which *draft* became. Raises ApplianceError if a host lacks a name."""
    is_beta = cluster.release >= _BETA_SINCE
    document: dict[str, Plain] = {
        "apiVersion": "v1beta1" if is_beta else "v1alpha1",
        "kind": KIND,
        "metadata": {"name": cluster.name},
        "rendezvousIP": str(cluster.rendezvous),
    }
    if draft.file.additional_ntp_sources:
        document["additionalNTPSources"] = [str(source) for source in draft.file.additional_ntp_sources]
    if is_beta:
        document["bootArtifactsBaseURL"] = f"{base_url(cluster)}/{ARTIFACTS_DIRECTORY}"
    document["hosts"] = [_host(host, draft) for host in draft.hosts if host.boot is Boot.AGENT]
    return yaml.safe_dump(document, sort_keys=False, default_flow_style=False)


def _host(host: HostDraft, draft: Draft) -> dict[str, Plain]:
    role = known(host.role).value
    found: dict[str, Plain] = {
        "hostname": known(host.name).value,
        # An infra node is a worker until it is labelled.
        "role": (Role.WORKER if role is Role.INFRA else role).value,
    }
    if hints := host.entry.root_device_hints or host.of_role.root_device_hints:
        found["rootDeviceHints"] = {"deviceName": known(hints.device_name)}
    found["interfaces"] = [
        {"name": name, "macAddress": str(mac.value)} for name, mac in zip(_names(host, draft), host.macs, strict=True)
    ]
    network = draft.document.value_at((*host.path, "networkConfig"))
    if network is not None:
        found["networkConfig"] = _plain(network)
    return found


def _names(host: HostDraft, draft: Draft) -> list[str]:
    """Return a name for each card of *host*: those that its networkConfig uses, where there is one."""
    names = {mac: name for name, mac in host.named_macs.items()}
    config = host.entry.network_config
    if config is None:
        return [names.get(mac.value, f"nic{number}") for number, mac in enumerate(host.macs)]
    cards = [each for each in config.interfaces if each.type == "ethernet" and each.name]
    for card in cards:
        if card.mac_address and card.name:
            names.setdefault(card.mac_address, card.name)
    if len(cards) == len(host.macs) == 1 and cards[0].name:
        names.setdefault(host.macs[0].value, cards[0].name)
    unnamed = [str(mac.value) for mac in host.macs if mac.value not in names]
    if unnamed:
        line = draft.document.line_of((*host.path, "networkConfig"))
        raise ApplianceError(
            f"{draft.document.file}:{line}: {host.label}: networkConfig does not say which of its interfaces is "
            f"{' and which is '.join(unnamed)}; write `interfaces` with name and macAddress in place of macAddress"
        )
    return [names[mac.value] for mac in host.macs]


def _plain(value: Value, key: str = "") -> Plain:
    """Return *value*, which was read as text, as what an editor of nmstate reads."""
    match value:
        case Block():
            parts = {name: _plain(part, name) for name, part in value.items()}
            return {name: [part] if name in _LISTS and isinstance(part, str) else part for name, part in parts.items()}
        case Items():
            return [_plain(part, key) for part in value]
        # A number that begins with 0 is one of a text, such as an identifier.
        case str() if key not in _TEXTS and re.fullmatch(r"-?(0|[1-9]\d{0,9})", value):
            return int(value)
        case str() if key not in _TEXTS and value.lower() in _TRUTHS:
            return _TRUTHS[value.lower()]
        case _:
            return value
