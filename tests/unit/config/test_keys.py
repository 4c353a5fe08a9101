"""Keys in the wrong place: one in an otherwise correct file, and the resulting problem."""

from pathlib import Path

import pytest

from tests.config_files import CLEAN, edited, flaw_id, told


def flow_host(*pairs: str) -> str:
    """Return CLEAN with another host on line 38, in flow style with *pairs*."""
    return edited(("dns:\n", f"  - {{{', '.join(pairs)}, role: worker, address: 192.0.2.32}}\ndns:\n"))


MAC = "macAddress: 52:54:00:00:00:32"
FLAWS = [
    (
        edited(("    address: 192.0.2.31\n", "    address: 192.0.2.31\n    instal:\n")),
        "38: hosts[4].instal: unknown key; did you mean install?",
    ),
    (
        f"{CLEAN}serveExpird:\n",
        "40: serveExpird: unknown key; did you mean serveExpired?",
    ),
    (
        f"{CLEAN}publish:\n",
        "40: warning: publish: not used here; it belongs in install-config.yaml",
    ),
    (
        edited(("networking:\n", "networking:\n  networkType:\n")),
        "6: warning: networking.networkType: not used here; it belongs in install-config.yaml",
    ),
    (
        flow_host("hostname: w2", MAC, "install:never"),
        '38: hosts[5]."install:never": has no space after its colon; write `install: never`',
    ),
    (
        flow_host("hostname:w2", MAC),
        '38: hosts[5]."hostname:w2": has no space after its colon; write `hostname: w2`',
    ),
    (
        flow_host("hostname: w2", MAC.replace(" ", "")),
        (
            '38: hosts[5]."macAddress:52:54:00:00:00:32": has no space after its colon; write '
            "`macAddress: 52:54:00:00:00:32`"
        ),
    ),
    (
        edited(("    macAddress: 52:54:00:00:00:31", "    mac_address: 52:54:00:00:00:31")),
        "36: hosts[4].mac_address: unknown key; did you mean macAddress?",
    ),
    (
        edited(("    macAddress: 52:54:00:00:00:31", "    mac: 52:54:00:00:00:31")),
        "36: hosts[4].mac: unknown key; write macAddress",
    ),
    (
        edited(("apiVIPs:", "api_vips:")),
        "13: api_vips: unknown key; did you mean apiVIPs?",
    ),
    (
        edited(("  - hostname: w1\n", "  - host: w1\n")),
        "34: hosts[4].host: unknown key; write hostname",
    ),
    (
        edited(("metadata:\n  name: prod\n", "metadata:\nname: prod\n")),
        "3: name: unknown key; it belongs to metadata: indent it by two more spaces",
    ),
    (
        f"{CLEAN}menu:\ntimeout: 30\n",
        "41: timeout: unknown key; it belongs to menu: indent it by two more spaces",
    ),
    (
        edited(("metadata:\n  name: prod\n", "metadata: {name: prod}\nname: prod\n")),
        "3: name: unknown key; write metadata.name",
    ),
]


@pytest.mark.parametrize(("text", "expected"), FLAWS, ids=flaw_id)
def test_unknown_key_is_reported_once_and_alone(tmp_path: Path, text: str, expected: str) -> None:
    assert told(tmp_path, text) == [expected]


def test_unknown_key_in_an_alias_is_reported_at_each_place(tmp_path: Path) -> None:
    text = f"{CLEAN}roles:\n  master: &m {{instal: }}\n  worker: *m\n"

    assert told(tmp_path, text) == [
        "41: roles.master.instal: unknown key; did you mean install?",
        "41: roles.worker.instal: unknown key; did you mean install?",
    ]


def test_any_key_may_stand_empty_among_a_bond_s_options(tmp_path: Path) -> None:
    bond = "{name: bond0, type: bond, ipv4: {dhcp: true}, link-aggregation: {mode: 802.3ad, port: [a], options: {b: }}}"
    text = edited(
        ("    address: 192.0.2.31\n", f"    address: 192.0.2.31\n    networkConfig: {{interfaces: [{bond}]}}\n")
    )

    assert told(tmp_path, text) == []


def test_known_key_without_a_value_is_not_reported(tmp_path: Path) -> None:
    assert told(tmp_path, f"{CLEAN}serveExpired:\nmenu:\n  timeout:\n") == []
