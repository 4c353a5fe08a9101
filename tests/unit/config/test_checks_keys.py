"""Unknown, missing and doubled keys, and values of the wrong kind: one flaw in a clean file, and what is told."""

import re
from pathlib import Path

import pytest

from tests.config_files import CLEAN, edited, flaw_id, told

FLAWS = [
    (
        edited(("address: 192.0.2.22", "adress: 192.0.2.22")),
        "29: hosts[2].adress: is no key here; did you mean address?",
    ),
    (
        edited(("baseDomain:", "base_domain:")),
        "1: base_domain: is no key here; did you mean baseDomain?",
    ),
    (
        f"{CLEAN}menu: {{colour: red}}\n",
        "40: menu.colour: is no key here; known are timeout, knownHostTimeout",
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
        "5: release: the key is here a second time (the first is on line 4); keep one",
    ),
    (
        edited(("    address: 192.0.2.22\n", "")),
        "26: hosts[2].address: is missing; write it as `address: 192.0.2.21`",
    ),
    (
        edited(("address: 192.0.2.22", "address:")),
        "29: hosts[2].address: has nothing behind it; write it as `address: 192.0.2.21`",
    ),
    (
        edited(("release: 4.16.3\n", "")),
        "1: release: is missing; write it as `release: 4.16.3`",
    ),
    (
        edited(("appliance:\n  address: 192.0.2.5\n", "")),
        "1: appliance: is missing; write it as `appliance:` with its entries below it",
    ),
    (
        edited(("release: 4.16.3", "release: 3.11")),
        '4: release: "3.11" is too old: machines boot from the network by Ignition from 4.1 on',
    ),
    (
        edited(("release: 4.16.3", "release: latest")),
        '4: release: "latest" is not a release; write it as 4.16 or 4.16.3',
    ),
    (
        edited(
            ("  - hostname: w1\n    role: worker\n    macAddress: 52:54:00:00:00:31\n    address: 192.0.2.31", "  - w1")
        ),
        '34: hosts[4]: "w1" stands here; write a mapping, `key: value` on lines of their own',
    ),
    (
        edited(("address: 192.0.2.22", "address: [192.0.2.22]")),
        "29: hosts[2].address: a list stands here; write one value, as 192.0.2.21",
    ),
    (
        f"{CLEAN}menu: []\n",
        "40: menu: a list stands here; write a mapping, `key: value` on lines of their own",
    ),
    (
        re.sub(r"hosts:\n(  .*\n)+", "hosts: m1\n", CLEAN),
        '17: hosts: "m1" stands here; write a list, each entry behind a `- `',
    ),
    (
        re.sub(r"hosts:\n(  .*\n)+", "hosts: []\n", CLEAN),
        "17: hosts: is an empty list; at least one entry belongs here",
    ),
    (
        f"apiVersion: v2\n{CLEAN}",
        '1: apiVersion: "v2" is not known here; write v1',
    ),
    (
        f"{CLEAN}serveExpired: maybe\n",
        '40: serveExpired: "maybe" is neither true nor false',
    ),
    (
        f"{CLEAN}menu: {{timeout: 2d}}\n",
        '40: menu.timeout: "2d" is 172800 s; from 0 s to 86400 s is right here',
    ),
    (
        f"{CLEAN}dataDir: ~/boot\n",
        '40: dataDir: "~/boot" is not expanded here; write the whole path, or one relative to this file',
    ),
]


@pytest.mark.parametrize(("text", "expected"), FLAWS, ids=flaw_id)
def test_flaw_is_told_with_its_line_and_alone(tmp_path: Path, text: str, expected: str) -> None:
    assert told(tmp_path, text) == [expected]
