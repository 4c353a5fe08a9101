"""The load balancer of a rehearsal: HAProxy in the lab, in the place of whatever answers at the cluster's VIPs."""

import asyncio
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import yaml

from appliance.config import load
from appliance.control_client import SOCKET_NAME, Json, ask
from appliance.errors import ConfigError, ControlError, SimulationError
from appliance.model import Boot, Cluster, Engine, Host, Role
from appliance.simulate.certificate import OPENSSL
from appliance.simulate.namespace import SEARCHED

WAIT_SECONDS = 40.0  # several rounds of health checks
POLL_SECONDS = 0.25


def why_no_haproxy(cluster: Cluster, *, in_lab: bool) -> str:
    """Return why HAProxy cannot be the load balancer in a rehearsal of *cluster*; "" if it can."""
    vips = (*cluster.api_int_vips, *cluster.api_vips, *cluster.ingress_vips)
    nodes = {address: host for host in cluster.hosts for address in host.addresses}
    taken = next((vip for vip in vips if vip in nodes), None)
    if not in_lab:
        return "the loopback interface does not have its addresses"
    if not cluster.api_int_vips or not cluster.ingress_vips:
        return "cluster.yaml has no VIPs"
    if taken:
        return f"the VIP {taken} is an address of {nodes[taken].short_name}"
    for program in ("haproxy", OPENSSL):
        if shutil.which(program, path=SEARCHED) is None:
            return f"the program {program} is not installed (package {program})"
    return ""


def with_engine(source: Path, target: Path, engine: Engine) -> None:
    """Write the cluster.yaml *source* to *target* with another *engine* of its load balancer. Raises SimulationError.

    *target* may be *source*.
    """
    text = source.read_text()
    root = yaml.compose(text, yaml.BaseLoader)
    assert isinstance(root, yaml.MappingNode)  # as load() demands
    section: dict[str, object] = {}
    if found := next((entry for entry in root.value if entry[0].value == "loadBalancer"), None):
        key, value = found
        # A section of its own can be cut out: not one inside braces, nor the alias of one that stands elsewhere.
        if root.flow_style or value.start_mark.index < key.end_mark.index:
            raise SimulationError(f"{source}: write loadBalancer: at the start of a line, for the demo to replace it")
        # BaseLoader keeps every scalar as text.
        section = yaml.load(text, yaml.BaseLoader)["loadBalancer"] or {}  # noqa: S506 - it creates strings only
        text = text[: key.start_mark.index] + text[value.end_mark.index :]
    changed = {**section, "engine": engine.value}
    target.write_text(f"{text.rstrip()}\n{yaml.safe_dump({'loadBalancer': changed}, sort_keys=False)}")


def put_haproxy_in(source: Path, directory: Path, *, in_lab: bool) -> tuple[Path, str]:
    """Return the cluster.yaml to rehearse *source* with, and in a line what its load balancer is.

    It is a changed copy in *directory* unless *source* says the same. Raises ConfigError.
    """
    (cluster,) = load([source], directory)
    vips = ", ".join(map(str, dict.fromkeys((*cluster.api_int_vips, *cluster.api_vips, *cluster.ingress_vips))))
    engine, copy = cluster.load_balancer.engine, directory / "cluster.yaml"
    why_not = why_no_haproxy(cluster, in_lab=in_lab)
    if not why_not and engine is Engine.HAPROXY:
        return source, f"HAProxy is the load balancer at {vips}"
    if not why_not:
        with_engine(source, copy, Engine.HAPROXY)
        try:
            load([copy], directory)
        except ConfigError as error:
            why_not = str(error).replace(str(copy), str(source))
        else:
            return copy, f"HAProxy takes the place of the external load balancer at {vips}"
    if engine is not Engine.EXTERNAL:
        with_engine(source, copy, Engine.EXTERNAL)
        source = copy
    return source, f"there is no load balancer, because {why_not}"


class Operator:
    """Looks at a running appliance's balancer and gives orders, as an operator does by `ocp-appliance balancer`."""

    def __init__(self, cluster: Cluster, data_dir: Path) -> None:
        self._cluster, self._path = cluster, data_dir / SOCKET_NAME

    async def status(self) -> Json:
        """Return what `ocp-appliance balancer -o json` prints. Raises ControlError."""
        return (await self._ask("balancer"))[0]

    async def _rows(self) -> list[Json]:
        balancer = (await self.status()).get("balancer")
        if not isinstance(balancer, dict):
            raise ControlError("the appliance drives no load balancer")
        if balancer["trouble"]:
            raise ControlError(str(balancer["trouble"]))
        return list(balancer["rows"])

    async def drain(self, host: Host) -> None:
        """Take *host* out of every front end. Raises ControlError."""
        for answer in await self._ask("balance", order="drain", hosts=[host.name]):
            if "refused" in answer:
                raise ControlError(str(answer["refused"]))

    async def wait(self, complaints: Callable[[Iterable[Json]], list[str]]) -> list[str]:
        """Wait until there are no *complaints* about the rows; return those that remain after WAIT_SECONDS."""
        deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
        while True:
            try:
                found = complaints(await self._rows())
            except ControlError as error:
                found = [str(error)]
            if not found or asyncio.get_running_loop().time() > deadline:
                return found
            await asyncio.sleep(POLL_SECONDS)

    async def _ask(self, verb: str, **details: object) -> list[Json]:
        return await asyncio.to_thread(lambda: list(ask(self._path, verb, **details)))

    def about_masters(self, rows: Iterable[Json]) -> list[str]:
        """Return which masters get no connections although they should."""
        return _idle(rows, self._hosts((Role.MASTER,)))

    def about_all(self, rows: Iterable[Json]) -> list[str]:
        """Return which machines get no connections although they should, and a bootstrap that still gets some."""
        rows = list(rows)
        bootstraps = self._hosts((Role.BOOTSTRAP,))
        still = [row for row in rows if row["host"] in bootstraps and row["state"] == "up"]
        return [
            *_idle(rows, self._hosts((Role.MASTER, Role.WORKER, Role.INFRA))),
            *(f"{row['name']} still gets connections of {row['front_end']}" for row in still),
        ]

    def _hosts(self, roles: Sequence[Role]) -> set[str]:
        """Return the machines of *roles* that are simulated, by their full names."""
        return {host.name for host in self._cluster.hosts if host.role in roles and host.boot is not Boot.NOTHING}


def _idle(rows: Iterable[Json], hosts: set[str]) -> list[str]:
    """Return what is wrong with the *hosts* in *rows* that get no connections, and those that have no row."""
    rows = list(rows)
    down = [row for row in rows if row["host"] in hosts and row["state"] != "up"]
    missing = sorted(hosts - {str(row["host"]) for row in rows})
    return [
        *(f"{row['name']} gets no connections of {row['front_end']}: {_state(row)}" for row in down),
        *(f"the load balancer does not know {host}" for host in missing),
    ]


def _state(row: Json) -> str:
    return f"{row['state']}, {row['check']}" if row["check"] else str(row["state"])
