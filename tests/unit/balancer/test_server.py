"""The balancer with the installed HAProxy: what it starts, tells, reloads, mends and survives."""

import asyncio
import errno
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.balancer import configured, files, runtime, server
from appliance.balancer.compile import all_front_ends
from appliance.balancer.server import Balancer
from appliance.balancer.trusted import Authorities
from appliance.errors import ListenError
from appliance.model import Engine, HealthCheck, LoadBalancer, OwnFrontEnd, Probe, Role
from tests.balancer_lab import API, MACHINE_CONFIG, Lab, balancer_lab, full, tls, until
from tests.balancer_nodes import API_INT, Authority
from tests.haproxy import MISSING
from tests.unit.openshift.test_ignition import bootstrap, file

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)
BOTH = (API, MACHINE_CONFIG)
DOMAIN = "ocp45.example.localdomain"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with balancer_lab(tmp_path) as made:
        yield made


async def _worker(lab: Lab) -> int:
    return runtime.info(await runtime.ask(lab.place.stats, "show info")).pid


async def _heard(balancer: Balancer, members: int = 8) -> None:
    """Wait until HAProxy has loaded the text on disk, which has that many *members*."""
    config = balancer._config
    await until(
        lambda: len(balancer.reports) == members and balancer._told_mark == config.mark, f"{members} reports loaded"
    )


def _admins(balancer: Balancer, name: str) -> set[str]:
    return {balancer.reports[front_end, full(name)].admin for front_end in BOTH}


@pytest.fixture(autouse=True)
def descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no more connections than this process's limit allows, where the unit has another."""
    monkeypatch.setattr(configured, "SERVICE_DESCRIPTORS", resource.getrlimit(resource.RLIMIT_NOFILE)[1])


@asynccontextmanager
async def service(lab: Lab, *, has_socket: bool = True) -> AsyncIterator["subprocess.Popen[bytes]"]:
    """Run HAProxy as its unit does, apart from the balancer, once there is a configuration."""
    directory = lab.directory / "service"
    directory.mkdir()
    lab.environment = {files.SOCKETS_VARIABLE: str(directory), files.STATE_VARIABLE: str(directory)}
    place = lab.place
    async with lab.running():
        await until(place.config.exists, "a configuration")
    words = ["-S", f"{place.master},mode,660"] if has_socket else []
    command = ["/usr/sbin/haproxy", "-W", *words, "-f", str(place.config)]
    with (lab.directory / "haproxy.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        await until(lambda: place.stats.exists() or None, "a worker")
        lab.events.clear()
        yield process
    finally:
        process.terminate()
        process.wait()


def _wrapper(directory: Path, text: str) -> None:
    """Write a program *haproxy* to *directory*."""
    directory.mkdir()
    program = directory / "haproxy"
    program.write_text(text)
    program.chmod(0o755)


async def test_haproxy_is_started_with_every_member(lab: Lab) -> None:
    async with lab.running() as balancer:
        await _heard(balancer)
        assert (balancer.trouble, set(lab.kinds())) == (None, {"balancer.config"})


async def test_haproxy_ends_with_the_balancer(lab: Lab) -> None:
    async with lab.running() as balancer:
        await _heard(balancer)
        worker = await _worker(lab)
    await until(lambda: not Path(f"/proc/{worker}").exists(), "the end of the worker")


async def test_haproxy_ends_with_an_appliance_that_is_killed(lab: Lab) -> None:
    # A child of this test that does nothing but run HAProxy.
    async with lab.running():
        await until(lab.place.config.exists, "a configuration")
    code = (
        "import asyncio; from appliance.balancer.process import Child; from pathlib import Path\n"
        "async def main():\n"
        f"    child = Child(['/usr/sbin/haproxy', '-W', '-f', Path({str(lab.place.config)!r})], print)\n"
        "    child.may_start.set()\n"
        "    await child.run()\n"
        "asyncio.run(main())"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        worker = 0
        while not worker:
            with suppress(runtime.UnheardError):
                worker = await _worker(lab)
            await asyncio.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    await until(lambda: not Path(f"/proc/{worker}").exists(), "the end of the worker")


async def test_member_that_answers_is_told_once_for_each_front_end(lab: Lab) -> None:
    await lab.members["m1"].start()
    async with lab.running():
        await until(lambda: len(lab.lines("balancer.up")) == 2, "two events")
        assert all(f"host={full('m1')}" in line for line in lab.lines("balancer.up"))


async def test_member_that_never_answered_is_not_told_to_fail(lab: Lab) -> None:
    async with lab.running() as balancer:
        await until(
            lambda: len(balancer.reports) == 8 and all(r.is_checked for r in balancer.reports.values()), "checks"
        )
        assert lab.lines("balancer.down") == []


@pytest.mark.slow  # three checks have to fail
async def test_member_that_fails_is_told_with_the_reason(lab: Lab) -> None:
    await lab.members["m1"].start()
    async with lab.running() as balancer:
        await until(lambda: balancer.has_master(DOMAIN), "m1")
        lab.members["m1"].status = 500
        await until(lambda: "balancer.down" in lab.kinds(), "an event")
        assert "why='failed: HTTP 500'" in lab.lines("balancer.down")[0]


async def test_bootstrap_machine_is_no_master(lab: Lab) -> None:
    await lab.members["bs"].start()
    async with lab.running() as balancer:
        await until(lambda: len(lab.lines("balancer.up")) == 2, "bs")
        assert balancer.has_master(DOMAIN) is False


async def test_nothing_is_known_before_haproxy_is_heard(lab: Lab) -> None:
    assert lab.balancer().has_master(DOMAIN) is None


async def test_nothing_is_known_of_a_cluster_with_another_load_balancer(lab: Lab) -> None:
    (cluster,) = lab.clusters
    lab.clusters = (cluster, replace(cluster, base_domain="other.example", load_balancer=LoadBalancer(Engine.EXTERNAL)))
    async with lab.running() as balancer:
        await _heard(balancer)
        assert (balancer.has_master(DOMAIN), balancer.has_master("ocp45.other.example")) == (False, None)


async def test_master_that_is_to_be_reinstalled_serves_no_workers_of_the_new_cluster(lab: Lab) -> None:
    await lab.members["m1"].start()
    async with lab.running() as balancer:
        await until(lambda: balancer.has_master(DOMAIN), "m1")
        lab.order("m1", reinstalled_at=1.0)
        assert balancer.has_master(DOMAIN) is False


async def test_order_is_applied_without_a_reload(lab: Lab) -> None:
    async with lab.running() as balancer:
        await _heard(balancer)
        worker = await _worker(lab)
        lab.order("bs", bootstrapped_at=1.0, bootstrapped_by="operator")
        await until(lambda: _admins(balancer, "bs") == {"maint"}, "bs in maint")
        assert await _worker(lab) == worker
        lines = lab.lines("balancer.member")
        assert f"balancer.member host={full('bs')} front_end={API} state=maint why='bootstrapping is complete'" in lines


async def test_order_is_in_the_configuration_too(lab: Lab) -> None:
    async with lab.running() as balancer:
        await _heard(balancer)
        lab.order("bs", bootstrapped_at=1.0, bootstrapped_by="operator")
        await until(lambda: _admins(balancer, "bs") == {"maint"}, "bs in maint")
        assert lab.place.config.read_text().count("backup disabled") == 2


async def test_member_that_drained_before_haproxy_was_started_gets_connections_again(lab: Lab) -> None:
    lab.order("m1", balancer={"": "drain"})
    async with lab.running() as balancer:
        await _heard(balancer)
        assert _admins(balancer, "m1") == {"drain"}
        lab.order("m1", balancer={})
        await until(lambda: _admins(balancer, "m1") == {"ready"}, "m1 ready")
        rows = await runtime.ask(lab.place.stats, "show servers state")
        weights = [line.split()[7] for line in rows.splitlines() if " m1 " in line]
        assert weights == ["1", "1"]


async def test_commands_by_hand_are_undone(lab: Lab) -> None:
    async with lab.running() as balancer:
        await _heard(balancer)
        await runtime.ask(lab.place.stats, f"set server {API}/m2 state maint")
        await until(lambda: "state=ready" in "".join(lab.lines("balancer.member")), "m2 back")
        assert _admins(balancer, "m2") == {"ready"}


async def test_new_host_comes_by_a_reload(lab: Lab) -> None:
    async with lab.running() as balancer:
        await _heard(balancer)
        lab.add_host("m4")
        await _heard(balancer, 10)
        await until(lambda: len(lab.lines("balancer.config")) == 2, "the event")
        assert lab.lines("balancer.config")[1] == "balancer.config by=reload front_ends=2"


async def test_reload_keeps_what_is_known_of_members(lab: Lab) -> None:
    await lab.members["m1"].start()
    async with lab.running() as balancer:
        await until(lambda: balancer.has_master(DOMAIN), "m1")
        lab.order("m2", balancer={"": "drain"})
        await until(lambda: _admins(balancer, "m2") == {"drain"}, "m2 drained")
        seen = []
        lab.add_host("m4")
        while len(balancer.reports) < 10:
            seen.append((balancer.has_master(DOMAIN), _admins(balancer, "m2") == {"drain"}))
            await asyncio.sleep(0.01)
        assert set(seen) == {(True, True)}
        assert (balancer.has_master(DOMAIN), _admins(balancer, "m2")) == (True, {"drain"})


async def test_connections_of_a_worker_that_was_replaced_are_counted(lab: Lab) -> None:
    await lab.members["m1"].start()
    async with lab.running() as balancer:
        await until(lambda: balancer.has_master(DOMAIN), "m1")
        await until(lambda: _check(balancer, "m1") == "passed: HTTP 200", "m1 on 6443")
        # Nothing is sent, so that m1 waits, and HAProxy keeps the connection.
        _, writer = await asyncio.open_connection(str(lab.vip), 6443)
        key = (API, full("m1"))
        try:
            await until(lambda: balancer.reports[key].current == 1, "a connection")
            lab.add_host("m4")
            await _heard(balancer, 10)
            await until(lambda: balancer.reports[key].current == 1, "the connection of the old worker")
            assert balancer.reports[key].total == 1
        finally:
            writer.close()
            await writer.wait_closed()
        await until(lambda: balancer.reports[key].current == 0, "its end")


def _with(lab: Lab, *own: OwnFrontEnd) -> None:
    (cluster,) = lab.clusters
    lab.clusters = (replace(cluster, load_balancer=replace(cluster.load_balancer, front_ends=own)),)


def _own(name: str, address: IPv4Address, port: int) -> OwnFrontEnd:
    check = HealthCheck(Probe.TCP)
    return OwnFrontEnd(name, port, (address,), hosts=(), roles=(Role.MASTER,), member_port=port, check=check)


async def test_changed_port_of_members_is_used(lab: Lab) -> None:
    # HAProxy takes the ports from the state of its servers.
    registry = _own("registry", lab.vip, 7000)
    _with(lab, registry)
    async with lab.running() as balancer:
        await _heard(balancer, 11)
        mark = balancer._config.mark
        _with(lab, replace(registry, member_port=7001, check=replace(registry.check, port=7002)))
        await until(lambda: balancer._config.mark != mark, "another configuration")
        await _heard(balancer, 11)
        answer = await runtime.ask(lab.place.stats, "show servers state registry")
        rows = [line.split() for line in answer.splitlines() if " registry " in line]
        assert [row[18] for row in rows] == ["7001"] * 3
        assert all(row[21] == "7002" for row in rows if len(row) > 21)


async def test_refused_configuration_changes_nothing_and_shows(lab: Lab) -> None:
    async with lab.running() as balancer:
        await _heard(balancer)
        worker, text = await _worker(lab), lab.place.config.read_text()
        _with(lab, _own(API, lab.vip, 7000))  # a second section of that name
        why = await until(lambda: balancer.trouble, "a trouble")
        assert "HAProxy refuses its new configuration" in why
        assert API in why
        assert (await _worker(lab), lab.place.config.read_text()) == (worker, text)


async def test_first_configuration_that_is_refused_is_told_rather_than_what_follows(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "FIRST_UNHEARD_SECONDS", 0.5)
    _with(lab, _own(API, lab.vip, 7000))  # a second section of that name
    async with lab.running() as balancer:
        await until(lambda: balancer.trouble, "a trouble")
        await asyncio.sleep(3.0)
        assert balancer.trouble is not None
        assert "HAProxy refuses its new configuration" in balancer.trouble
        assert len(lab.lines("balancer.trouble")) == 1


async def test_state_that_a_full_disk_prevented_is_written_later(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    write, is_full = files.write_whole, True

    def written(path: Path, text: str, *, is_moved: bool = True) -> None:
        if is_full and text.count("\n") > 1 and path == lab.place.server_state:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, text, is_moved=is_moved)

    monkeypatch.setattr(files, "write_whole", written)
    async with lab.running() as balancer:
        why = await until(lambda: balancer.trouble, "a trouble")
        assert "no space left on device" in why
        # After that, no member changes any more.
        await until(lambda: balancer.reports and not any(r.is_up for r in balancer.reports.values()), "all down")
        await asyncio.sleep(1.5)
        is_full = False
        await until(lambda: balancer.trouble is None, "its end", 4.0)
        assert lab.place.server_state.read_text().count("\n") > 1


async def test_trouble_ends_with_the_mistake(lab: Lab) -> None:
    async with lab.running() as balancer:
        await _heard(balancer)
        before = lab.clusters
        _with(lab, _own(API, lab.vip, 7000))
        await until(lambda: "balancer.trouble" in lab.kinds(), "a trouble")
        lab.clusters = before
        await until(lambda: "balancer.well" in lab.kinds(), "its end")
        assert balancer.trouble is None


async def test_port_of_another_program_leaves_the_former_configuration_in_use(lab: Lab) -> None:
    async with lab.running() as balancer:
        await _heard(balancer)
        worker = await _worker(lab)
        with socket.create_server((str(lab.vip), 7000)):
            _with(lab, _own("registry", lab.vip, 7000))
            why = await until(lambda: balancer.trouble, "a trouble")
            assert "did not load its new configuration" in why
            assert f"{lab.vip}:7000" in why
            assert await _worker(lab) == worker
        lab.clusters = (replace(lab.clusters[0]),)  # a reload of cluster.yaml, once the port is free
        await _heard(balancer, 11)
        await until(lambda: balancer.trouble is None, "the end of the trouble")


async def test_reload_that_failed_is_not_repeated_at_once(lab: Lab) -> None:
    # Each attempt has the worker refuse connections for seconds.
    async with lab.running() as balancer:
        await _heard(balancer)
        with socket.create_server((str(lab.vip), 7000)):
            _with(lab, _own("registry", lab.vip, 7000))
            await until(lambda: balancer.trouble, "a trouble")
            await asyncio.sleep(6.0)
            answer = await runtime.ask(lab.place.master, "show proc", is_master=True)
            assert runtime.processes(answer).failed == 1


async def test_reload_that_failed_does_not_make_the_balancer_busy(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    async with lab.running() as balancer:
        await _heard(balancer)
        with socket.create_server((str(lab.vip), 7000)):
            _with(lab, _own("registry", lab.vip, 7000))
            await until(lambda: balancer.trouble, "a trouble")
            steps = 0
            step = balancer._step

            async def counted() -> None:
                nonlocal steps
                steps += 1
                await step()

            monkeypatch.setattr(balancer, "_step", counted)
            await asyncio.sleep(3.0)
            assert 1 <= steps <= 4


async def test_haproxy_that_is_killed_is_started_again_and_told(lab: Lab) -> None:
    async with lab.running() as balancer:
        await _heard(balancer)
        assert balancer._child is not None
        assert balancer._child.pid is not None
        os.kill(balancer._child.pid, signal.SIGKILL)
        await until(lambda: "balancer.well" in lab.kinds(), "its return")
        assert "killed by signal 9" in lab.lines("balancer.trouble")[0]
        await _heard(balancer)


async def test_restart_of_the_appliance_changes_nothing(lab: Lab) -> None:
    lab.order("bs", bootstrapped_at=1.0, bootstrapped_by="operator")
    lab.order("m1", balancer={"": "drain"})
    async with service(lab):
        async with lab.running() as balancer:
            await _heard(balancer)
        worker, written = await _worker(lab), files.signature(lab.place.config)
        lab.events.clear()
        async with lab.running() as balancer:
            await _heard(balancer)
            await asyncio.sleep(1.5)  # another round at least
            assert (await _worker(lab), files.signature(lab.place.config)) == (worker, written)
        assert lab.events == []


async def test_service_that_came_up_with_an_older_text_is_reloaded(lab: Lab) -> None:
    async with service(lab):
        old = lab.place.config.read_text()
        lab.add_host("m4")
        async with lab.running() as balancer:
            await _heard(balancer, 10)
            lab.place.config.write_text(old)
            reply = await runtime.ask(lab.place.master, "reload")
            assert "Success=0" not in reply
            await until(lambda: len(balancer.reports) == 8, "the older text")
            await _heard(balancer, 10)


async def test_service_that_was_restarted_is_told_although_it_is_back_at_once(lab: Lab) -> None:
    async with service(lab) as process, lab.running() as balancer:
        await _heard(balancer)
        await until(lambda: balancer._master, "the master")
        process.kill()
        process.wait()
        again = subprocess.Popen(process.args, stderr=subprocess.DEVNULL)  # type: ignore[call-overload]
        try:
            await until(lambda: "balancer.well" in lab.kinds(), "the end of the trouble")
            assert len(lab.lines("balancer.trouble")) == 1
        finally:
            again.terminate()
            again.wait()


async def test_service_that_does_not_run_is_told_with_where_to_look(lab: Lab) -> None:
    async with service(lab) as process, lab.running() as balancer:
        await _heard(balancer)
        process.terminate()
        why = await until(lambda: balancer.trouble, "a trouble")
        assert why.startswith("HAProxy does not answer: connection refused at ")
        assert why.endswith("; see `systemctl status ocp-appliance-haproxy`")
        assert balancer.has_master(DOMAIN) is None


async def test_half_written_answer_is_no_answer(lab: Lab) -> None:
    async with service(lab) as process, lab.running() as balancer:
        await _heard(balancer)
        process.terminate()
        process.wait()
        lab.place.stats.unlink(missing_ok=True)

        async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.write(b"# pxname,svname,qcur\napi-6443,m1,")
            writer.close()

        server = await asyncio.start_unix_server(half, lab.place.stats)
        try:
            why = await until(lambda: balancer.trouble, "a trouble")
            assert "an answer that breaks off" in why
        finally:
            server.close()


def _write_bootstrap_ignition(lab: Lab) -> Path:
    path = lab.directory / "ignition" / "bootstrap.ign"
    path.parent.mkdir(exist_ok=True)
    bundle = file("/opt/openshift/tls/kube-apiserver-complete-server-ca-bundle.crt", lab.authority.pem)
    kubeconfig = file("/opt/openshift/auth/kubeconfig", f"server: https://{API_INT}:6443\n".encode())
    path.write_bytes(bootstrap(bundle, kubeconfig))
    return path


def _check(balancer: Balancer, name: str) -> str:
    report = balancer.reports.get((API, full(name)))
    return report.check if report is not None else ""


async def test_member_with_a_foreign_certificate_fails(lab: Lab) -> None:
    _write_bootstrap_ignition(lab)
    lab.members["m2"].context = tls(Authority("foreign"), lab.directory / "foreign.pem")
    await lab.members["m1"].start()
    await lab.members["m2"].start()
    async with lab.running() as balancer:
        await until(lambda: _check(balancer, "m1") and _check(balancer, "m2"), "two checks")
        checks = _check(balancer, "m1"), _check(balancer, "m2")
        assert checks == ("passed: HTTP 200", "failed: certificate not trusted, or no TLS")


def test_authority_that_a_full_disk_prevented_is_kept_later(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    _write_bootstrap_ignition(lab)
    authorities = Authorities(lab.directory, lab.installations)

    def find() -> dict[str, str]:
        return authorities.find(lab.clusters, all_front_ends(lab.clusters), {}, time.time())

    def full_disk(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_whole", full_disk)
        with pytest.raises(OSError, match="No space left"):
            find()
    assert set(find()) == {API}


async def test_authority_is_kept_after_bootstrap_ignition_is_deleted(lab: Lab) -> None:
    path = _write_bootstrap_ignition(lab)
    async with lab.running() as balancer:
        await _heard(balancer)
    text = lab.place.config.read_text()
    path.unlink()
    async with lab.running() as balancer:
        await _heard(balancer)
        assert lab.place.config.read_text() == text
        assert "verify required ca-file" in text


async def test_authority_that_comes_later_is_loaded_by_a_reload(lab: Lab) -> None:
    async with lab.running() as balancer:
        await _heard(balancer)
        _write_bootstrap_ignition(lab)
        await until(lambda: len(lab.lines("balancer.config")) == 2, "a reload")
        assert "verify required ca-file" in lab.place.config.read_text()


@pytest.mark.slow
async def test_running_cluster_with_other_authorities_is_no_longer_verified(lab: Lab) -> None:
    _write_bootstrap_ignition(lab)
    async with lab.running() as balancer:
        await _heard(balancer)
    lab.order("bs", bootstrapped_at=1.0, bootstrapped_by="checks")
    for name in ("m1", "m2", "m3"):
        lab.members[name].context = tls(Authority("rotated"), lab.directory / f"{name}.pem")
        await lab.members[name].start()
    async with lab.running() as balancer:
        await until(lambda: _check(balancer, "m1") == "passed: HTTP 200", f"m1 up: {_check(balancer, 'm1')}")
        assert "verify required" not in lab.place.config.read_text()


OLD = """#!/bin/sh
[ "$1" = -v ] && { echo "HA-Proxy version 1.8.27-493ce0b 2020/11/06"; exit; }
exec /usr/sbin/haproxy "$@"
"""


async def test_haproxy_without_a_master_socket_is_reloaded_by_a_signal(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _wrapper(tmp_path / "bin", OLD)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    async with lab.running() as balancer:
        await _heard(balancer)
        lab.add_host("m4")
        await _heard(balancer, 10)
        assert not lab.place.master.exists()


async def test_service_without_a_master_socket_waits_for_the_operator(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _wrapper(tmp_path / "bin", OLD)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    async with service(lab, has_socket=False) as process, lab.running() as balancer:
        await _heard(balancer)
        lab.add_host("m4")
        why = await until(lambda: balancer.trouble, "a trouble")
        assert "run `systemctl reload ocp-appliance-haproxy`" in why
        process.send_signal(signal.SIGUSR2)
        await _heard(balancer, 10)
        await until(lambda: balancer.trouble is None, "the end of the trouble")


def test_missing_haproxy_is_an_error_that_names_the_package(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(files, "_SYSTEM_DIRECTORIES", "/nonexistent")
    with pytest.raises(ListenError, match="install the package haproxy"):
        lab.balancer()


def test_directory_of_the_service_that_is_missing_is_an_error(lab: Lab) -> None:
    lab.environment = {files.SOCKETS_VARIABLE: "/nonexistent"}
    with pytest.raises(ListenError, match="systemd-tmpfiles --create"):
        lab.balancer()


def test_path_too_long_for_sockets_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ListenError, match="choose a shorter dataDir"):
        files.place_of(tmp_path / ("d" * 100), {})
