"""The load balancer: a correct file with one mistake, and the resulting problem."""

from pathlib import Path

import jsonschema
import pytest
import yaml

from appliance.config.schema import json_schema
from tests.config_files import CLEAN, check_text, check_texts, edited, flaw_id, told

OURS = f"{CLEAN}loadBalancer:\n  engine: haproxy\n"
OTHERS = f"{CLEAN}loadBalancer:\n  engine: external\n"


def with_own(entry: str, base: str = OURS) -> str:
    """Return the file *base* with the front end *entry*, on line 43 if it is one line."""
    return f"{base}  frontends:\n    - {{{entry}}}\n"


FLAWS = [
    (
        f"{CLEAN}loadBalancer: {{engine: f5}}\n",
        '40: loadBalancer.engine: "f5" is not valid; expected haproxy or external',
    ),
    (
        f"{CLEAN}loadBalancer: {{engine: haproxy, frontEnds: []}}\n",
        "40: loadBalancer.frontEnds: unknown key; did you mean frontends?",
    ),
    (
        with_own("port: 5000, roles: worker"),
        "43: loadBalancer.frontends[0].name: is missing; for example `name: registry`",
    ),
    (
        with_own("name: registry, roles: worker"),
        "43: loadBalancer.frontends[0].port: is missing; for example `port: 6385`",
    ),
    (
        with_own("name: the registry, port: 5000, roles: worker"),
        (
            '43: loadBalancer.frontends[0].name: "the registry" is not a valid name (RFC 1123); '
            "use letters, digits and hyphens, with no hyphen at either end"
        ),
    ),
    (
        with_own("name: api-6443, port: 5000, roles: worker"),
        ("43: loadBalancer.frontends[0].name: api-6443 is a front end that every cluster has; choose another name"),
    ),
    (
        with_own("name: one, port: 5000, roles: worker") + "    - {name: one, port: 5001, roles: worker}\n",
        "44: loadBalancer.frontends[1].name: one is given twice (first on line 43); choose another name",
    ),
    (
        with_own("name: registry, port: 5000, roles: worker, allow: 2001:db8::/64"),
        (
            "43: loadBalancer.frontends[0].allow: has IPv6 networks alone, and this front end listens at IPv4 "
            "addresses alone, so nobody would be accepted; write the clients' IPv4 networks"
        ),
    ),
    (
        with_own("name: registry, port: 70000, roles: worker"),
        '43: loadBalancer.frontends[0].port: "70000" is not a whole number from 1 to 65535',
    ),
    *(
        (
            with_own(f"name: registry, port: 5000, hosts: w1, {key}: []"),
            f"43: loadBalancer.frontends[0].{key}: is an empty list; add at least one entry",
        )
        for key in ("roles", "addresses", "allow")
    ),
    (
        with_own("name: registry, port: 5000, hosts: []"),
        "43: loadBalancer.frontends[0].hosts: is an empty list; add at least one entry",
    ),
    (
        with_own("name: registry, port: 5000"),
        "43: loadBalancer.frontends[0]: has no members; write hosts or roles, for example `roles: infra`",
    ),
    (
        with_own("name: registry, port: 5000, roles: infra"),
        (
            "43: warning: loadBalancer.frontends[0].roles: no host has the role infra, so this front end has no "
            "member of it yet"
        ),
    ),
    (
        with_own("name: registry, port: 5000, hosts: [m1, w11]"),
        "43: loadBalancer.frontends[0].hosts[1]: no host is called w11.prod.example.com; did you mean w1?",
    ),
    (
        with_own("name: registry, port: 5000, hosts: quay.example.org"),
        "43: loadBalancer.frontends[0].hosts: no host is called quay.example.org; add it to hosts",
    ),
    (
        with_own("name: registry, port: 5000, hosts: w1, check: {path: /v2/}"),
        "43: loadBalancer.frontends[0].check.path: needs a check of type http or https; add `type: http`",
    ),
    (
        with_own("name: registry, port: 5000, hosts: w1, check: tls"),
        '43: loadBalancer.frontends[0].check: "tls" is not valid; expected tcp, http or https',
    ),
    (
        with_own("name: registry, port: 5000, hosts: w1, check: {type: http, path: 'http://w1/v2/'}"),
        (
            '43: loadBalancer.frontends[0].check.path: "http://w1/v2/" is a URL; '
            "write only its path, for example /healthz"
        ),
    ),
    (
        with_own("name: registry, port: 5000, hosts: w1, check: {type: http, path: '/v2/ HTTP/1.1 # x'}"),
        (
            '43: loadBalancer.frontends[0].check.path: "/v2/ HTTP/1.1 # x" is not the path of a URL; '
            "for example /healthz"
        ),
    ),
    (
        with_own("name: registry, port: 5000, hosts: w1, balance: round-robin"),
        (
            '43: loadBalancer.frontends[0].balance: "round-robin" is not valid; '
            "expected roundrobin or source (HAProxy's word is roundrobin)"
        ),
    ),
    (
        with_own("name: registry, port: 5000, hosts: w1, addresses: 0.0.0.0"),
        (
            "43: loadBalancer.frontends[0].addresses: 0.0.0.0 is no single address; "
            "write those of this front end, or leave addresses out for the API's"
        ),
    ),
    (
        with_own("name: registry, port: 5000, hosts: w1, addresses: 192.0.2.21", OTHERS),
        (
            "43: loadBalancer.frontends[0].addresses: 192.0.2.21 is an address of m1 (line 22), "
            "where no load balancer can listen"
        ),
    ),
    (
        with_own("name: registry, port: 5000, hosts: w1, addresses: 192.0.2.21"),
        (
            "43: loadBalancer.frontends[0].addresses: 192.0.2.21 is an address of m1 (line 22), "
            "where HAProxy cannot listen"
        ),
    ),
    (
        with_own("name: other-api, port: 6443, roles: master"),
        (
            "43: loadBalancer.frontends[0].port: the front end other-api needs 192.0.2.8:6443, which is the port of "
            "the front end api-6443 (line 13); choose another address or port"
        ),
    ),
    (
        with_own("name: one, port: 5000, roles: worker") + "    - {name: two, port: 5000, roles: worker}\n",
        (
            "44: loadBalancer.frontends[1].port: the front end two needs 192.0.2.8:5000, which is the port of "
            "the front end one (line 43); choose another address or port"
        ),
    ),
    (
        with_own("name: other-api, port: 6443, roles: master", OTHERS),
        (
            "43: loadBalancer.frontends[0].port: the front end other-api needs 192.0.2.8:6443, which is the port of "
            "the front end api-6443 (line 13); choose another address or port"
        ),
    ),
    (
        edited(("ingressVIPs: 192.0.2.9", "ingressVIPs: 192.0.2.5"), text=OURS),
        (
            "14: ingressVIPs: the front end ingress-80 needs 192.0.2.5:80, which is the TCP port of listen.http by "
            "default (line 16); choose another address, or another port as listen.http"
        ),
    ),
    (
        f"{OURS}listen:\n  http: 0.0.0.0:80\n",
        (
            "14: ingressVIPs: the front end ingress-80 needs 192.0.2.9:80, which is the TCP port of listen.http "
            "(line 43); choose another address, or another port as listen.http"
        ),
    ),
    (
        with_own("name: metrics, port: 8080, roles: worker") + "listen:\n  dashboard: 192.0.2.8:8080\n",
        (
            "43: loadBalancer.frontends[0].port: the front end metrics needs 192.0.2.8:8080, which is the TCP port of "
            "listen.dashboard (line 45); choose another address, or another port as listen.dashboard"
        ),
    ),
    (
        with_own("name: names, port: 53, roles: worker, addresses: 192.0.2.5"),
        (
            "43: loadBalancer.frontends[0].port: the front end names needs 192.0.2.5:53, which is the TCP port of "
            "listen.dns by default (line 16); choose another address, or another port as listen.dns"
        ),
    ),
    (
        edited(("ingressVIPs: 192.0.2.9", "ingressVIPs: [192.0.2.31]"), text=OURS),
        "37: hosts[4].address: 192.0.2.31 is the ingress's address (ingressVIPs) (line 14); change one of them",
    ),
    (
        f"{OURS}platform:\n  baremetal: {{provisioningNetwork: Disabled}}\n",
        (
            "43: warning: platform.baremetal: nodes of this platform take the VIPs themselves, by keepalived, unless "
            "install-config.yaml has `loadBalancer: {type: UserManaged}` here; with `engine: haproxy`, add that there, "
            "or install with `platform: {none: {}}`"
        ),
    ),
    (
        with_own("name: more, port: 22624, memberPort: 22623, roles: master"),
        (
            "43: warning: loadBalancer.frontends[0]: everybody who reaches it gets machine configs with secrets from "
            "port 22623; add `allow:` with the networks of the nodes"
        ),
    ),
]


@pytest.mark.parametrize(("text", "line"), FLAWS, ids=flaw_id)
def test_flaw_is_reported_with_its_line_and_alone(tmp_path: Path, text: str, line: str) -> None:
    assert told(tmp_path, text) == [line]


def test_member_of_another_family_than_the_appliances_machine_is_an_error(tmp_path: Path) -> None:
    text = edited(
        ("address: 192.0.2.31", "address: 2001:db8::31"),
        ("      gateway: 192.0.2.1\n", "      gateway: 192.0.2.1\n    - cidr: 2001:db8::/64\n"),
        text=OURS,
    )
    assert told(tmp_path, text)[1:] == [
        (
            "38: hosts[4].address: HAProxy on this machine cannot reach w1 over IPv6; add appliance.addressIPv6, or a "
            "second address here"
        )
    ]


CORRECT = [
    f"{OURS}platform: {{none: {{}}}}\n",
    f"{OURS}platform: {{baremetal: {{loadBalancer: {{type: UserManaged}}}}}}\n",
    f"{OTHERS}platform: {{baremetal: {{provisioningNetwork: Disabled}}}}\n",
    OURS,
    OTHERS,
    with_own("name: registry, port: 5000, hosts: [w1], addresses: 192.0.2.9, check: {type: https}, balance: source"),
    with_own("name: more, port: 22624, memberPort: 22623, roles: master, allow: 192.0.2.0/24"),
    # Other machines may have the same port.
    f"{OURS}listen: {{http: '192.0.2.5:80', dashboard: '192.0.2.5:443'}}\n",
    # UDP is another port.
    with_own("name: odd, port: 69, roles: worker, addresses: 192.0.2.5"),
    # Somebody else's load balancer can have any address.
    edited(("ingressVIPs: 192.0.2.9", "ingressVIPs: 192.0.2.5"), text=OTHERS),
]


@pytest.mark.parametrize("text", CORRECT, ids=range(len(CORRECT)))
def test_correct_load_balancer_has_no_problem(tmp_path: Path, text: str) -> None:
    assert told(tmp_path, text) == []


@pytest.mark.parametrize("text", CORRECT, ids=range(len(CORRECT)))
def test_schema_takes_a_correct_load_balancer(text: str) -> None:
    section = yaml.safe_load(text).get("loadBalancer", {})
    jsonschema.validate({"loadBalancer": section}, json_schema() | {"required": []}, jsonschema.Draft7Validator)


def single(text: str) -> str:
    """Return *text* without the other nodes than m1."""
    for name, number in (("m2", 22), ("m3", 23), ("w1", 31)):
        role = "worker" if name == "w1" else "master"
        text = text.replace(
            f"  - hostname: {name}\n    role: {role}\n    macAddress: 52:54:00:00:00:{number}\n"
            f"    address: 192.0.2.{number}\n",
            "",
        )
    return text


def test_single_node_needs_addresses_of_its_load_balancer(tmp_path: Path) -> None:
    """Without them its names are its own address, where HAProxy cannot listen."""
    text = edited(("apiVIPs: 192.0.2.8\ningressVIPs: 192.0.2.9\n", ""), text=single(OURS))
    assert [line.split(";")[0] for line in told(tmp_path, text)] == [
        "1: apiVIPs: is missing",
        "1: ingressVIPs: is missing",
    ]


def test_single_node_may_be_behind_a_load_balancer(tmp_path: Path) -> None:
    assert told(tmp_path, single(OURS)) == []


def test_single_node_does_not_share_its_address_with_haproxy(tmp_path: Path) -> None:
    (line,) = told(tmp_path, edited(("apiVIPs: 192.0.2.8", "apiVIPs: 192.0.2.21"), text=single(OURS)))
    assert line == "25: hosts[1].address: 192.0.2.21 is the API's address (apiVIPs) (line 13); change one of them"


def test_cluster_without_masters_is_an_error(tmp_path: Path) -> None:
    lines = told(tmp_path, OURS.replace("role: master", "role: worker"))
    assert any("no host has the role master" in line and "warning" not in line for line in lines)


def test_front_end_without_an_address_is_an_error(tmp_path: Path) -> None:
    text = edited(
        ("apiVIPs: 192.0.2.8", ""),
        ("dns:\n", "dns:\n  records: [{name: api, type: CNAME, value: lb.example.org.}]\n"),
        text=with_own("name: registry, port: 5000, roles: worker"),
    )
    assert "44: loadBalancer.frontends[0]: has no address, because there are no apiVIPs; write addresses" in told(
        tmp_path, text
    )


def second(text: str) -> str:
    """Return *text* as another cluster, with the same load balancer's addresses."""
    text = text.replace("name: prod", "name: test").replace("52:54:00", "52:54:01")
    for number in (20, 21, 22, 23, 31):
        text = text.replace(f"address: 192.0.2.{number}", f"address: 192.0.2.{number + 100}")
    return text


def conflicts(tmp_path: Path, *texts: str) -> list[str]:
    """Return the problems of *texts*, without missing files."""
    return [line for line in check_texts(tmp_path, texts) if "not found" not in line]


def test_two_clusters_with_haproxy_need_addresses_of_their_own(tmp_path: Path) -> None:
    assert conflicts(tmp_path, OURS, second(OURS))[0] == (
        "b.yaml:13: apiVIPs: the front end api-6443 needs 192.0.2.8:6443, which is the port of the front end api-6443 "
        "(a.yaml:13); choose another address or port"
    )


def test_two_clusters_with_haproxy_and_other_addresses_get_along(tmp_path: Path) -> None:
    other = second(OURS).replace("VIPs: 192.0.2.8", "VIPs: 192.0.2.108").replace("VIPs: 192.0.2.9", "VIPs: 192.0.2.109")
    assert conflicts(tmp_path, OURS, other) == []


def test_load_balancers_of_others_may_share_addresses(tmp_path: Path) -> None:
    assert conflicts(tmp_path, OTHERS, second(OTHERS)) == []


def test_front_end_of_one_cluster_and_service_of_another_are_told_apart(tmp_path: Path) -> None:
    other = second(CLEAN) + "listen: {http: ['192.0.2.5:80', '192.0.2.9:80']}\n"
    (line,) = conflicts(tmp_path, OURS, other)
    assert line == (
        "a.yaml:14: ingressVIPs: the front end ingress-80 needs 192.0.2.9:80, which is the TCP port of listen.http "
        "(b.yaml:40); choose another address, or another port as listen.http"
    )


def test_names_of_clusters_and_front_ends_may_not_run_into_each_other(tmp_path: Path) -> None:
    one = with_own("name: b-api-6443, port: 5000, roles: worker").replace("name: prod", "name: a")
    other = second(OURS).replace("VIPs: 192.0.2.8", "VIPs: 192.0.2.108").replace("VIPs: 192.0.2.9", "VIPs: 192.0.2.109")
    (line,) = conflicts(tmp_path, one, other.replace("name: test", "name: a-b"))
    assert line == (
        "b.yaml:3: metadata.name: HAProxy would have two front ends called a-b-api-6443 (a.yaml:43), "
        "with the clusters' names in front; choose another name"
    )


def test_file_that_is_given_twice_has_one_error(tmp_path: Path) -> None:
    from appliance import config

    path = tmp_path / "a.yaml"
    path.write_text(OURS)
    assert [problem.message for problem in config.check([path, path]).errors if "front end" in problem.message] == []


def test_round_robin_over_hosts_is_not_for_haproxy(tmp_path: Path) -> None:
    text = edited(("ingressVIPs: 192.0.2.9", "ingressVIPs: [192.0.2.21, 192.0.2.22]"), text=OURS)
    assert len([line for line in told(tmp_path, text) if "is the ingress's address" in line]) == 2


def test_engine_that_cannot_be_read_hides_nothing_else(tmp_path: Path) -> None:
    checked = check_text(tmp_path, with_own("name: x, port: 0, roles: worker").replace("haproxy", "f5"))
    assert {problem.path for problem in checked.errors} == {"loadBalancer.engine", "loadBalancer.frontends[0].port"}
