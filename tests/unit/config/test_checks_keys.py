"""Unknown, missing and duplicate keys, and values of the wrong kind, each in an otherwise correct file."""

import re
from pathlib import Path

import pytest

from tests.config_files import CLEAN, edited, flaw_id, told

FLAWS = [
    (
        edited(("address: 192.0.2.22", "adress: 192.0.2.22")),
        "29: hosts[2].adress: unknown key; did you mean address?",
    ),
    (
        edited(("baseDomain:", "base_domain:")),
        "1: base_domain: unknown key; did you mean baseDomain?",
    ),
    (
        f"{CLEAN}menu: {{colour: red}}\n",
        "40: menu.colour: unknown key; valid keys here: timeout, knownHostTimeout",
    ),
    (
        f"{CLEAN}pullSecret: x\n",
        (
            "40: warning: pullSecret: not used here; it belongs in install-config.yaml only. "
            "Remove this secret from the file"
        ),
    ),
    (
        edited(("networking:\n", "networking:\n  networkType: OVNKubernetes\n")),
        "6: warning: networking.networkType: not used here; it belongs in install-config.yaml",
    ),
    (
        edited(("release: 4.16.3", "release: 4.16.3\nrelease: 4.17")),
        "5: release: duplicate key (first on line 4); keep one of them",
    ),
    (
        edited(("    address: 192.0.2.22\n", "")),
        "26: hosts[2].address: is missing; for example `address: 192.0.2.21`",
    ),
    (
        edited(("address: 192.0.2.22", "address:")),
        "29: hosts[2].address: has no value; for example `address: 192.0.2.21`",
    ),
    (
        edited(("release: 4.16.3\n", "")),
        "1: release: is missing; for example `release: 4.16.3`",
    ),
    (
        edited(("appliance:\n  address: 192.0.2.5\n", "")),
        "1: appliance: is missing; write `appliance:`, and its keys indented below it",
    ),
    (
        edited(("release: 4.16.3", "release: 3.11")),
        '4: release: "3.11" is too old; machines are installed with Ignition since 4.1',
    ),
    (
        edited(("release: 4.16.3", "release: latest")),
        '4: release: "latest" is not a release; for example 4.16 or 4.16.3',
    ),
    (
        edited(
            ("  - hostname: w1\n    role: worker\n    macAddress: 52:54:00:00:00:31\n    address: 192.0.2.31", "  - w1")
        ),
        '34: hosts[4]: expected a mapping, got "w1"; write each "key: value" on a line of its own',
    ),
    (
        edited(("address: 192.0.2.22", "address: [192.0.2.22]")),
        "29: hosts[2].address: expected a single value, got a list; for example 192.0.2.21",
    ),
    (
        f"{CLEAN}menu: []\n",
        '40: menu: expected a mapping, got a list; write each "key: value" on a line of its own',
    ),
    (
        re.sub(r"hosts:\n(  .*\n)+", "hosts: m1\n", CLEAN),
        '17: hosts: expected a list, got "m1"; start each item with "- "',
    ),
    (
        re.sub(r"hosts:\n(  .*\n)+", "hosts: []\n", CLEAN),
        "17: hosts: is an empty list; add at least one entry",
    ),
    (
        f"apiVersion: v2\n{CLEAN}",
        '1: apiVersion: expected v1, got "v2"',
    ),
    (
        f"{CLEAN}serveExpired: maybe\n",
        '40: serveExpired: "maybe" is neither true nor false',
    ),
    (
        f"{CLEAN}menu: {{timeout: 2d}}\n",
        '40: menu.timeout: "2d" is 172800 s; expected 0 s to 86400 s',
    ),
    (
        f"{CLEAN}dataDir: ~/boot\n",
        ('40: dataDir: "~/boot" begins with ~, which is not expanded; write a full path, or one relative to this file'),
    ),
]


@pytest.mark.parametrize(("text", "expected"), FLAWS, ids=flaw_id)
def test_flaw_is_reported_with_its_line_and_alone(tmp_path: Path, text: str, expected: str) -> None:
    assert told(tmp_path, text) == [expected]
