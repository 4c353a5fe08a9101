"""Where services listen: a correct file with one mistake, and the resulting problem."""

from pathlib import Path

import pytest

from tests.config_files import CLEAN, flaw_id, told

FLAWS = [
    (
        f"{CLEAN}listen: {{http: []}}\n",
        "40: listen.http: is an empty list; add at least one entry",
    ),
    (
        f"{CLEAN}listen:\n  http: 0.0.0.0:8080\n  dashboard: 127.0.0.1:8080\n",
        ("42: listen.dashboard: 127.0.0.1:8080 is already the TCP port of listen.http (line 41); choose another port"),
    ),
    (
        f"{CLEAN}listen: {{dashboard: 0.0.0.0:80}}\n",
        (
            "40: listen.dashboard: 0.0.0.0:80 is already the TCP port of listen.http by default (line "
            "16); choose another port"
        ),
    ),
    (
        f"{CLEAN}listen: {{http: ['192.0.2.5', '127.0.0.1:8080']}}\n",
        (
            "40: listen.http[1]: 127.0.0.1:8080 is already the TCP port of listen.dashboard by default "
            "(line 40); choose another port"
        ),
    ),
    (
        f"{CLEAN}listen: {{http: ['127.0.0.1:8088', '[::]:80']}}\n",
        (
            "40: warning: listen.http: does not include 192.0.2.5, the appliance's own address (line 16), "
            "but machines will be sent to http://192.0.2.5:8088; "
            "add 192.0.2.5, unless something else forwards that address to the appliance"
        ),
    ),
    (
        f"{CLEAN}listen: {{http: '192.0.2.5:8081'}}\n".replace(
            "gateway: 192.0.2.1\n", "gateway: 192.0.2.1\n      serverAddress: 192.0.2.6\n"
        ),
        (
            "41: warning: listen.http: does not include 192.0.2.6, the appliance's address there (line 9), "
            "but machines will be sent to http://192.0.2.6:8081; "
            "add 192.0.2.6, unless something else forwards that address to the appliance"
        ),
    ),
    (
        f"{CLEAN}listen: {{dns: ['192.0.2.5:53', '0.0.0.0:53']}}\n",
        "40: listen.dns[1]: 0.0.0.0:53 is already the TCP port of listen.dns (line 40); choose another port",
    ),
    (
        f"{CLEAN}listen:\n  tftp: 192.0.2.5:67\n",
        "41: listen.tftp: 192.0.2.5:67 is the UDP port of the DHCP server; choose another port",
    ),
    (
        f"{CLEAN}listen:\n  http: 192.0.2.5:99999\n",
        '41: listen.http: "99999" is not a whole number from 1 to 65535',
    ),
    (
        f"{CLEAN}listen:\n  dhcp: an-interface-of-no-kernel\n",
        (
            '41: listen.dhcp: "an-interface-of-no-kernel" is not an interface name; Linux uses names '
            "like eno1 or ens192, of at most 15 characters"
        ),
    ),
]


@pytest.mark.parametrize("http", ["192.0.2.5:8081", "0.0.0.0:8081", "['127.0.0.1:8088', '192.0.2.5']"])
def test_web_server_that_listens_where_machines_are_sent_is_not_a_problem(tmp_path: Path, http: str) -> None:
    assert told(tmp_path, f"{CLEAN}listen: {{http: {http}}}\n") == []


@pytest.mark.parametrize(("text", "expected"), FLAWS, ids=flaw_id)
def test_flaw_is_reported_with_its_line_and_alone(tmp_path: Path, text: str, expected: str) -> None:
    assert told(tmp_path, text) == [expected]
