"""HAProxy accepts the configuration of every cluster.yaml that is accepted, and no value writes a line of its own."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from appliance import config
from appliance.balancer import versions
from appliance.balancer.compile import front_ends
from appliance.balancer.haproxy import NO_SERVER_STATE, Settings, configuration
from appliance.balancer.membership import Admin, Standing
from appliance.errors import ConfigError
from appliance.model import Endpoint, FrontEnd, HealthCheck, Member, Probe
from tests.config_files import CLEAN
from tests.haproxy import INSTALLED, MISSING, judgement, version_of

HOSTS = ("bs", "m1", "m2", "m3", "w1")
labels = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,20}[A-Za-z0-9])?", fullmatch=True)
ports = st.integers(1, 65535)
networks = st.builds(
    lambda octets, length: f"{IPv4Address(int.from_bytes(octets) >> (32 - length) << (32 - length))}/{length}",
    st.binary(min_size=4, max_size=4),
    st.integers(1, 32),
)
paths = st.from_regex(r"/[A-Za-z0-9._~/?&=%:@+,-]{0,60}", fullmatch=True)
checks = st.one_of(
    st.sampled_from(["tcp", "http", "https"]),
    st.fixed_dictionaries({"type": st.sampled_from(["http", "https"])}, optional={"path": paths, "port": ports}),
)
entries = st.fixed_dictionaries(
    {"name": labels, "port": ports, "hosts": st.lists(st.sampled_from(HOSTS), min_size=1, unique=True)},
    optional={
        "check": checks,
        "memberPort": ports,
        "balance": st.sampled_from(["roundrobin", "source"]),
        "addresses": st.sampled_from([["192.0.2.8"], ["192.0.2.9"], ["192.0.2.8", "192.0.2.9"]]),
        # HAProxy has at most 64 words in a line.
        "allow": st.lists(networks, max_size=100),
    },
)
standings = st.lists(st.builds(Standing, st.sampled_from(Admin)), min_size=5, max_size=5)


def written(frontends: list[dict[str, object]], directory: Path) -> tuple[FrontEnd, ...]:
    """Return the front ends of a cluster.yaml with *frontends*; none if it is refused."""
    document = yaml.load(CLEAN, yaml.BaseLoader) | {"loadBalancer": {"engine": "haproxy", "frontends": frontends}}
    path = directory / "cluster.yaml"
    path.write_text(yaml.safe_dump(document))
    try:
        (cluster,) = config.load([path], directory)
    except ConfigError:
        return ()
    return front_ends(cluster)


@pytest.mark.skipif(bool(MISSING), reason=MISSING)
@settings(max_examples=40, deadline=None)
@given(st.lists(entries, max_size=3, unique_by=(lambda entry: entry["name"], lambda entry: entry["port"])), standings)
@example([{"name": "x", "port": 1, "hosts": ["m1"], "check": {"type": "http", "path": "/%" + "a" * 198}}], [])
@example([{"name": "x", "port": 1, "hosts": ["m1"], "allow": ["0.0.0.0/0", "2001:db8::/32"]}], [])
def test_accepted_cluster_has_an_accepted_configuration(
    frontends: list[dict[str, object]], wanted: Sequence[Standing]
) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        found = written(frontends, directory)
        if not found:
            return
        (directory / "servers").write_text(NO_SERVER_STATE)
        here = Settings(
            version_of(INSTALLED), f"{name}/stats", f"{name}/log", server_state=f"{name}/servers", connections=100
        )
        members = [(front_end.name, member.host) for front_end in found for member in front_end.members]
        assert judgement(configuration(found, dict(zip(members, wanted, strict=False)), here), directory) == ""


ORDINARY = FrontEnd(
    "own",
    (Endpoint(IPv4Address("192.0.2.8"), 5000),),
    (Member("m1.example", "m1", IPv4Address("192.0.2.21")),),
    5000,
    HealthCheck(Probe.HTTPS, "/", tls_name="api-int.example"),
)


def words(front_end: FrontEnd) -> list[int]:
    """Return how many words each line of the configuration of *front_end* has."""
    here = Settings(ca_files={front_end.name: "/ca.pem"})
    return [len(line.split()) for line in configuration((front_end,), {}, here).split("\n")]


@given(st.text())
@example("a\n    server evil 192.0.2.66:1")
@example("a b")
def test_no_value_writes_a_word_of_its_own(text: str) -> None:
    check, member = ORDINARY.check, ORDINARY.members[0]
    for front_end in (
        replace(ORDINARY, name=text),
        replace(ORDINARY, members=(replace(member, name=text),)),
        replace(ORDINARY, check=replace(check, path=text)),
        replace(ORDINARY, check=replace(check, tls_name=text or "x")),
    ):
        try:
            found = words(front_end)
        except ValueError:
            continue
        # An empty path is still a word short.
        assert found == words(ORDINARY) or not text


@given(st.text(max_size=300) | st.from_regex(r"HA-?Proxy version [0-9.]+.*", fullmatch=True))
def test_any_banner_has_a_version_or_an_error_in_words(text: str) -> None:
    for reader in (versions.of_banner, versions.of_text):
        error = ""
        try:
            assert reader(text) >= versions.OLDEST
        except versions.UnknownVersionError as refused:
            error = str(refused)
        assert len(error) < 400
        assert error.isprintable()
