"""The control socket, and the commands that use it, as an operator runs them."""

import asyncio
import json
import os
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance import control
from appliance.control import MAX_CONNECTIONS, MAX_REQUEST_BYTES, ControlServer, socket_path
from appliance.control_client import ask
from appliance.errors import ControlError, ListenError
from appliance.events import DhcpMisplaced, DhcpUnknown, Ordered, Program, WebKind
from appliance.install.installation import Order, Stage
from appliance.install.owners import doubted
from appliance.model import Role
from tests.boots import MB, refuse_writes
from tests.clusters import host as new_host
from tests.clusters import reference_cluster
from tests.controlled import Appliance


@pytest.fixture
async def appliance(tmp_path, monkeypatch):
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    appliance = Appliance(tmp_path)
    await asyncio.sleep(0)
    yield appliance
    await appliance.close()


def second(appliance, data_dir):
    registry = appliance.registry
    return ControlServer(data_dir, registry, appliance.bus, registry.order, registry.balance, lambda: None)


# The socket


async def test_socket_is_its_owners_alone(appliance):
    assert stat.S_IMODE(appliance.server.path.stat().st_mode) == 0o600


async def test_socket_is_gone_after_the_end(appliance):
    await appliance.close()
    assert not appliance.server.path.exists()


async def test_socket_of_a_killed_appliance_is_replaced(tmp_path):
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(tmp_path / "control.sock"))
    appliance = Appliance(tmp_path)
    await asyncio.sleep(0)
    assert await appliance.ask("status")
    await appliance.close()


async def test_second_appliance_is_refused(appliance):
    with pytest.raises(ListenError, match="another appliance is running"):
        second(appliance, appliance.data_dir)


async def test_path_that_no_socket_can_have_is_reported(appliance, tmp_path):
    with pytest.raises(ListenError, match="longer than 107 bytes"):
        second(appliance, tmp_path / ("x" * 120))


def test_socket_is_in_systemds_directory(monkeypatch):
    monkeypatch.setenv("RUNTIME_DIRECTORY", "/run/ocp-appliance:/run/other")
    assert socket_path(Path("/var/lib/x")) == Path("/run/ocp-appliance/control.sock")


def test_missing_appliance_is_an_error_of_one_line(tmp_path):
    with pytest.raises(ControlError, match="no appliance is listening on"):
        list(ask(tmp_path / "control.sock", "status"))


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be somebody else")
async def test_other_users_are_told_why_they_may_not(appliance, tmp_path_factory):
    for parent in (appliance.data_dir, *appliance.data_dir.parents[:2]):
        parent.chmod(0o755)

    def as_nobody():
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.setuid(65534)
            try:
                list(ask(appliance.server.path, "status"))
            except ControlError as error:
                os.write(writer, str(error).encode())
            os._exit(0)
        os.waitpid(child, 0)
        os.close(writer)
        with open(reader) as pipe:
            return pipe.read()

    assert "permission denied" in as_nobody()


@pytest.mark.parametrize(
    ("request_line", "said"),
    [
        (b"\n", "expected a line of JSON"),
        (b"{\n", "expected a line of JSON"),
        (b"\xff\n", "expected a line of JSON"),
        (b"[" * 60_000 + b"\n", "expected a line of JSON"),
        (b"x" * (MAX_REQUEST_BYTES * 3) + b"\n", "expected a line of JSON"),
        (b"[]\n", "unknown verb None"),
        (b'{"do": "explode"}\n', "unknown verb 'explode'; valid verbs: status"),
        (b'{"do": ["status"]}\n', "unknown verb"),
        (b'{"do": "explain"}\n', "no host given"),
        (b'{"do": "explain", "host": 7}\n', "no host given"),
        (b'{"do": "explain", "host": "m9"}\n', "host 'm9' not found"),
        (b'{"do": "order"}\n', "unknown order None"),
        (b'{"do": "order", "what": "hold"}\n', "no host selected"),
        (b'{"do": "order", "what": "hold", "hosts": "m1"}\n', "hosts must be a list of names"),
        (b'{"do": "order", "what": "hold", "hosts": [{}]}\n', "hosts must be a list of names"),
        (b'{"do": "order", "what": "hold", "role": "king"}\n', "unknown role 'king'"),
        (b'{"do": "capture", "host": "m1"}\n', "no packets recorded for m1"),
    ],
)
async def test_bad_request_gets_an_error_and_the_next_one_an_answer(appliance, request_line, said):
    reader, writer = await asyncio.open_unix_connection(str(appliance.server.path), limit=1 << 20)
    writer.write(request_line)
    answer = json.loads(await reader.readline())
    writer.close()
    assert said in answer["error"]
    assert await appliance.ask("status")


async def test_connections_are_bounded(appliance):
    held = [await asyncio.open_unix_connection(str(appliance.server.path)) for _ in range(MAX_CONNECTIONS)]
    with pytest.raises(ControlError, match="clients are connected already"):
        await appliance.ask("status")
    for _, writer in held:
        writer.close()
        await writer.wait_closed()


async def test_flood_of_connections_is_closed_at_once(appliance):
    held = [await asyncio.open_unix_connection(str(appliance.server.path)) for _ in range(3 * MAX_CONNECTIONS)]
    async with asyncio.timeout(5):
        assert await held[-1][0].read() == b""
    for _, writer in held:
        writer.close()


async def test_client_that_takes_nothing_gives_its_place_back(appliance, monkeypatch):
    monkeypatch.setattr(control, "SEND_SECONDS", 0.05)
    appliance.server.capture = lambda _host: bytes(16 << 20)
    reader, writer = await asyncio.open_unix_connection(str(appliance.server.path), limit=1)
    writer.write(b'{"do": "capture", "host": "m1"}\n')
    await reader.read(1)
    async with asyncio.timeout(5):
        while appliance.server._conversations:
            await asyncio.sleep(0.01)
    writer.close()


async def test_bug_of_ours_is_an_error_and_no_end(appliance, caplog):
    del appliance.registry.cluster_of[appliance.boot(1).host]
    with pytest.raises(ControlError, match="explain failed because of a bug; see the appliance's log"):
        await appliance.ask("explain", host="m1")
    assert "KeyError" in caplog.text


# The verbs


async def test_status_shows_each_host_and_its_progress(appliance):
    m1 = appliance.boot(1)
    appliance.happen([*m1.to_initramfs(), m1.started(WebKind.ROOTFS, 900 * MB)], 0)
    appliance.happen(m1.progress(WebKind.ROOTFS, 450 * MB, 900 * MB), 0)
    ((answer,),) = (await appliance.ask("status"),)
    row = answer["status"]["hosts"][1]
    assert (row["name"], row["stage"], row["order"]) == ("m1", "image", "install")
    assert (row["progress"]["sent"], row["progress"]["total"]) == (450 * MB, 900 * MB)


async def test_silent_host_gets_a_hint_in_the_status(appliance):
    m1 = appliance.boot(1)
    appliance.clock.now -= 3600
    appliance.happen(m1.to_initramfs(), 0)
    ((answer,),) = (await appliance.ask("status"),)
    assert answer["status"]["hosts"][1]["condition"]["name"] == "silent"


async def test_orders_reach_hosts_by_name_by_role_and_all(appliance):
    await appliance.ask("order", what="hold", hosts=["m1", "m1"], role="worker")
    installations = appliance.registry.installations
    held = [host[:2] for host, installation in installations.items() if installation.order is Order.HOLD]
    assert held == ["m1", "w1", "w2", "w3"]
    answers = await appliance.ask("order", what="release", all=True)
    assert len(answers) == 7
    assert {installation.order for installation in installations.values()} == {Order.INSTALL}


async def test_reload_is_passed_on(appliance):
    await appliance.ask("reload")
    assert appliance.reloads == 1


async def test_capture_comes_whole(appliance):
    import base64

    packets = bytes(range(256)) * 1000
    appliance.server.capture = lambda host: packets if host.startswith("m1.") else None
    answers = await appliance.ask("capture", host="m1")
    assert b"".join(base64.b64decode(answer["pcapng"]) for answer in answers) == packets


async def test_follower_gets_past_and_new_events_until_it_leaves(appliance):
    m1 = appliance.boot(1)
    subscribers = len(appliance.bus.subscribers)
    appliance.happen(m1.dhcp(Program.PXE), 0)
    reader, writer = await asyncio.open_unix_connection(str(appliance.server.path))
    writer.write(b'{"do": "events", "follow": true, "host": "m1"}\n')
    kinds = [json.loads(await reader.readline())["event"]["kind"] for _ in range(3)]
    assert kinds == ["dhcp.offer", "install.stage", "dhcp.ack"]
    appliance.happen([*appliance.boot(2).dhcp(Program.PXE), *m1.loader()], 0)
    assert json.loads(await reader.readline())["event"]["kind"] == "tftp.start"
    writer.close()
    await writer.wait_closed()
    async with asyncio.timeout(5):
        while len(appliance.bus.subscribers) > subscribers:
            await asyncio.sleep(0.01)


async def test_thousand_hosts_status_takes_less_than_a_tenth_of_a_second(tmp_path, monkeypatch):
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    hosts = tuple(
        new_host(
            f"w{index}",
            Role.WORKER,
            f"10.0.{index // 250}.{index % 250 + 1}",
            f"52:54:00:00:{index >> 8:02x}:{index & 255:02x}",
        )
        for index in range(1000)
    )
    appliance = Appliance(tmp_path, reference_cluster(hosts=hosts))
    for index in range(1000):
        appliance.happen(appliance.boot(index).to_initramfs(), 0)
    await appliance.ask("status")
    # The goal is 0.1 s on an idle machine. A slow or busy machine is just as slow at writing and
    # reading the same JSON, which is half of the work for an answer. They run in turn, so that a
    # pause spoils only one run.
    asking, coding = [], []
    for _ in range(7):
        started = time.perf_counter()
        (answer,) = await appliance.ask("status")
        asked = time.perf_counter()
        json.loads(json.dumps(answer))
        asking.append(asked - started)
        coding.append(time.perf_counter() - asked)
    assert len(answer["status"]["hosts"]) == 1000
    assert min(asking) < max(0.1, 6 * min(coding))
    await appliance.close()


# The commands


async def test_status_is_a_row_a_host(appliance):
    appliance.happen(appliance.boot(1).to_script(), 0)
    code, output, _ = await appliance.run("status")
    assert code == 0
    rows = {line.split()[0]: line.split() for line in output.splitlines()}
    assert rows["m1"][1:5] == ["master", "172.16.0.21", "00:50:56:96:37:c8", "script"]
    assert rows["w3"][4] == "waiting"


async def test_status_as_json_is_the_status(appliance):
    code, output, _ = await appliance.run("status", "-o", "json")
    assert code == 0
    assert len(json.loads(output)["hosts"]) == 7


async def test_status_says_that_the_state_is_in_memory(appliance):
    refuse_writes(appliance.journal)
    appliance.happen(appliance.boot(1).dhcp(Program.PXE), 0)
    _, output, _ = await appliance.run("status")
    assert output.startswith("! cannot write")


async def test_events_are_one_line_each(appliance):
    appliance.happen(appliance.boot(1).dhcp(Program.PXE), 0)
    code, output, _ = await appliance.run("events", "--host", "m1")
    assert code == 0
    assert [line.split()[3] for line in output.splitlines()] == ["dhcp.offer", "install.stage", "dhcp.ack"]


async def test_text_off_the_wire_cannot_steer_the_terminal(appliance):
    m1 = appliance.boot(1)
    appliance.happen([*m1.dhcp(Program.PXE), *m1.get(WebKind.OTHER, path="/\x1b[2J\nforged")], 0)
    for command in (("events",), ("explain", "m1")):
        _, output, _ = await appliance.run(*command)
        assert "\x1b" not in output
        assert "\nforged" not in output


async def test_explain_shows_the_last_boot_and_what_comes_next(appliance):
    m1 = appliance.boot(1)
    appliance.happen(m1.to_initramfs(), 0)
    appliance.happen(m1.to_script(), 10)
    code, output, _ = await appliance.run("explain", "m1")
    assert code == 0
    assert "initramfs" not in output.partition("Earlier")[0]
    assert "installation 1" in output
    assert output.rstrip().endswith("Stage: script. Next: iPXE or GRUB must download the kernel.")


async def test_explain_says_what_to_do_about_a_host_in_the_wrong_network(appliance):
    m1 = appliance.boot(1)
    appliance.happen(DhcpMisplaced(m1.host, m1.mac, m1.address, "198.51.100.1"), 0)
    _, output, _ = await appliance.run("explain", "m1")
    assert "looks for a DHCP server via relay 198.51.100.1" in output
    assert "connect it to the VLAN of that address, or correct its address in cluster.yaml" in output


async def test_explain_shows_the_whole_installation_when_asked(appliance):
    m1 = appliance.boot(1)
    appliance.happen(m1.live(rootfs=MB), 0)
    appliance.happen(m1.dhcp(Program.PXE), 0)
    assert "rootfs" not in (await appliance.run("explain", "m1"))[1]
    assert "rootfs" in (await appliance.run("explain", "m1", "--all"))[1]


@pytest.mark.parametrize(
    ("events", "missing"),
    [
        (lambda m1: [], "power it on"),
        (lambda m1: m1.to_initramfs(), "download its rootfs"),
        (lambda m1: m1.live(), "writes its disk"),
        (lambda m1: [Ordered(m1.host, "hold")], "ocp-appliance release m1"),
        (lambda m1: [*m1.to_script()[:-2], *m1.get(WebKind.WAIT)], "a master must answer on port 22623"),
    ],
    ids=["waiting", "initramfs", "ready", "held", "told to wait"],
)
async def test_explain_says_what_comes_next(appliance, events, missing):
    appliance.happen(events(appliance.boot(1)), 0)
    ((answer,),) = (await appliance.ask("explain", host="m1"),)
    assert missing in answer["explain"]["missing"]


async def test_explain_names_what_settles_a_doubt(appliance):
    host = appliance.boot(1).host
    appliance.registry.installations[host] = doubted(appliance.registry.installations[host], 0.0)
    ((answer,),) = (await appliance.ask("explain", host="m1"),)
    assert f"ocp-appliance adopt {host}" in answer["explain"]["missing"]


async def test_host_that_is_told_to_wait_is_not_called_silent(appliance):
    m1 = appliance.boot(1)
    # Only the first of its polls is published, here 15 minutes ago.
    appliance.clock.now -= 900
    appliance.happen([*m1.to_script()[:-2], *m1.get(WebKind.WAIT)], 0)
    row = (await appliance.ask("status"))[0]["status"]["hosts"][1]
    assert (row["condition"], row["awaits"]) == (None, "api-int:22623")
    assert "waits for api-int:22623" in (await appliance.run("status"))[1]


async def test_host_that_gets_its_script_awaits_nothing_any_more(appliance):
    m1 = appliance.boot(1)
    appliance.happen([*m1.to_script()[:-2], *m1.get(WebKind.WAIT), *m1.get(WebKind.SCRIPT)], 0)
    assert (await appliance.ask("status"))[0]["status"]["hosts"][1]["awaits"] == ""


async def test_seen_gives_lines_for_the_file(appliance):
    import yaml

    appliance.happen(
        DhcpUnknown("", "00:50:56:00:00:09", Program.PXE, "arm64-uefi", "PXEClient", "192.0.2.1", "eth0"), 0
    )
    code, output, _ = await appliance.run("seen")
    assert code == 0
    assert "VMware, Inc." in output
    assert "via relay 192.0.2.1" in output
    (stanza,) = yaml.safe_load(output)
    assert (stanza["macAddress"], stanza["role"], stanza["arch"]) == ("00:50:56:00:00:09", "worker", "aarch64")


async def test_seen_says_that_no_machine_was_seen(appliance):
    assert (await appliance.run("seen"))[1] == "No unknown machines have asked for an address.\n"


async def test_reinstall_asks_first(appliance):
    code, _, errors = await appliance.run("reinstall", "m1", said="y\n")
    assert (code, errors) == (69, "standard input is not a terminal, so nobody can confirm; use --yes\n")
    assert appliance[appliance.boot(1)].number == 1


async def test_reinstall_says_what_happens_before_it_asks(appliance):
    operator, terminal = os.openpty()
    command = [sys.executable, "-m", "appliance", "reinstall", "m1", "--data-dir", str(appliance.data_dir)]
    process = await asyncio.create_subprocess_exec(*command, stdin=terminal, stdout=subprocess.PIPE)
    os.close(terminal)
    os.write(operator, b"n\n")
    said, _ = await process.communicate()
    os.close(operator)
    assert "This host will be wiped and reinstalled at its next network boot. Continue? [y/N]" in said.decode()
    assert (process.returncode, appliance[appliance.boot(1)].number) == (1, 1)


async def test_reinstall_arms_after_a_yes(appliance):
    m1 = appliance.boot(1)
    appliance.happen(m1.live(rootfs=MB), 0)
    appliance.happen(m1.dhcp(Program.OS), 0)
    assert appliance[m1].order is Order.LOCAL
    code, output, _ = await appliance.run("reinstall", "m1", "--yes")
    assert (code, output) == (0, f"{m1.host}: will install at its next network boot\n")
    assert (appliance[m1].order, appliance[m1].stage) == (Order.INSTALL, Stage.WAITING)


async def test_hold_and_release_take_a_role(appliance):
    assert (await appliance.run("hold", "--role", "worker"))[0] == 0
    assert appliance[appliance.boot(4)].order is Order.HOLD
    assert (await appliance.run("release", "--all"))[0] == 0
    assert appliance[appliance.boot(4)].order is Order.INSTALL


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("reinstall",), 2, "no host selected; name hosts, or use --role or --all"),
        (("hold", "m9"), 69, "host 'm9' not found"),
        (("hold", "--role", "king"), 2, "'king' is not one of"),
        (("explain", "m9"), 69, "host 'm9' not found"),
    ],
)
async def test_wrong_command_gets_a_readable_error(appliance, arguments, code, said):
    found, _, errors = await appliance.run(*arguments)
    assert found == code
    assert said in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("command", ["status", "events", "seen", "explain m1", "reinstall m1 --yes", "hold m1"])
async def test_command_without_an_appliance_ends_with_69(appliance, command):
    await appliance.close()
    code, _, errors = await appliance.run(*command.split())
    assert code == 69
    assert errors.startswith("no appliance is listening on ")


def test_error_is_one_line_and_no_traceback(tmp_path):
    command = [sys.executable, "-m", "appliance", "status", "--data-dir", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (69, "", 1)
